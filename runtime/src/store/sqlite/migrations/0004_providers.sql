-- Accounts at model vendors. Credentials are envelopes as JSON text: see the secret module.
CREATE TABLE providers (
    position          INTEGER PRIMARY KEY,
    org_id            BLOB    NOT NULL,
    id                BLOB    NOT NULL,
    name              TEXT    NOT NULL,
    provider_type     TEXT    NOT NULL,
    base_url          TEXT,
    status            TEXT    NOT NULL,
    api_key           TEXT,
    provider_metadata TEXT,
    version           INTEGER NOT NULL,
    created_at        INTEGER NOT NULL,
    updated_at        INTEGER NOT NULL,
    UNIQUE (org_id, id),
    UNIQUE (org_id, name)
) STRICT;
CREATE INDEX providers_in_order ON providers (org_id, position);

-- Unlike harnesses and agents, providers and models can be removed; models go with their
-- provider, and what mentions a model that is gone goes on with the next one in line.
CREATE TABLE models (
    position     INTEGER PRIMARY KEY,
    org_id       BLOB    NOT NULL,
    id           BLOB    NOT NULL,
    provider_id  BLOB    NOT NULL,
    model_id     TEXT    NOT NULL,
    display_name TEXT    NOT NULL,
    capabilities TEXT    NOT NULL,
    profile      TEXT    NOT NULL,
    enabled      INTEGER NOT NULL,
    is_favorite  INTEGER NOT NULL,
    is_default   INTEGER NOT NULL,
    source       TEXT    NOT NULL,
    version      INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    UNIQUE (org_id, id),
    UNIQUE (org_id, provider_id, model_id),
    FOREIGN KEY (org_id, provider_id) REFERENCES providers (org_id, id) ON DELETE CASCADE
) STRICT;
CREATE INDEX models_in_order ON models (org_id, position);
CREATE INDEX models_of_provider ON models (org_id, provider_id, position);
CREATE UNIQUE INDEX models_default ON models (org_id) WHERE is_default = 1;

-- What the platform gave an org once; kept when the org removes it, so that it stays removed.
CREATE TABLE provider_seeds (
    org_id BLOB NOT NULL,
    seed   TEXT NOT NULL,
    id     BLOB NOT NULL,
    PRIMARY KEY (org_id, seed)
) STRICT, WITHOUT ROWID;

ALTER TABLE harnesses ADD COLUMN default_model_id BLOB;
ALTER TABLE agents ADD COLUMN default_model_id BLOB;
ALTER TABLE sessions ADD COLUMN model_id BLOB;
