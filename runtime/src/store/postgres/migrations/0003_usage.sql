-- How much sessions, agents and orgs may use. The id of the subject is that of one of them.
CREATE TABLE budgets (
    position     BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org_id       UUID   NOT NULL REFERENCES orgs (id),
    id           UUID   NOT NULL,
    subject_type TEXT   NOT NULL,
    subject_id   UUID   NOT NULL,
    currency     TEXT   NOT NULL,
    amount       BIGINT NOT NULL,
    period       TEXT,
    status       TEXT   NOT NULL,
    version      BIGINT NOT NULL,
    created_at   BIGINT NOT NULL,
    updated_at   BIGINT NOT NULL,
    CONSTRAINT budgets_id UNIQUE (org_id, id)
);

CREATE INDEX budgets_by_subject ON budgets (org_id, subject_id);

-- What was used and what is set aside, by account and the beginning of its period in seconds.
CREATE TABLE usage_accounts (
    org_id   UUID   NOT NULL REFERENCES orgs (id),
    account  TEXT COLLATE "C" NOT NULL,
    opens    BIGINT NOT NULL,
    spent    BIGINT NOT NULL,
    reserved BIGINT NOT NULL,
    PRIMARY KEY (org_id, account, opens)
);

-- What is set aside for what has not ended. Each charge is a row.
CREATE TABLE usage_reservations (
    org_id     UUID   NOT NULL REFERENCES orgs (id),
    id         UUID   NOT NULL,
    place      BIGINT NOT NULL,
    session_id UUID   NOT NULL,
    turn_id    UUID   NOT NULL,
    account    TEXT COLLATE "C" NOT NULL,
    opens      BIGINT NOT NULL,
    amount     BIGINT NOT NULL,
    PRIMARY KEY (org_id, id, place)
);

CREATE INDEX usage_reservations_by_turn ON usage_reservations (org_id, session_id, turn_id);

-- What was used, one row a settled charge.
CREATE TABLE usage_postings (
    position       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org_id         UUID   NOT NULL REFERENCES orgs (id),
    account        TEXT COLLATE "C" NOT NULL,
    reservation_id UUID   NOT NULL,
    session_id     UUID   NOT NULL,
    turn_id        UUID   NOT NULL,
    amount         BIGINT NOT NULL,
    at             BIGINT NOT NULL
);

CREATE INDEX usage_postings_by_account ON usage_postings (org_id, account, position);
