//! The database as a file: looked at, copied, and checked from outside of a store.

use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};

use super::db::create;
use super::error::store_error;
use super::migrate::status;
use crate::store::{SchemaStatus, StoreError, StoreResult};

/// Findings of an integrity check that are told; a broken file can have thousands.
const MAX_FINDINGS: i64 = 10;

pub(super) async fn schema(path: &Path) -> StoreResult<SchemaStatus> {
    let mut connection = open(path).await?;
    let schema = status(&mut connection).await?;
    connection.close().await.map_err(store_error)?;
    Ok(schema)
}

pub(super) async fn back_up(from: &Path, to: &Path) -> StoreResult<()> {
    if to.exists() {
        return Err(StoreError::Invalid(format!("{} exists already; name another file", to.display())));
    }
    let target = to.to_str().ok_or_else(|| StoreError::Invalid(format!("{} is not UTF-8", to.display())))?;
    let mut connection = open(from).await?;
    // SQLite fills the file that is there, and so keeps its mode.
    create(to).await?;
    let copied = sqlx::query("VACUUM INTO $1").bind(target).execute(&mut connection).await.map_err(store_error);
    let closed = connection.close().await.map_err(store_error);
    match copied.and(closed) {
        Ok(()) => sync(to).await,
        Err(error) => {
            // Half a copy is worth nothing, and the error says more than a second one would.
            let _ = tokio::fs::remove_file(to).await;
            Err(error)
        }
    }
}

pub(super) async fn verify(path: &Path) -> StoreResult<SchemaStatus> {
    let mut connection = open(path).await?;
    let schema = status(&mut connection).await?;
    let query = sqlx::query_scalar("SELECT integrity_check FROM pragma_integrity_check LIMIT $1").bind(MAX_FINDINGS);
    let findings: Vec<String> = query.fetch_all(&mut connection).await.map_err(store_error)?;
    connection.close().await.map_err(store_error)?;
    if findings != ["ok"] {
        return Err(StoreError::Corrupt(findings.join("; ")));
    }
    Ok(schema)
}

/// A connection to a file that exists.
async fn open(path: &Path) -> StoreResult<SqliteConnection> {
    if !path.exists() {
        return Err(StoreError::Unavailable(format!("{} does not exist", path.display())));
    }
    SqliteConnectOptions::new().filename(path).create_if_missing(false).connect().await.map_err(store_error)
}

/// Makes sure that a file is on the disk, and that its directory knows it.
async fn sync(path: &Path) -> StoreResult<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    for place in [path, parent] {
        let synced = match tokio::fs::File::open(place).await {
            Ok(file) => file.sync_all().await,
            Err(error) => Err(error),
        };
        synced.map_err(|error| StoreError::Unavailable(format!("{}: {error}", place.display())))?;
    }
    Ok(())
}
