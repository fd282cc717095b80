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

/// The larger of two values.
macro_rules! larger {
    ($one:literal, $other:literal) => {
        concat!("greatest(", $one, ", ", $other, ")")
    };
}

/// Lets nobody else change the rows that a statement reads.
macro_rules! for_update {
    () => {
        " FOR NO KEY UPDATE"
    };
}

/// The rows of events in a JSON array, numbered from 1.
macro_rules! event_rows {
    ($array:literal) => {
        concat!(
            "(SELECT place, CAST(value ->> 0 AS uuid) AS id, CAST(value ->> 1 AS bigint) AS ts, CAST(value ->> 2 AS uuid) AS turn_id, ",
            "CAST(value ->> 3 AS uuid) AS input_message_id, value ->> 4 AS data FROM json_array_elements(CAST(",
            $array,
            " AS json)) WITH ORDINALITY AS rows (value, place)) AS new"
        )
    };
}

/// An insertion of events of one session that returns the last sequence, if any were inserted, and
/// wakes whoever listens to the session in another process.
macro_rules! storing {
    ($($insertion:expr),+) => {
        concat!(
            "WITH stored AS (",
            $($insertion,)+
            " RETURNING session_id, sequence) SELECT max(sequence) AS sequence, ",
            "pg_notify('everwit_events', CAST(session_id AS text) || ':' || CAST(max(sequence) AS text)) AS told ",
            "FROM stored GROUP BY session_id"
        )
    };
}

/// An insertion of events of one session that also ends turn `$6` with the word `$7`, and returns the last
/// sequence: all of it or nothing. None if the database cannot do that in one statement.
macro_rules! ending {
    ($($insertion:expr),+) => {
        Some(concat!(
            "WITH stored AS (",
            $($insertion,)+
            " RETURNING session_id, sequence), ended AS (UPDATE turns SET outcome = $7 WHERE org_id = $1 AND id = $6 ",
            "AND EXISTS (SELECT 1 FROM stored)) SELECT max(sequence) AS sequence, ",
            "pg_notify('everwit_events', CAST(session_id AS text) || ':' || CAST(max(sequence) AS text)) AS told ",
            "FROM stored GROUP BY session_id"
        ))
    };
}

/// Begins a transaction whose reads are all of one moment.
pub(super) const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
/// Lets the foreign keys of a transaction be checked at its end.
pub(super) const DEFER_FOREIGN_KEYS: &str = "SET CONSTRAINTS ALL DEFERRED";
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
