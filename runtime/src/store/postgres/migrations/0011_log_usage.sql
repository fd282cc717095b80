-- What the log of an org has: bytes of its events, and the turns that began in a minute of the clock and in
-- the one before it. Kept by triggers, so that whoever writes an event or a turn counts it, in the same
-- transaction. An event counts the bytes of its data, and 128 for its row and its keys. Sessions are spread over
-- parts, so that those of one org seldom wait for each other's commits.
CREATE TABLE log_usage (
    org_id       UUID   NOT NULL,
    part         BIGINT NOT NULL,
    event_bytes  BIGINT NOT NULL,
    minute       BIGINT NOT NULL,
    turns        BIGINT NOT NULL,
    turns_before BIGINT NOT NULL,
    CONSTRAINT log_usage_pkey PRIMARY KEY (org_id, part)
)
-- Room for the new version of a row beside the old one, so that no index changes.
WITH (fillfactor = 50);

CREATE FUNCTION part_of_log(session_id UUID) RETURNS BIGINT LANGUAGE sql IMMUTABLE AS $$
    SELECT CAST(get_byte(uuid_send(session_id), 15) & 15 AS BIGINT)
$$;

INSERT INTO log_usage (org_id, part, event_bytes, minute, turns, turns_before)
SELECT org_id, part_of_log(session_id), sum(octet_length(data) + 128), 0, 0, 0 FROM events GROUP BY 1, 2;

CREATE FUNCTION events_are_counted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO log_usage AS kept (org_id, part, event_bytes, minute, turns, turns_before)
    SELECT org_id, part_of_log(session_id), sum(octet_length(data) + 128), 0, 0, 0 FROM written GROUP BY 1, 2 ORDER BY 1, 2
    ON CONFLICT (org_id, part) DO UPDATE SET event_bytes = kept.event_bytes + excluded.event_bytes;
    RETURN NULL;
END
$$;
CREATE TRIGGER events_are_counted AFTER INSERT ON events REFERENCING NEW TABLE AS written
FOR EACH STATEMENT EXECUTE FUNCTION events_are_counted();

CREATE FUNCTION events_are_given_back() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE log_usage SET event_bytes = log_usage.event_bytes - gone.bytes
    FROM (SELECT org_id, part_of_log(session_id) AS part, sum(octet_length(data) + 128) AS bytes FROM deleted GROUP BY 1, 2) AS gone
    WHERE log_usage.org_id = gone.org_id AND log_usage.part = gone.part;
    RETURN NULL;
END
$$;
CREATE TRIGGER events_are_given_back AFTER DELETE ON events REFERENCING OLD TABLE AS deleted
FOR EACH STATEMENT EXECUTE FUNCTION events_are_given_back();

-- A turn begins in the minute of its message. Of two processes whose clocks differ, the later minute counts.
CREATE FUNCTION turns_are_counted() RETURNS trigger LANGUAGE plpgsql AS $$
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
    WHERE org_id = NEW.org_id AND part = part_of_log(NEW.session_id);
    RETURN NULL;
END
$$;
CREATE TRIGGER turns_are_counted AFTER INSERT ON turns FOR EACH ROW EXECUTE FUNCTION turns_are_counted();
