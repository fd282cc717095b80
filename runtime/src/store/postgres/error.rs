//! From errors of the database to those of the store.

use std::fmt::Display;

use crate::store::StoreError;

/// Classes and codes of SQLSTATE: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
/// These are about the server, the connection or others who were there first, not about the
/// statement: it may succeed later.
const UNAVAILABLE: [&str; 12] = ["08", "28", "3D", "40", "53", "57", "58", "25006", "25P03", "42501", "55006", "55P03"];
/// Text that the database cannot keep; of valid UTF-8 only U+0000.
const UNSTORABLE_TEXT: [&str; 2] = ["22021", "22P05"];
/// A limit of the program was exceeded.
const LIMIT: &str = "54";

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
    let code = database.code().unwrap_or_default();
    if UNAVAILABLE.iter().any(|known| code.starts_with(known)) {
        StoreError::Unavailable(message)
    } else if UNSTORABLE_TEXT.contains(&code.as_ref()) {
        StoreError::Invalid("a text with the character U+0000 cannot be stored; remove it".to_owned())
    } else if code.starts_with(LIMIT) {
        StoreError::Limit(format!("the database cannot take so large a value: {message}"))
    } else {
        // What remains are broken constraints, missing tables and statements of another schema.
        StoreError::Corrupt(message)
    }
}

/// Whether the connection broke, rather than the statement.
pub(super) fn is_connection_lost(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) => true,
        // The server shuts down, or an operator ended the connection.
        sqlx::Error::Database(database) => database.code().is_some_and(|code| code.starts_with("08") || code.starts_with("57P0")),
        _ => false,
    }
}

/// Names what is taken if the error is the violation of a unique constraint over one of
/// `columns`, written `table.column`. The schema names the constraint `table_column`.
pub(super) fn taken(error: sqlx::Error, what: &'static str, columns: &[(&str, &dyn Display)]) -> StoreError {
    let violated = error.as_database_error().filter(|database| database.is_unique_violation()).and_then(|database| {
        let constraint = database.constraint()?;
        columns.iter().find(|(column, _)| column.replace('.', "_") == constraint)
    });
    match violated {
        Some((_, id)) => StoreError::Duplicate { what, id: id.to_string() },
        None => store_error(error),
    }
}
