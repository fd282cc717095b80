-- What was done to what an org decides about. Rows are added and never changed.
CREATE TABLE audit_entries (
    position BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org_id   UUID   NOT NULL REFERENCES orgs (id),
    id       UUID   NOT NULL,
    at       BIGINT NOT NULL,
    actor    TEXT   NOT NULL,
    action   TEXT   NOT NULL,
    target   TEXT   NOT NULL,
    status   BIGINT NOT NULL,
    before   TEXT,
    after    TEXT,
    CONSTRAINT audit_entries_id UNIQUE (org_id, id)
);

CREATE INDEX audit_entries_by_org ON audit_entries (org_id, position);

CREATE FUNCTION audit_entries_are_never_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only';
END
$$;
CREATE TRIGGER audit_entries_are_never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entries
EXECUTE FUNCTION audit_entries_are_never_changed();
