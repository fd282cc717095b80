-- People who act for an org, with keys of their own.
CREATE TABLE members (
    position   BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org_id     UUID   NOT NULL REFERENCES orgs (id),
    id         UUID   NOT NULL,
    name       TEXT   NOT NULL,
    email      TEXT,
    role       TEXT   NOT NULL,
    version    BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    CONSTRAINT members_id UNIQUE (org_id, id)
);
CREATE INDEX members_in_order ON members (org_id, position);

-- Whose key it is; null for one of a service. A key whose member is gone is none.
ALTER TABLE api_keys ADD COLUMN member_id UUID;
