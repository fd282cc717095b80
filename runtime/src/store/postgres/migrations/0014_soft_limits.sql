-- Why a turn is parked: true if it waits until its session is resumed, false if for somebody outside.
ALTER TABLE turns ADD COLUMN paused BOOLEAN NOT NULL DEFAULT FALSE;

-- At which use sessions pause.
ALTER TABLE budgets ADD COLUMN soft_limit BIGINT;

-- What the limit of the account was topped up by.
ALTER TABLE usage_accounts ADD COLUMN granted BIGINT NOT NULL DEFAULT 0;

-- What was used or added, one row a settled charge or top-up: a row has the ids of one of them.
ALTER TABLE usage_postings
    ALTER COLUMN reservation_id DROP NOT NULL,
    ALTER COLUMN session_id DROP NOT NULL,
    ALTER COLUMN turn_id DROP NOT NULL,
    ADD COLUMN top_up_id UUID,
    ADD CONSTRAINT usage_postings_entry CHECK (
        (top_up_id IS NULL) = (reservation_id IS NOT NULL AND session_id IS NOT NULL AND turn_id IS NOT NULL)
    );

CREATE UNIQUE INDEX usage_postings_top_ups ON usage_postings (org_id, top_up_id) WHERE top_up_id IS NOT NULL;
