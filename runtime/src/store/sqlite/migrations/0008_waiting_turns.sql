-- parked is 1 while an open turn waits for somebody outside; nobody can claim it then.
ALTER TABLE turns ADD COLUMN parked INTEGER NOT NULL DEFAULT 0;

-- Client-side tools, as JSON.
ALTER TABLE agents ADD COLUMN tools TEXT NOT NULL DEFAULT '[]';
ALTER TABLE sessions ADD COLUMN tools TEXT NOT NULL DEFAULT '[]';
