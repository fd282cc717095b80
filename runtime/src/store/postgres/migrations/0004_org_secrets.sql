-- Secrets that orgs store for their components; the value is sealed.
CREATE TABLE org_secrets (
    org_id     UUID   NOT NULL REFERENCES orgs (id),
    name       TEXT COLLATE "C" NOT NULL,
    value      TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (org_id, name)
);
