-- People who act for an org, with keys of their own.
CREATE TABLE members (
    position   INTEGER PRIMARY KEY,
    org_id     BLOB    NOT NULL REFERENCES orgs (id),
    id         BLOB    NOT NULL,
    name       TEXT    NOT NULL,
    email      TEXT,
    role       TEXT    NOT NULL,
    version    INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (org_id, id)
) STRICT;
CREATE INDEX members_in_order ON members (org_id, position);

-- Whose key it is; null for one of a service. A key whose member is gone is none.
ALTER TABLE api_keys ADD COLUMN member_id BLOB;
