-- Requests that must have one effect however often they are sent. Forgotten after a day.
CREATE TABLE requests (
    org_id      BLOB    NOT NULL REFERENCES orgs (id),
    route       TEXT    NOT NULL,
    request_key TEXT    NOT NULL,
    fingerprint BLOB    NOT NULL,
    id          BLOB    NOT NULL,
    arrived_at  INTEGER NOT NULL,
    PRIMARY KEY (org_id, route, request_key)
) STRICT, WITHOUT ROWID;

CREATE INDEX requests_by_arrival ON requests (org_id, arrived_at);
