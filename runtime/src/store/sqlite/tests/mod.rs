//! What only this store promises, tested with SQL of other programs' kind.

mod corruption;
mod files;
mod schema;

use std::path::PathBuf;
use std::sync::Arc;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions};
use tempfile::TempDir;

use super::SqliteStore;
use crate::store::RuntimeBackends;
use crate::store::contract::case::Case;

/// A store in a directory of its own, and a connection of another program to its file.
struct Bench {
    directory: TempDir,
    store: Arc<SqliteStore>,
    case: Case,
    raw: SqliteConnection,
}

impl Bench {
    async fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("everwit.db");
        let store = Arc::new(SqliteStore::open(&path).await.expect("a new database"));
        let case = Case::new(&RuntimeBackends::from_store(store.clone())).await;
        let raw = raw(&path).await;
        Self { directory, store, case, raw }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("everwit.db")
    }

    /// Runs statements on the raw connection.
    async fn execute(&mut self, sql: &str) -> sqlx::Result<()> {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut self.raw).await.map(|_| ())
    }
}

/// A connection without any of the store's settings.
async fn raw(path: &std::path::Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(path).foreign_keys(false).create_if_missing(true);
    options.connect().await.expect("a connection")
}
