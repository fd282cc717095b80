-- Highest version that a removed key of a bucket had. A key begins above it, so that a version
-- never names two values of one key; one number for a bucket, because removed keys are many.
CREATE TABLE kv_floors (
    org_id    BLOB    NOT NULL,
    component TEXT    NOT NULL,
    bucket    TEXT    NOT NULL,
    version   INTEGER NOT NULL,
    PRIMARY KEY (org_id, component, bucket)
) STRICT, WITHOUT ROWID;

-- A session is deleted with all of its events, and no event without its session: the session's
-- row goes first, which foreign keys allow when they are checked at the end of the transaction.
DROP TRIGGER events_are_never_deleted;
CREATE TRIGGER events_are_deleted_with_their_session_only BEFORE DELETE ON events
WHEN EXISTS (SELECT 1 FROM sessions WHERE org_id = OLD.org_id AND id = OLD.session_id)
BEGIN
    SELECT RAISE(ABORT, 'events are append-only');
END;

-- Finds the turns of a session, ended ones included.
CREATE INDEX turns_of_session ON turns (org_id, session_id);
