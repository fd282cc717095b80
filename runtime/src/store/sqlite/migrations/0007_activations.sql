-- When a version was last activated; none if it never was. The way back leads to the latest of
-- the versions that are not active. For activations before this column the time is not known;
-- the active version's is at most the component's last change.
ALTER TABLE component_versions ADD COLUMN activated_at INTEGER;

UPDATE component_versions SET activated_at = (
    SELECT components.updated_at FROM components
    WHERE components.org_id = component_versions.org_id
      AND components.id = component_versions.component_id
      AND components.active_version = component_versions.version
);
