//! The connections: one that writes, a few that read.

use std::path::Path;
use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::sqlite::{Sqlite, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};
use tokio::sync::{Mutex, MutexGuard};

use super::error::{is_busy, store_error};
use super::migrate::migrate;
use super::sql::Tx;
use crate::store::lock::Lock;
use crate::store::{StoreError, StoreResult};

/// How long a statement waits for a lock that another process holds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause before another try to open a file that another process is just switching to the
/// write-ahead log; SQLite itself does not wait for that.
const OPEN_RETRY: Duration = Duration::from_millis(20);
/// Reading connections. Each is a thread; reads are short and the page cache is shared by the
/// operating system, so more only help machines with more cores than this.
const READERS: u32 = 4;

/// The connections of one store.
pub(super) struct Db {
    options: SqliteConnectOptions,
    /// None once closed.
    writer: Mutex<Option<SqliteConnection>>,
    readers: SqlitePool,
}

impl Db {
    pub(super) async fn open(path: &Path) -> StoreResult<Self> {
        create(path).await?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(false)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        let mut writer = connect_patiently(&options).await?;
        migrate(&mut writer).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(BUSY_TIMEOUT)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .after_connect(|connection, _| Box::pin(async move { check_settings(connection).await }))
            .connect_with(options.clone().pragma("query_only", "ON"))
            .await
            .map_err(store_error)?;
        Ok(Self { options, writer: Mutex::new(Some(writer)), readers })
    }

    pub(super) async fn close(&self) -> StoreResult<()> {
        // The writer goes last: the last connection of a database writes its log back.
        let writer = self.writer.lock().await.take();
        self.readers.close().await;
        match writer {
            Some(writer) => writer.close().await.map_err(store_error),
            None => Ok(()),
        }
    }

    /// A connection that only reads.
    pub(super) async fn reader(&self) -> StoreResult<PoolConnection<Sqlite>> {
        self.readers.acquire().await.map_err(store_error)
    }

    /// The right to write; waits for the writers before, whatever they write.
    pub(super) async fn writer(&self, _: Lock<'_>) -> Writer<'_> {
        Writer { options: &self.options, connection: self.writer.lock().await }
    }
}

/// The right to write, held by one task at a time.
pub(super) struct Writer<'a> {
    options: &'a SqliteConnectOptions,
    connection: MutexGuard<'a, Option<SqliteConnection>>,
}

impl Writer<'_> {
    /// Begins a transaction that holds the write lock from its start, so that what it reads
    /// stays true until it commits. Dropping it without a commit undoes it.
    pub(super) async fn begin(&mut self) -> StoreResult<Tx<'_>> {
        let connection = self.connection().await?;
        // BEGIN and COMMIT, of which the driver does not tell.
        tracing::trace!(statements = 2, "a transaction begins");
        Tx::new(connection.begin_with("BEGIN IMMEDIATE").await.map_err(store_error)?).await
    }

    /// The same: whoever writes is alone.
    pub(super) async fn begin_unlocked(&mut self) -> StoreResult<Tx<'_>> {
        self.begin().await
    }

    /// For a single statement, which is a transaction by itself.
    pub(super) async fn connection(&mut self) -> StoreResult<&mut SqliteConnection> {
        let connection = self.connection.as_mut().ok_or_else(|| StoreError::Unavailable("it was closed".to_owned()))?;
        // A full disk or an I/O error ends a transaction behind the driver's back, which then
        // counts it as open for ever. The ping lets a rollback that is still queued pass first.
        if connection.ping().await.is_err() || connection.is_in_transaction() {
            *connection = connect(self.options).await.map_err(store_error)?;
        }
        Ok(connection)
    }
}

/// Creates the file, for its owner only, if it does not exist.
pub(super) async fn create(path: &Path) -> StoreResult<()> {
    let mut options = tokio::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    options.mode(0o600);
    match options.open(path).await {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(StoreError::Unavailable(format!("{} cannot be created: {error}", path.display()))),
    }
}

async fn connect_patiently(options: &SqliteConnectOptions) -> StoreResult<SqliteConnection> {
    let deadline = Instant::now() + BUSY_TIMEOUT;
    loop {
        match connect(options).await {
            Err(error) if is_busy(&error) && Instant::now() < deadline => tokio::time::sleep(OPEN_RETRY).await,
            outcome => return outcome.map_err(store_error),
        }
    }
}

async fn connect(options: &SqliteConnectOptions) -> sqlx::Result<SqliteConnection> {
    let mut connection = options.connect().await?;
    check_settings(&mut connection).await?;
    Ok(connection)
}

/// Makes sure that the settings took effect: SQLite ignores those that it cannot honour, for
/// example the write-ahead log on a network file system.
async fn check_settings(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    let journal: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut *connection).await?;
    let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut *connection).await?;
    let foreign_keys: i64 = sqlx::query_scalar("PRAGMA foreign_keys").fetch_one(&mut *connection).await?;
    let busy_timeout: i64 = sqlx::query_scalar("PRAGMA busy_timeout").fetch_one(&mut *connection).await?;
    // 2 is FULL.
    let settings = (journal.as_str(), synchronous, foreign_keys, u128::try_from(busy_timeout).unwrap_or_default());
    if settings == ("wal", 2, 1, BUSY_TIMEOUT.as_millis()) {
        return Ok(());
    }
    let found = format!("journal_mode={journal} synchronous={synchronous} foreign_keys={foreign_keys} busy_timeout={busy_timeout}");
    Err(sqlx::Error::Configuration(format!("SQLite did not take the settings that keep data safe; it has {found}").into()))
}
