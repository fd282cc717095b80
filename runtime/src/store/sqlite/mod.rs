//! The store in one SQLite file: durable, for one machine.
//!
//! Every write is one transaction on the only writing connection (a single statement, or
//! `BEGIN IMMEDIATE`), and is on the disk when its method returns (write-ahead log, `synchronous=FULL`). Reads run beside it
//! on a few connections that cannot write. Several processes may open the same file.
//! The aggregates are in `sql`, shared with PostgreSQL.

#[macro_use]
mod dialect;
mod db;
mod error;
mod file;
mod migrate;
#[path = "../sql/mod.rs"]
mod sql;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use self::db::Db;
use super::{BlobStore, SchemaStatus, StoreResult};

use SqliteStore as Store;

/// Keeps everything in a SQLite file.
pub struct SqliteStore {
    db: Db,
    blobs: Option<Arc<dyn BlobStore>>,
}

impl SqliteStore {
    /// Opens the database file, creates it if it is missing (readable by its owner only), and
    /// brings its schema up to date. The directory must exist and be private: SQLite keeps
    /// `-wal` and `-shm` files beside the database.
    ///
    /// # Errors
    /// `Unavailable` if the file cannot be opened or is locked by another process,
    /// `Incompatible` if it was written by a newer version or by another program, `Corrupt` if
    /// it is no database.
    pub async fn open(path: &Path) -> StoreResult<Self> {
        Ok(Self { db: Db::open(path).await?, blobs: None })
    }

    /// How far the schema of a database file is; changes nothing.
    ///
    /// # Errors
    /// As for [`Self::open`], and `Unavailable` if there is no file.
    pub async fn schema(path: &Path) -> StoreResult<SchemaStatus> {
        file::schema(path).await
    }

    /// Writes a copy of a database to a file that must not exist, while others use the database:
    /// the copy is the database of one moment, in one file, readable by its owner only.
    ///
    /// # Errors
    /// `Invalid` if the target exists, `Unavailable` if a file cannot be read or written.
    pub async fn back_up(from: &Path, to: &Path) -> StoreResult<()> {
        file::back_up(from, to).await
    }

    /// Reads a whole database file and says how far its schema is. Changes nothing.
    ///
    /// # Errors
    /// `Corrupt` with what SQLite finds broken; otherwise as for [`Self::schema`].
    pub async fn verify(path: &Path) -> StoreResult<SchemaStatus> {
        file::verify(path).await
    }

    /// Waits for what is running, writes the log back into the file and closes it. Calls after
    /// it are `Unavailable`. A store that is dropped without it loses nothing either; the next
    /// open reads the log.
    ///
    /// # Errors
    /// `Unavailable` if the file cannot be written.
    pub async fn close(&self) -> StoreResult<()> {
        self.db.close().await
    }
}
