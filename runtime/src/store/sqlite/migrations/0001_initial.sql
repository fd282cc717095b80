-- Conventions of every table here:
-- * Ids are the 16 bytes of their UUID. They are half as long as text in every index, and sort
--   by time. In a shell, lower(hex(id)) is the text form without its prefix.
-- * Times are microseconds since 1970-01-01T00:00:00Z. JSON is text.
-- * "position" numbers rows in order of creation; lists are in that order.
-- * org_id comes first in every key. The exceptions belong to the installation, not to an org:
--   blobs (found only through an org's component_versions), installation_secrets, and orgs itself.
-- * Ids of harnesses and agents that other rows mention are checked by the runtime, not here:
--   archived ones stay, and nothing is ever deleted but API keys and key-value data.

CREATE TABLE orgs (
    id         BLOB    NOT NULL PRIMARY KEY,
    name       TEXT    NOT NULL UNIQUE,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE api_keys (
    position    INTEGER PRIMARY KEY,
    org_id      BLOB    NOT NULL REFERENCES orgs (id),
    id          BLOB    NOT NULL,
    name        TEXT    NOT NULL,
    scope       TEXT    NOT NULL,
    secret_hash BLOB    NOT NULL UNIQUE,
    created_at  INTEGER NOT NULL,
    UNIQUE (org_id, id)
) STRICT;

CREATE TABLE installation_secrets (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

CREATE TABLE harnesses (
    position          INTEGER PRIMARY KEY,
    org_id            BLOB    NOT NULL,
    id                BLOB    NOT NULL,
    name              TEXT    NOT NULL,
    display_name      TEXT,
    description       TEXT,
    system_prompt     TEXT,
    parent_harness_id BLOB,
    capabilities      TEXT    NOT NULL,
    tags              TEXT    NOT NULL,
    is_built_in       INTEGER NOT NULL,
    status            TEXT    NOT NULL,
    version           INTEGER NOT NULL,
    created_at        INTEGER NOT NULL,
    updated_at        INTEGER NOT NULL,
    UNIQUE (org_id, id),
    UNIQUE (org_id, name)
) STRICT;
CREATE INDEX harnesses_in_order ON harnesses (org_id, position);

CREATE TABLE agents (
    position       INTEGER PRIMARY KEY,
    org_id         BLOB    NOT NULL,
    id             BLOB    NOT NULL,
    name           TEXT    NOT NULL,
    display_name   TEXT,
    description    TEXT,
    system_prompt  TEXT    NOT NULL,
    harness_id     BLOB    NOT NULL,
    capabilities   TEXT    NOT NULL,
    max_iterations INTEGER,
    tags           TEXT    NOT NULL,
    status         TEXT    NOT NULL,
    version        INTEGER NOT NULL,
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL,
    UNIQUE (org_id, id),
    UNIQUE (org_id, name)
) STRICT;
CREATE INDEX agents_in_order ON agents (org_id, position);

-- last_sequence and fence are what an append is checked against; they are here so that the
-- check reads one row.
CREATE TABLE sessions (
    position       INTEGER PRIMARY KEY,
    org_id         BLOB    NOT NULL,
    id             BLOB    NOT NULL,
    harness_id     BLOB    NOT NULL,
    agent_id       BLOB,
    title          TEXT,
    status         TEXT    NOT NULL,
    system_prompt  TEXT,
    capabilities   TEXT    NOT NULL,
    locale         TEXT,
    max_iterations INTEGER,
    tags           TEXT    NOT NULL,
    version        INTEGER NOT NULL,
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL,
    last_sequence  INTEGER NOT NULL,
    fence          INTEGER NOT NULL,
    UNIQUE (org_id, id)
) STRICT;
CREATE INDEX sessions_in_order ON sessions (org_id, position);

-- data is the event's type and payload: {"type": .., "data": ..}.
CREATE TABLE events (
    org_id           BLOB    NOT NULL,
    session_id       BLOB    NOT NULL,
    sequence         INTEGER NOT NULL,
    id               BLOB    NOT NULL,
    ts               INTEGER NOT NULL,
    turn_id          BLOB,
    input_message_id BLOB,
    data             TEXT    NOT NULL,
    PRIMARY KEY (org_id, session_id, sequence),
    UNIQUE (org_id, session_id, id),
    FOREIGN KEY (org_id, session_id) REFERENCES sessions (org_id, id)
) STRICT;

CREATE TRIGGER events_are_never_changed BEFORE UPDATE ON events
BEGIN
    SELECT RAISE(ABORT, 'events are append-only');
END;

CREATE TRIGGER events_are_never_deleted BEFORE DELETE ON events
BEGIN
    SELECT RAISE(ABORT, 'events are append-only');
END;

-- Besides gaps this stops INSERT OR REPLACE, which deletes without firing the trigger above.
CREATE TRIGGER events_have_no_gaps BEFORE INSERT ON events
WHEN NEW.sequence <> (
    SELECT coalesce(max(sequence), 0) + 1 FROM events WHERE org_id = NEW.org_id AND session_id = NEW.session_id
)
BEGIN
    SELECT RAISE(ABORT, 'events of a session are numbered without gaps');
END;

-- outcome is null while the turn is open. Ended turns stay, so that a repeated submission is known.
CREATE TABLE turns (
    org_id           BLOB    NOT NULL,
    id               BLOB    NOT NULL,
    session_id       BLOB    NOT NULL,
    input_sequence   INTEGER NOT NULL,
    attempt          INTEGER NOT NULL,
    cancel_requested INTEGER NOT NULL,
    outcome          TEXT,
    PRIMARY KEY (org_id, id),
    FOREIGN KEY (org_id, session_id, input_sequence) REFERENCES events (org_id, session_id, sequence)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX turns_open ON turns (org_id, session_id, input_sequence) WHERE outcome IS NULL;

CREATE TABLE components (
    position       INTEGER PRIMARY KEY,
    org_id         BLOB    NOT NULL,
    id             BLOB    NOT NULL,
    name           TEXT    NOT NULL,
    active_version INTEGER,
    latest_version INTEGER NOT NULL,
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL,
    archived_at    INTEGER,
    UNIQUE (org_id, id),
    UNIQUE (org_id, name)
) STRICT;
CREATE INDEX components_in_order ON components (org_id, position);

-- Bytes of components by their digest, "sha256:" and 64 hex digits; stored once for all orgs.
CREATE TABLE blobs (
    digest TEXT NOT NULL PRIMARY KEY,
    bytes  BLOB NOT NULL
) STRICT;

CREATE TABLE component_versions (
    org_id       BLOB    NOT NULL,
    component_id BLOB    NOT NULL,
    version      INTEGER NOT NULL,
    digest       TEXT    NOT NULL REFERENCES blobs (digest),
    size         INTEGER NOT NULL,
    description  TEXT    NOT NULL,
    imports      TEXT    NOT NULL,
    granted      TEXT    NOT NULL,
    budget       TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,
    PRIMARY KEY (org_id, component_id, version),
    UNIQUE (org_id, component_id, digest),
    FOREIGN KEY (org_id, component_id) REFERENCES components (org_id, id)
) STRICT;
CREATE INDEX component_versions_by_digest ON component_versions (org_id, digest);

-- Keys are bytes, so that their order and length are those of bytes whatever they contain.
CREATE TABLE kv (
    org_id    BLOB    NOT NULL,
    component TEXT    NOT NULL,
    bucket    TEXT    NOT NULL,
    key       BLOB    NOT NULL,
    value     BLOB    NOT NULL,
    version   INTEGER NOT NULL,
    size      INTEGER NOT NULL CHECK (size = length(key) + length(value)),
    PRIMARY KEY (org_id, component, bucket, key)
) STRICT;
-- Answers "how much is in the bucket" without reading values; size is not a generated column
-- because those keep SQLite from answering out of the index alone.
CREATE INDEX kv_size ON kv (org_id, component, bucket, size);
