-- Versions that have names beside the active one, as a JSON object.
ALTER TABLE components ADD COLUMN channels TEXT NOT NULL DEFAULT '{}';

-- When the tenant last agreed to a version, which activation alone did so far.
ALTER TABLE component_versions ADD COLUMN granted_at INTEGER;
UPDATE component_versions SET granted_at = activated_at;
ALTER TABLE component_versions ADD COLUMN archived_at INTEGER;
-- When the bytes were stored; null once they were deleted, which leaves the row of blobs empty if no
-- other version has them.
ALTER TABLE component_versions ADD COLUMN stored_at INTEGER;
UPDATE component_versions SET stored_at = created_at;
CREATE INDEX component_versions_stored ON component_versions (digest) WHERE stored_at IS NOT NULL;
