//! From errors of the database to those of the store.

use std::fmt::Display;

use sqlx::error::DatabaseError;

use crate::store::StoreError;

/// Primary result codes of SQLite, the low byte of every code: <https://sqlite.org/rescode.html>.
const SQLITE_PERM: i32 = 3;
const SQLITE_BUSY: i32 = 5;
const SQLITE_LOCKED: i32 = 6;
const SQLITE_NOMEM: i32 = 7;
const SQLITE_READONLY: i32 = 8;
const SQLITE_INTERRUPT: i32 = 9;
const SQLITE_IOERR: i32 = 10;
const SQLITE_FULL: i32 = 13;
const SQLITE_CANTOPEN: i32 = 14;
const SQLITE_PROTOCOL: i32 = 15;
const SQLITE_TOOBIG: i32 = 18;

/// An error for which the caller has no better explanation.
pub(super) fn store_error(error: sqlx::Error) -> StoreError {
    let database = match &error {
        sqlx::Error::Database(database) => database,
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::ColumnNotFound(_) | sqlx::Error::Decode(_) => {
            return StoreError::Corrupt(error.to_string());
        }
        _ => return StoreError::Unavailable(error.to_string()),
    };
    let message = database.message().to_owned();
    if database.is_unique_violation() {
        return StoreError::Duplicate { what: "row", id: message };
    }
    match primary_code(database.as_ref()) {
        SQLITE_PERM | SQLITE_BUSY | SQLITE_LOCKED | SQLITE_NOMEM | SQLITE_READONLY | SQLITE_INTERRUPT | SQLITE_IOERR | SQLITE_FULL
        | SQLITE_CANTOPEN | SQLITE_PROTOCOL => StoreError::Unavailable(message),
        SQLITE_TOOBIG => StoreError::Limit(format!("the database cannot take so large a value: {message}")),
        // What remains are broken constraints, missing tables and a malformed file.
        _ => StoreError::Corrupt(message),
    }
}

/// Whether another connection holds a lock.
pub(super) fn is_busy(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(database) = error else { return false };
    matches!(primary_code(database.as_ref()), SQLITE_BUSY | SQLITE_LOCKED)
}

/// Names what is taken if the error is the violation of a unique constraint over one of
/// `columns`, written `table.column`. SQLite lists the columns of the violated constraint in its
/// message, as in `UNIQUE constraint failed: agents.org_id, agents.name`, and nowhere else.
pub(super) fn taken(error: sqlx::Error, what: &'static str, columns: &[(&str, &dyn Display)]) -> StoreError {
    let violated = error.as_database_error().filter(|database| database.is_unique_violation()).and_then(|database| {
        let listed = database.message().rsplit(": ").next().unwrap_or_default();
        columns.iter().find(|(column, _)| listed.split(", ").any(|listed| listed == *column))
    });
    match violated {
        Some((_, id)) => StoreError::Duplicate { what, id: id.to_string() },
        None => store_error(error),
    }
}

fn primary_code(error: &dyn DatabaseError) -> i32 {
    error.code().and_then(|code| code.parse::<i32>().ok()).unwrap_or_default() & 0xff
}
