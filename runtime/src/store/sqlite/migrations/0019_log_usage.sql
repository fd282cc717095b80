-- What the log of an org has: bytes of its events, and the turns that began in a minute of the clock and in
-- the one before it. Kept by triggers, so that whoever writes an event or a turn counts it, in the same
-- transaction. An event counts the bytes of its data, and 128 for its row and its keys. There is one writer, so
-- that an org has one part.
CREATE TABLE log_usage (
    org_id       BLOB    NOT NULL,
    part         INTEGER NOT NULL,
    event_bytes  INTEGER NOT NULL,
    minute       INTEGER NOT NULL,
    turns        INTEGER NOT NULL,
    turns_before INTEGER NOT NULL,
    PRIMARY KEY (org_id, part)
) STRICT, WITHOUT ROWID;

INSERT INTO log_usage (org_id, part, event_bytes, minute, turns, turns_before)
SELECT org_id, 0, sum(length(CAST(data AS BLOB)) + 128), 0, 0, 0 FROM events GROUP BY org_id;

CREATE TRIGGER events_are_counted AFTER INSERT ON events
BEGIN
    INSERT INTO log_usage (org_id, part, event_bytes, minute, turns, turns_before)
    VALUES (NEW.org_id, 0, length(CAST(NEW.data AS BLOB)) + 128, 0, 0, 0)
    ON CONFLICT (org_id, part) DO UPDATE SET event_bytes = event_bytes + excluded.event_bytes;
END;

CREATE TRIGGER events_are_given_back AFTER DELETE ON events
BEGIN
    UPDATE log_usage SET event_bytes = event_bytes - length(CAST(OLD.data AS BLOB)) - 128 WHERE org_id = OLD.org_id AND part = 0;
END;

-- A turn begins in the minute of its message. Of two processes whose clocks differ, the later minute counts.
CREATE TRIGGER turns_are_counted AFTER INSERT ON turns
BEGIN
    UPDATE log_usage SET
        turns = CASE WHEN begun.minute IN (log_usage.minute, log_usage.minute - 1) THEN turns + 1 ELSE 1 END,
        turns_before = CASE
            WHEN begun.minute IN (log_usage.minute, log_usage.minute - 1) THEN turns_before
            WHEN begun.minute = log_usage.minute + 1 THEN turns
            ELSE 0
        END,
        minute = CASE WHEN begun.minute = log_usage.minute - 1 THEN log_usage.minute ELSE begun.minute END
    FROM (
        SELECT ts / 60000000 AS minute FROM events
        WHERE org_id = NEW.org_id AND session_id = NEW.session_id AND sequence = NEW.input_sequence
    ) AS begun
    WHERE org_id = NEW.org_id AND part = 0;
END;
