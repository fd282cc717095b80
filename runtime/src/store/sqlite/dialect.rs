//! What SQLite says in its own way.

use uuid::Uuid;

/// The driver.
pub(super) type Database = sqlx::sqlite::Sqlite;
/// A UUID as it is stored: its 16 bytes.
pub(super) type Key = Vec<u8>;
/// A truth value as it is read: 0 or 1.
pub(super) type Flag = i64;

/// Names the index that a statement must use; without it the statement fails.
macro_rules! indexed_by {
    ($index:literal) => {
        concat!(" INDEXED BY ", $index)
    };
}

/// A true column as the conditions of partial indexes spell it.
macro_rules! yes {
    () => {
        "1"
    };
}

/// What orgs are ordered by: their table has no position, but its rows are in order of creation.
macro_rules! position_of_org {
    () => {
        "rowid"
    };
}

/// The larger of two values.
macro_rules! larger {
    ($one:literal, $other:literal) => {
        concat!("max(", $one, ", ", $other, ")")
    };
}

/// Lets nobody else change the rows that a statement reads: nobody does while there is one writer.
macro_rules! for_update {
    () => {
        ""
    };
}

/// The rows of events in a JSON array, numbered from 1.
macro_rules! event_rows {
    ($array:literal) => {
        concat!(
            "(SELECT key + 1 AS place, unhex(value ->> 0) AS id, value ->> 1 AS ts, unhex(value ->> 2) AS turn_id, ",
            "unhex(value ->> 3) AS input_message_id, value ->> 4 AS data FROM json_each(",
            $array,
            ")) AS new"
        )
    };
}

/// An insertion of events of one session that returns the last sequence, if any were inserted.
macro_rules! storing {
    ($($insertion:expr),+) => {
        concat!($($insertion,)+ " RETURNING sequence")
    };
}

/// An insertion of events of one session that also ends a turn: not in one statement.
macro_rules! ending {
    ($($insertion:expr),+) => {
        None
    };
}

/// Begins a transaction whose reads are all of one moment.
pub(super) const SNAPSHOT: &str = "BEGIN";
/// Lets the foreign keys of a transaction be checked at its end.
pub(super) const DEFER_FOREIGN_KEYS: &str = "PRAGMA defer_foreign_keys = ON";
/// A UUID as it is stored.
pub(super) fn key(id: Uuid) -> Key {
    id.as_bytes().to_vec()
}

/// A UUID that was stored.
pub(super) fn uuid(key: Key) -> Result<Uuid, uuid::Error> {
    Uuid::from_slice(&key)
}

/// A truth value that was stored.
pub(super) fn truth(flag: Flag) -> Result<bool, String> {
    match flag {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(format!("{other} is neither 0 nor 1")),
    }
}
