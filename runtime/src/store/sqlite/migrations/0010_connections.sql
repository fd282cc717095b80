-- Who a session belongs to: the caller who made it. Sessions of before belong to nobody.
ALTER TABLE sessions ADD COLUMN owner TEXT;

-- Accounts of users at third parties. The credential is an envelope as JSON text: see the secret
-- module.
CREATE TABLE connections (
    org_id            BLOB    NOT NULL,
    subject           TEXT    NOT NULL,
    provider          TEXT    NOT NULL,
    connection_type   TEXT    NOT NULL,
    status            TEXT    NOT NULL,
    provider_username TEXT,
    provider_metadata TEXT    NOT NULL,
    scopes            TEXT    NOT NULL,
    credential        TEXT    NOT NULL,
    expires_at        INTEGER,
    version           INTEGER NOT NULL,
    connected_at      INTEGER NOT NULL,
    updated_at        INTEGER NOT NULL,
    PRIMARY KEY (org_id, subject, provider)
) STRICT;

-- Authorizations that a third party has not answered yet. States are stored as their hash: who
-- reads the table can finish none of them.
CREATE TABLE connection_authorizations (
    position     INTEGER PRIMARY KEY,
    org_id       BLOB    NOT NULL,
    state_hash   BLOB    NOT NULL,
    browser_hash BLOB    NOT NULL,
    subject      TEXT    NOT NULL,
    provider     TEXT    NOT NULL,
    verifier     TEXT    NOT NULL,
    redirect_uri TEXT    NOT NULL,
    return_to    TEXT,
    expires_at   INTEGER NOT NULL,
    UNIQUE (org_id, state_hash)
) STRICT;
CREATE INDEX connection_authorizations_of_user ON connection_authorizations (org_id, subject, position);
CREATE INDEX connection_authorizations_by_end ON connection_authorizations (org_id, expires_at);

-- Secrets of sessions, as envelopes. They go with the session.
CREATE TABLE session_secrets (
    org_id     BLOB NOT NULL,
    session_id BLOB NOT NULL,
    name       TEXT NOT NULL,
    value      TEXT NOT NULL,
    PRIMARY KEY (org_id, session_id, name)
) STRICT;

-- Finds the turns that wait for somebody outside.
CREATE INDEX turns_parked ON turns (org_id, session_id) WHERE outcome IS NULL AND parked = 1;
