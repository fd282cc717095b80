-- Whether a component is a capability or a model driver; all that were uploaded before are
-- capabilities.
ALTER TABLE components ADD COLUMN kind TEXT NOT NULL DEFAULT 'capability';
