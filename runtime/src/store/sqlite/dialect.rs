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

/// Begins a transaction whose reads are all of one moment.
pub(super) const SNAPSHOT: &str = "BEGIN";
/// Lets the foreign keys of a transaction be checked at its end.
pub(super) const DEFER_FOREIGN_KEYS: &str = "PRAGMA defer_foreign_keys = ON";
/// Inserts events: the org, the session, the first sequence, and the rows as a JSON array, whose
/// index is `key`, from 0.
pub(super) const INSERT_EVENTS: &str = concat!(
    "INSERT INTO events (org_id, session_id, sequence, id, ts, turn_id, input_message_id, data) ",
    "SELECT $1, $2, $3 + key, unhex(value ->> 0), value ->> 1, unhex(value ->> 2), unhex(value ->> 3), value ->> 4 ",
    "FROM json_each($4) ORDER BY key"
);

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
