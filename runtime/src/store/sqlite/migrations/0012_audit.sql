-- What was done to what an org decides about. Rows are added and never changed, so that positions ascend.
CREATE TABLE audit_entries (
    position INTEGER PRIMARY KEY,
    org_id   BLOB    NOT NULL REFERENCES orgs (id),
    id       BLOB    NOT NULL,
    at       INTEGER NOT NULL,
    actor    TEXT    NOT NULL,
    action   TEXT    NOT NULL,
    target   TEXT    NOT NULL,
    status   INTEGER NOT NULL,
    before   TEXT,
    after    TEXT,
    UNIQUE (org_id, id)
) STRICT;

CREATE INDEX audit_entries_by_org ON audit_entries (org_id, position);

CREATE TRIGGER audit_entries_are_never_changed BEFORE UPDATE ON audit_entries
BEGIN
    SELECT raise(ABORT, 'the audit log is append-only');
END;

CREATE TRIGGER audit_entries_are_never_deleted BEFORE DELETE ON audit_entries
BEGIN
    SELECT raise(ABORT, 'the audit log is append-only');
END;
