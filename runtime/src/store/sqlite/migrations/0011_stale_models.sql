-- 1 once a provider's list has a discovered model no more.
ALTER TABLE models ADD COLUMN stale INTEGER NOT NULL DEFAULT 0;
