//! What PostgreSQL says in its own way.

use std::convert::Infallible;

use uuid::Uuid;

/// The driver.
pub(super) type Database = sqlx::postgres::Postgres;
/// A UUID as it is stored.
pub(super) type Key = Uuid;
/// A truth value as it is read.
pub(super) type Flag = bool;

/// Nothing: which index serves a statement is the planner's choice.
macro_rules! indexed_by {
    ($index:literal) => {
        ""
    };
}

/// A true column as the conditions of partial indexes spell it.
macro_rules! yes {
    () => {
        "TRUE"
    };
}

/// What orgs are ordered by.
macro_rules! position_of_org {
    () => {
        "position"
    };
}

/// Begins a transaction whose reads are all of one moment.
pub(super) const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
/// Lets the foreign keys of a transaction be checked at its end.
pub(super) const DEFER_FOREIGN_KEYS: &str = "SET CONSTRAINTS ALL DEFERRED";
/// Inserts events: the org, the session, the first sequence, and the rows as a JSON array, whose
/// index is `place`, from 1.
pub(super) const INSERT_EVENTS: &str = concat!(
    "INSERT INTO events (org_id, session_id, sequence, id, ts, turn_id, input_message_id, data) ",
    "SELECT $1, $2, $3 + place - 1, CAST(value ->> 0 AS uuid), CAST(value ->> 1 AS bigint), CAST(value ->> 2 AS uuid), ",
    "CAST(value ->> 3 AS uuid), value ->> 4 FROM json_array_elements(CAST($4 AS json)) WITH ORDINALITY AS rows (value, place) ",
    "ORDER BY place"
);

/// A UUID as it is stored.
pub(super) fn key(id: Uuid) -> Key {
    id
}

/// A UUID that was stored.
pub(super) fn uuid(key: Key) -> Result<Uuid, Infallible> {
    Ok(key)
}

/// A truth value that was stored.
pub(super) fn truth(flag: Flag) -> Result<bool, Infallible> {
    Ok(flag)
}
