-- Processes that run turns, as they report themselves. They belong to the installation, not to an org.
CREATE TABLE workers (
    id         UUID    PRIMARY KEY,
    version    TEXT    NOT NULL,
    definition TEXT    NOT NULL,
    slots      BIGINT  NOT NULL,
    running    BIGINT  NOT NULL,
    state      TEXT    NOT NULL,
    drain      BOOLEAN NOT NULL,
    started_at BIGINT  NOT NULL,
    seen_at    BIGINT  NOT NULL
);
