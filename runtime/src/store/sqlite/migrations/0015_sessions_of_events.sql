-- The log and the turns are the only truth of a session: its status, where its log ends and who owns
-- it follow from them, so that an append is one statement and nothing can disagree.
ALTER TABLE sessions DROP COLUMN status;
ALTER TABLE sessions DROP COLUMN last_sequence;
ALTER TABLE sessions DROP COLUMN fence;

-- The fence of the latest claim of the turn; 0 before the first one.
ALTER TABLE turns ADD COLUMN fence INTEGER NOT NULL DEFAULT 0;
CREATE INDEX turns_claimed ON turns (org_id, session_id, fence) WHERE fence > 0;
