-- What an org is set up with. base_harness_id is null while the platform's base harness is used;
-- default_is_seeded tells whether default_harness_id is the platform's choice or the org's.
ALTER TABLE orgs ADD COLUMN base_harness_id BLOB;
ALTER TABLE orgs ADD COLUMN default_harness_id BLOB;
ALTER TABLE orgs ADD COLUMN default_is_seeded INTEGER NOT NULL DEFAULT 0;
ALTER TABLE orgs ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
ALTER TABLE orgs ADD COLUMN updated_at INTEGER NOT NULL DEFAULT 0;
UPDATE orgs SET updated_at = created_at;

-- What the platform seeded, so that a later start knows it again. digest is that of the resource
-- as it was seeded last: a resource with another one was changed by its org and is left alone.
CREATE TABLE seeds (
    org_id   BLOB    NOT NULL REFERENCES orgs (id),
    kind     TEXT    NOT NULL,
    key      TEXT    NOT NULL,
    resource BLOB    NOT NULL,
    digest   TEXT    NOT NULL,
    archived INTEGER NOT NULL,
    PRIMARY KEY (org_id, kind, key)
) STRICT, WITHOUT ROWID;

-- The chat session of each caller of an org.
CREATE TABLE chat_sessions (
    org_id     BLOB NOT NULL REFERENCES orgs (id),
    subject    TEXT NOT NULL,
    session_id BLOB NOT NULL,
    PRIMARY KEY (org_id, subject)
) STRICT, WITHOUT ROWID;
