-- A planner without statistics takes any index that begins with the columns of a condition for as good
-- as any other, and keeps to that. So one index alone begins with a session: that of the log's order.
ALTER TABLE events DROP CONSTRAINT events_id;
ALTER TABLE events ADD CONSTRAINT events_id UNIQUE (id, org_id, session_id);

-- An event needs the one before it, and no number is taken twice: so there are no gaps. It costs the
-- same however long the log is.
CREATE OR REPLACE FUNCTION events_have_no_gaps() RETURNS trigger LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF NEW.sequence <> 1 AND NOT EXISTS (
        SELECT 1 FROM events WHERE org_id = NEW.org_id AND session_id = NEW.session_id AND sequence = NEW.sequence - 1
    ) THEN
        RAISE EXCEPTION 'events of a session are numbered without gaps';
    END IF;
    RETURN NEW;
END
$$;
