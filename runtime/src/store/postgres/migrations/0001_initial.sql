-- Conventions of every table here:
-- * Times are microseconds since 1970-01-01T00:00:00Z, as they are in events. JSON is text, so that
--   what is read is what was written, byte for byte.
-- * "position" numbers rows in order of creation; lists are in that order.
-- * org_id comes first in every key. The exceptions belong to the installation, not to an org:
--   blobs (found only through an org's component_versions), installation_secrets, and orgs itself.
-- * Text in keys has the collation "C": it is compared byte by byte, whatever the database's
--   language is, as in SQLite and in memory.
-- * A unique constraint is named after its table and the column that tells rows of an org apart;
--   the store finds out by that name what is taken.
-- * Ids of harnesses and agents that other rows mention are checked by the runtime, not here.

CREATE TABLE orgs (
    position          BIGINT  GENERATED ALWAYS AS IDENTITY,
    id                UUID    NOT NULL CONSTRAINT orgs_id PRIMARY KEY,
    name              TEXT    COLLATE "C" NOT NULL CONSTRAINT orgs_name UNIQUE,
    -- Null while the platform's base harness is used.
    base_harness_id   UUID,
    default_harness_id UUID,
    -- Whether default_harness_id is the platform's choice or the org's.
    default_is_seeded BOOLEAN NOT NULL DEFAULT FALSE,
    version           BIGINT  NOT NULL DEFAULT 1,
    created_at        BIGINT  NOT NULL,
    updated_at        BIGINT  NOT NULL
);

CREATE TABLE api_keys (
    position    BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org_id      UUID   NOT NULL REFERENCES orgs (id),
    id          UUID   NOT NULL,
    name        TEXT   NOT NULL,
    scope       TEXT   NOT NULL,
    secret_hash BYTEA  NOT NULL CONSTRAINT api_keys_secret_hash UNIQUE,
    created_at  BIGINT NOT NULL,
    CONSTRAINT api_keys_id UNIQUE (org_id, id)
);

CREATE TABLE installation_secrets (
    name  TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE harnesses (
    position          BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org_id            UUID    NOT NULL,
    id                UUID    NOT NULL,
    name              TEXT    COLLATE "C" NOT NULL,
    display_name      TEXT,
    description       TEXT,
    system_prompt     TEXT,
    parent_harness_id UUID,
    default_model_id  UUID,
    capabilities      TEXT    NOT NULL,
    initial_files     TEXT    NOT NULL,
    tags              TEXT    NOT NULL,
    is_built_in       BOOLEAN NOT NULL,
    status            TEXT    NOT NULL,
    version           BIGINT  NOT NULL,
    created_at        BIGINT  NOT NULL,
    updated_at        BIGINT  NOT NULL,
    CONSTRAINT harnesses_id UNIQUE (org_id, id),
    CONSTRAINT harnesses_name UNIQUE (org_id, name)
);
CREATE INDEX harnesses_in_order ON harnesses (org_id, position);

CREATE TABLE agents (
    position         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org_id           UUID   NOT NULL,
    id               UUID   NOT NULL,
    name             TEXT   COLLATE "C" NOT NULL,
    display_name     TEXT,
    description      TEXT,
    system_prompt    TEXT   NOT NULL,
    harness_id       UUID   NOT NULL,
    default_model_id UUID,
    capabilities     TEXT   NOT NULL,
    tools            TEXT   NOT NULL,
    initial_files    TEXT   NOT NULL,
    max_iterations   BIGINT,
    tags             TEXT   NOT NULL,
    status           TEXT   NOT NULL,
    version          BIGINT NOT NULL,
    created_at       BIGINT NOT NULL,
    updated_at       BIGINT NOT NULL,
    CONSTRAINT agents_id UNIQUE (org_id, id),
    CONSTRAINT agents_name UNIQUE (org_id, name)
);
CREATE INDEX agents_in_order ON agents (org_id, position);

-- last_sequence and fence are what an append is checked against; they are here so that the
-- check reads one row. Room in each page keeps the changes of both out of the indexes.
CREATE TABLE sessions (
    position       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org_id         UUID   NOT NULL,
    id             UUID   NOT NULL,
    harness_id     UUID   NOT NULL,
    agent_id       UUID,
    model_id       UUID,
    -- The caller who made it, if it was one.
    owner          TEXT,
    title          TEXT,
    status         TEXT   NOT NULL,
    system_prompt  TEXT,
    capabilities   TEXT   NOT NULL,
    tools          TEXT   NOT NULL,
    initial_files  TEXT   NOT NULL,
    locale         TEXT,
    max_iterations BIGINT,
    tags           TEXT   NOT NULL,
    version        BIGINT NOT NULL,
    created_at     BIGINT NOT NULL,
    updated_at     BIGINT NOT NULL,
    last_sequence  BIGINT NOT NULL,
    fence          BIGINT NOT NULL,
    CONSTRAINT sessions_id UNIQUE (org_id, id)
) WITH (fillfactor = 70);
CREATE INDEX sessions_in_order ON sessions (org_id, position);

-- data is the event's type and payload: {"type": .., "data": ..}. The session of an event is
-- checked at the end of a transaction when that asks for it: see the trigger of deletions.
CREATE TABLE events (
    org_id           UUID   NOT NULL,
    session_id       UUID   NOT NULL,
    sequence         BIGINT NOT NULL,
    id               UUID   NOT NULL,
    ts               BIGINT NOT NULL,
    turn_id          UUID,
    input_message_id UUID,
    data             TEXT   NOT NULL,
    CONSTRAINT events_sequence PRIMARY KEY (org_id, session_id, sequence),
    CONSTRAINT events_id UNIQUE (org_id, session_id, id),
    FOREIGN KEY (org_id, session_id) REFERENCES sessions (org_id, id) DEFERRABLE INITIALLY IMMEDIATE
);

CREATE FUNCTION events_are_never_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'events are append-only';
END
$$;
CREATE TRIGGER events_are_never_changed BEFORE UPDATE OR TRUNCATE ON events
EXECUTE FUNCTION events_are_never_changed();

-- A session is deleted with all of its events, and no event without its session: the session's
-- row goes first, which the deferred foreign key allows.
CREATE FUNCTION events_are_deleted_with_their_session_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM sessions WHERE org_id = OLD.org_id AND id = OLD.session_id) THEN
        RAISE EXCEPTION 'events are append-only';
    END IF;
    RETURN OLD;
END
$$;
CREATE TRIGGER events_are_deleted_with_their_session_only BEFORE DELETE ON events
FOR EACH ROW EXECUTE FUNCTION events_are_deleted_with_their_session_only();

-- The rows before it in one statement count: a trigger function that is volatile sees them.
CREATE FUNCTION events_have_no_gaps() RETURNS trigger LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF NEW.sequence <> (
        SELECT coalesce(max(sequence), 0) + 1 FROM events WHERE org_id = NEW.org_id AND session_id = NEW.session_id
    ) THEN
        RAISE EXCEPTION 'events of a session are numbered without gaps';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER events_have_no_gaps BEFORE INSERT ON events
FOR EACH ROW EXECUTE FUNCTION events_have_no_gaps();

-- outcome is null while the turn is open. Ended turns stay, so that a repeated submission is known.
-- parked is true while an open turn waits for somebody outside; nobody can claim it then.
CREATE TABLE turns (
    org_id           UUID    NOT NULL,
    id               UUID    NOT NULL,
    session_id       UUID    NOT NULL,
    input_sequence   BIGINT  NOT NULL,
    attempt          BIGINT  NOT NULL,
    cancel_requested BOOLEAN NOT NULL,
    parked           BOOLEAN NOT NULL DEFAULT FALSE,
    outcome          TEXT,
    CONSTRAINT turns_id PRIMARY KEY (org_id, id),
    FOREIGN KEY (org_id, session_id, input_sequence) REFERENCES events (org_id, session_id, sequence)
        DEFERRABLE INITIALLY IMMEDIATE
);
CREATE UNIQUE INDEX turns_open ON turns (org_id, session_id, input_sequence) WHERE outcome IS NULL;
CREATE INDEX turns_parked ON turns (org_id, session_id) WHERE outcome IS NULL AND parked;
CREATE INDEX turns_of_session ON turns (org_id, session_id, input_sequence);

CREATE TABLE components (
    position       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org_id         UUID   NOT NULL,
    id             UUID   NOT NULL,
    name           TEXT   COLLATE "C" NOT NULL,
    kind           TEXT   NOT NULL,
    active_version BIGINT,
    latest_version BIGINT NOT NULL,
    created_at     BIGINT NOT NULL,
    updated_at     BIGINT NOT NULL,
    archived_at    BIGINT,
    CONSTRAINT components_id UNIQUE (org_id, id),
    CONSTRAINT components_name UNIQUE (org_id, name)
);
CREATE INDEX components_in_order ON components (org_id, position);

-- Bytes of components by their digest, "sha256:" and 64 hex digits; stored once for all orgs.
CREATE TABLE blobs (
    digest TEXT  COLLATE "C" NOT NULL PRIMARY KEY,
    bytes  BYTEA NOT NULL
);
-- WebAssembly hardly shrinks under the database's own compression.
ALTER TABLE blobs ALTER COLUMN bytes SET STORAGE EXTERNAL;

CREATE TABLE component_versions (
    org_id       UUID   NOT NULL,
    component_id UUID   NOT NULL,
    version      BIGINT NOT NULL,
    digest       TEXT   COLLATE "C" NOT NULL REFERENCES blobs (digest),
    size         BIGINT NOT NULL,
    description  TEXT   NOT NULL,
    imports      TEXT   NOT NULL,
    granted      TEXT   NOT NULL,
    budget       TEXT   NOT NULL,
    created_at   BIGINT NOT NULL,
    -- When it was last activated; null if it never was.
    activated_at BIGINT,
    PRIMARY KEY (org_id, component_id, version),
    UNIQUE (org_id, component_id, digest),
    FOREIGN KEY (org_id, component_id) REFERENCES components (org_id, id)
);
CREATE INDEX component_versions_by_digest ON component_versions (org_id, digest);

-- Keys are bytes, so that their order and length are those of bytes whatever they contain.
CREATE TABLE kv (
    org_id    UUID   NOT NULL,
    component TEXT   COLLATE "C" NOT NULL,
    bucket    TEXT   COLLATE "C" NOT NULL,
    key       BYTEA  NOT NULL,
    value     BYTEA  NOT NULL,
    version   BIGINT NOT NULL,
    size      BIGINT NOT NULL CHECK (size = octet_length(key) + octet_length(value)),
    PRIMARY KEY (org_id, component, bucket, key)
);
-- Answers "how much is in the bucket" without reading values.
CREATE INDEX kv_size ON kv (org_id, component, bucket, size);

-- Highest version that a removed key of a bucket had. A key begins above it, so that a version
-- never names two values of one key; one number for a bucket, because removed keys are many.
CREATE TABLE kv_floors (
    org_id    UUID   NOT NULL,
    component TEXT   COLLATE "C" NOT NULL,
    bucket    TEXT   COLLATE "C" NOT NULL,
    version   BIGINT NOT NULL,
    PRIMARY KEY (org_id, component, bucket)
);

-- Requests that must have one effect however often they are sent. Forgotten after a day.
CREATE TABLE requests (
    org_id      UUID   NOT NULL REFERENCES orgs (id),
    route       TEXT   COLLATE "C" NOT NULL,
    request_key TEXT   COLLATE "C" NOT NULL,
    fingerprint BYTEA  NOT NULL,
    id          UUID   NOT NULL,
    arrived_at  BIGINT NOT NULL,
    PRIMARY KEY (org_id, route, request_key)
);
CREATE INDEX requests_by_arrival ON requests (org_id, arrived_at);

-- Accounts at model vendors. Credentials are envelopes as JSON text: see the secret module.
CREATE TABLE providers (
    position          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org_id            UUID   NOT NULL,
    id                UUID   NOT NULL,
    name              TEXT   COLLATE "C" NOT NULL,
    provider_type     TEXT   NOT NULL,
    base_url          TEXT,
    status            TEXT   NOT NULL,
    api_key           TEXT,
    provider_metadata TEXT,
    version           BIGINT NOT NULL,
    created_at        BIGINT NOT NULL,
    updated_at        BIGINT NOT NULL,
    CONSTRAINT providers_id UNIQUE (org_id, id),
    CONSTRAINT providers_name UNIQUE (org_id, name)
);
CREATE INDEX providers_in_order ON providers (org_id, position);

-- Providers and models can be removed; models go with their provider, and what mentions a model
-- that is gone goes on with the next one in line. stale is true once a provider's list has a
-- discovered model no more.
CREATE TABLE models (
    position     BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org_id       UUID    NOT NULL,
    id           UUID    NOT NULL,
    provider_id  UUID    NOT NULL,
    model_id     TEXT    COLLATE "C" NOT NULL,
    display_name TEXT    NOT NULL,
    capabilities TEXT    NOT NULL,
    profile      TEXT    NOT NULL,
    enabled      BOOLEAN NOT NULL,
    is_favorite  BOOLEAN NOT NULL,
    is_default   BOOLEAN NOT NULL,
    source       TEXT    NOT NULL,
    stale        BOOLEAN NOT NULL,
    version      BIGINT  NOT NULL,
    created_at   BIGINT  NOT NULL,
    updated_at   BIGINT  NOT NULL,
    CONSTRAINT models_id UNIQUE (org_id, id),
    CONSTRAINT models_model_id UNIQUE (org_id, provider_id, model_id),
    FOREIGN KEY (org_id, provider_id) REFERENCES providers (org_id, id) ON DELETE CASCADE
);
CREATE INDEX models_in_order ON models (org_id, position);
CREATE INDEX models_of_provider ON models (org_id, provider_id, position);
CREATE UNIQUE INDEX models_default ON models (org_id) WHERE is_default;

-- What the platform gave an org once; kept when the org removes it, so that it stays removed.
CREATE TABLE provider_seeds (
    org_id UUID NOT NULL,
    seed   TEXT COLLATE "C" NOT NULL,
    id     UUID NOT NULL,
    PRIMARY KEY (org_id, seed)
);

-- Files and directories of sessions, without the root. The path begins with a slash, and what is
-- below a directory is a range of the primary key.
CREATE TABLE session_files (
    org_id       UUID    NOT NULL,
    session_id   UUID    NOT NULL,
    path         TEXT    COLLATE "C" NOT NULL,
    is_directory BOOLEAN NOT NULL,
    is_readonly  BOOLEAN NOT NULL,
    size         BIGINT  NOT NULL CHECK (size = octet_length(content)),
    content_hash TEXT,
    created_at   BIGINT  NOT NULL,
    updated_at   BIGINT  NOT NULL,
    content      BYTEA   NOT NULL,
    PRIMARY KEY (org_id, session_id, path)
);
-- Answers "how much does the session have" without reading contents.
CREATE INDEX session_files_size ON session_files (org_id, session_id, size);

-- What the platform seeded, so that a later start knows it again. digest is that of the resource
-- as it was seeded last: a resource with another one was changed by its org and is left alone.
CREATE TABLE seeds (
    org_id   UUID    NOT NULL REFERENCES orgs (id),
    kind     TEXT    COLLATE "C" NOT NULL,
    key      TEXT    COLLATE "C" NOT NULL,
    resource UUID    NOT NULL,
    digest   TEXT    NOT NULL,
    archived BOOLEAN NOT NULL,
    PRIMARY KEY (org_id, kind, key)
);

-- The chat session of each caller of an org.
CREATE TABLE chat_sessions (
    org_id     UUID NOT NULL REFERENCES orgs (id),
    subject    TEXT COLLATE "C" NOT NULL,
    session_id UUID NOT NULL,
    PRIMARY KEY (org_id, subject)
);

-- Accounts of users at third parties. The credential is an envelope as JSON text: see the secret
-- module.
CREATE TABLE connections (
    org_id            UUID   NOT NULL,
    subject           TEXT   COLLATE "C" NOT NULL,
    provider          TEXT   COLLATE "C" NOT NULL,
    connection_type   TEXT   NOT NULL,
    status            TEXT   NOT NULL,
    provider_username TEXT,
    provider_metadata TEXT   NOT NULL,
    scopes            TEXT   NOT NULL,
    credential        TEXT   NOT NULL,
    expires_at        BIGINT,
    version           BIGINT NOT NULL,
    connected_at      BIGINT NOT NULL,
    updated_at        BIGINT NOT NULL,
    PRIMARY KEY (org_id, subject, provider)
);

-- Authorizations that a third party has not answered yet. States are stored as their hash: who
-- reads the table can finish none of them.
CREATE TABLE connection_authorizations (
    position     BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org_id       UUID   NOT NULL,
    state_hash   BYTEA  NOT NULL,
    browser_hash BYTEA  NOT NULL,
    subject      TEXT   COLLATE "C" NOT NULL,
    provider     TEXT   NOT NULL,
    verifier     TEXT   NOT NULL,
    redirect_uri TEXT   NOT NULL,
    return_to    TEXT,
    expires_at   BIGINT NOT NULL,
    CONSTRAINT connection_authorizations_state_hash UNIQUE (org_id, state_hash)
);
CREATE INDEX connection_authorizations_of_user ON connection_authorizations (org_id, subject, position);
CREATE INDEX connection_authorizations_by_end ON connection_authorizations (org_id, expires_at);

-- Secrets of sessions, as envelopes. They go with the session.
CREATE TABLE session_secrets (
    org_id     UUID NOT NULL,
    session_id UUID NOT NULL,
    name       TEXT COLLATE "C" NOT NULL,
    value      TEXT NOT NULL,
    PRIMARY KEY (org_id, session_id, name)
);
