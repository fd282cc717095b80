-- Most risk of a capability that turns of the org use.
ALTER TABLE orgs ADD COLUMN max_risk TEXT NOT NULL DEFAULT 'high';
