-- Who has to sign the components of an org, as JSON.
ALTER TABLE orgs ADD COLUMN signatures TEXT NOT NULL DEFAULT '{"policy":"off","keys":[]}';
-- The signature that came with a version.
ALTER TABLE component_versions ADD COLUMN signature TEXT;
