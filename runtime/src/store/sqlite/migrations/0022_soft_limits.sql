-- Why a turn is parked: 1 if it waits until its session is resumed, 0 if for somebody outside.
ALTER TABLE turns ADD COLUMN paused INTEGER NOT NULL DEFAULT 0;

-- At which use sessions pause.
ALTER TABLE budgets ADD COLUMN soft_limit INTEGER;

-- What the limit of the account was topped up by.
ALTER TABLE usage_accounts ADD COLUMN granted INTEGER NOT NULL DEFAULT 0;

-- What was used or added, one row a settled charge or top-up: a row has the ids of one of them.
CREATE TABLE postings (
    position       INTEGER PRIMARY KEY,
    org_id         BLOB    NOT NULL REFERENCES orgs (id),
    account        TEXT    NOT NULL,
    reservation_id BLOB,
    session_id     BLOB,
    turn_id        BLOB,
    top_up_id      BLOB,
    amount         INTEGER NOT NULL,
    at             INTEGER NOT NULL,
    CHECK ((top_up_id IS NULL) = (reservation_id IS NOT NULL AND session_id IS NOT NULL AND turn_id IS NOT NULL))
) STRICT;

INSERT INTO postings (position, org_id, account, reservation_id, session_id, turn_id, amount, at)
SELECT position, org_id, account, reservation_id, session_id, turn_id, amount, at FROM usage_postings;

DROP TABLE usage_postings;
ALTER TABLE postings RENAME TO usage_postings;

CREATE INDEX usage_postings_by_account ON usage_postings (org_id, account, position);
CREATE UNIQUE INDEX usage_postings_top_ups ON usage_postings (org_id, top_up_id) WHERE top_up_id IS NOT NULL;
