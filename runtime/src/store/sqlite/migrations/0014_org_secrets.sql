-- Secrets that orgs store for their components; the value is sealed.
CREATE TABLE org_secrets (
    org_id     BLOB    NOT NULL REFERENCES orgs (id),
    name       TEXT    NOT NULL,
    value      TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (org_id, name)
) STRICT, WITHOUT ROWID;
