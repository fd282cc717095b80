-- How much sessions, agents and orgs may use. The id of the subject is that of one of them.
CREATE TABLE budgets (
    position     INTEGER PRIMARY KEY,
    org_id       BLOB    NOT NULL REFERENCES orgs (id),
    id           BLOB    NOT NULL,
    subject_type TEXT    NOT NULL,
    subject_id   BLOB    NOT NULL,
    currency     TEXT    NOT NULL,
    amount       INTEGER NOT NULL,
    period       TEXT,
    status       TEXT    NOT NULL,
    version      INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    UNIQUE (org_id, id)
) STRICT;

CREATE INDEX budgets_by_subject ON budgets (org_id, subject_id);

-- What was used and what is set aside, by account and the beginning of its period in seconds.
CREATE TABLE usage_accounts (
    org_id   BLOB    NOT NULL REFERENCES orgs (id),
    account  TEXT    NOT NULL,
    opens    INTEGER NOT NULL,
    spent    INTEGER NOT NULL,
    reserved INTEGER NOT NULL,
    PRIMARY KEY (org_id, account, opens)
) STRICT, WITHOUT ROWID;

-- What is set aside for what has not ended. Each charge is a row.
CREATE TABLE usage_reservations (
    org_id     BLOB    NOT NULL REFERENCES orgs (id),
    id         BLOB    NOT NULL,
    place      INTEGER NOT NULL,
    session_id BLOB    NOT NULL,
    turn_id    BLOB    NOT NULL,
    account    TEXT    NOT NULL,
    opens      INTEGER NOT NULL,
    amount     INTEGER NOT NULL,
    PRIMARY KEY (org_id, id, place)
) STRICT, WITHOUT ROWID;

CREATE INDEX usage_reservations_by_turn ON usage_reservations (org_id, session_id, turn_id);

-- What was used, one row a settled charge.
CREATE TABLE usage_postings (
    position       INTEGER PRIMARY KEY,
    org_id         BLOB    NOT NULL REFERENCES orgs (id),
    account        TEXT    NOT NULL,
    reservation_id BLOB    NOT NULL,
    session_id     BLOB    NOT NULL,
    turn_id        BLOB    NOT NULL,
    amount         INTEGER NOT NULL,
    at             INTEGER NOT NULL
) STRICT;

CREATE INDEX usage_postings_by_account ON usage_postings (org_id, account, position);
