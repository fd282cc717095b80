//! The pool of connections, and how a write begins.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgListener, PgPool, PgPoolOptions, Postgres};
use sqlx::{ConnectOptions as _, Connection as _, Transaction};

use super::error::{is_connection_lost, store_error};
use super::live::RelayingBus;
use super::migrate::{migrate, status};
use super::notices::Notices;
use super::sql::Tx;
use super::url::PostgresUrl;
use crate::bus::EventBus;
use crate::store::lock::Lock;
use crate::store::{SchemaStatus, StoreResult};

/// How long a call waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a write waits for those before it; shorter than what callers of HTTP wait.
const LOCK_TIMEOUT: &str = "10s";
/// How long the database works on one statement. None of ours takes a tenth of it.
const STATEMENT_TIMEOUT: &str = "30s";
/// How long the database keeps the transaction of a process that stopped in the middle of it.
const IDLE_TRANSACTION_TIMEOUT: &str = "30s";
/// After how much silence the database asks whether a client's machine is still there, and how often: a right that such a
/// machine holds is free within a minute of its death.
const KEEPALIVE_SECONDS: &str = "10";
/// Prepared statements of a connection; more than there are, so that each is prepared once.
const STATEMENTS: usize = 512;

/// How every transaction begins that writes.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// The connections of one store.
pub(super) struct Db {
    pool: PgPool,
    /// Process id of the connection that tells what is live here; 0 if there is none.
    teller: Arc<AtomicU32>,
}

impl Db {
    pub(super) async fn open(url: &PostgresUrl, max_connections: u32) -> StoreResult<Self> {
        let options = url.options().application_name("everwit").statement_cache_capacity(STATEMENTS).options([
            ("lock_timeout", LOCK_TIMEOUT),
            ("statement_timeout", STATEMENT_TIMEOUT),
            ("idle_in_transaction_session_timeout", IDLE_TRANSACTION_TIMEOUT),
            ("tcp_keepalives_idle", KEEPALIVE_SECONDS),
            ("tcp_keepalives_interval", KEEPALIVE_SECONDS),
            ("tcp_keepalives_count", "3"),
        ]);
        let pool = PgPoolOptions::new().max_connections(max_connections).acquire_timeout(ACQUIRE_TIMEOUT);
        let pool = pool.connect_with(options).await.map_err(store_error)?;
        migrate(&mut *pool.acquire().await.map_err(store_error)?).await?;
        Ok(Self { pool, teller: Arc::default() })
    }

    /// How far the schema is.
    pub(super) async fn schema(url: &PostgresUrl) -> StoreResult<SchemaStatus> {
        let mut connection = url.options().application_name("everwit").connect().await.map_err(store_error)?;
        let status = status(&mut connection).await?;
        connection.close().await.map_err(store_error)?;
        Ok(status)
    }

    /// A connection that holds a lock for as long as it lives, alone or together with others; none if others have it.
    pub(super) async fn holding(&self, lock: i64, alone: bool) -> StoreResult<Option<PgListener>> {
        let options = (*self.pool.connect_options()).clone().disable_statement_logging();
        let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(ACQUIRE_TIMEOUT);
        let pool = pool.connect_with(options).await.map_err(store_error)?;
        // It listens to nothing but its own end.
        let mut connection = PgListener::connect_with(&pool).await.map_err(store_error)?;
        connection.eager_reconnect(false);
        let query = if alone { "SELECT pg_try_advisory_lock($1)" } else { "SELECT pg_try_advisory_lock_shared($1)" };
        let held: bool = sqlx::query_scalar(query).bind(lock).fetch_one(&mut connection).await.map_err(store_error)?;
        Ok(held.then_some(connection))
    }

    /// Listens on a connection of its own.
    pub(super) fn notices(&self) -> Notices {
        Notices::new((*self.pool.connect_options()).clone(), self.teller.clone())
    }

    /// Tells on a connection of its own.
    pub(super) fn relaying(&self, bus: Arc<dyn EventBus>) -> RelayingBus {
        RelayingBus::new(bus, (*self.pool.connect_options()).clone(), self.teller.clone())
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }

    /// A connection to read with.
    pub(super) async fn reader(&self) -> StoreResult<PoolConnection<Postgres>> {
        self.pool.acquire().await.map_err(store_error)
    }

    /// The right to write what a lock covers.
    pub(super) async fn writer(&self, lock: Lock<'_>) -> Writer<'_> {
        Writer { pool: &self.pool, lock: lock.number() }
    }
}

/// The right to write; waits for others with the same lock when it begins.
pub(super) struct Writer<'a> {
    pool: &'a PgPool,
    lock: i64,
}

impl Writer<'_> {
    /// Begins a transaction that holds the lock from its start. Each later statement sees what
    /// was committed before it, so what it reads under the lock stays true until the commit.
    /// Dropping it without a commit undoes it.
    pub(super) async fn begin(&mut self) -> StoreResult<Tx<'static>> {
        Tx::new(self.insist(Some(self.lock)).await?).await
    }

    /// Begins a transaction without the lock, for statements that lock the rows that they depend on.
    pub(super) async fn begin_unlocked(&mut self) -> StoreResult<Tx<'static>> {
        Tx::new(self.insist(None).await?).await
    }

    async fn insist(&self, lock: Option<i64>) -> StoreResult<Transaction<'static, Postgres>> {
        // Nothing has happened yet, so that trying again cannot do anything twice.
        match self.try_begin(lock).await {
            Err(error) if is_connection_lost(&error) => self.try_begin(lock).await,
            outcome => outcome,
        }
        .map_err(store_error)
    }

    async fn try_begin(&self, lock: Option<i64>) -> sqlx::Result<Transaction<'static, Postgres>> {
        // The driver does not tell of BEGIN.
        tracing::trace!(statements = 1, "a transaction begins");
        let pool = self.pool.clone();
        let begin = async move {
            let mut transaction = pool.begin_with(BEGIN).await?;
            if let Some(lock) = lock {
                // In a statement of its own, so that who waits for it too long leaves a transaction that is undone.
                sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(lock).execute(&mut *transaction).await?;
            }
            Ok(transaction)
        };
        // In a task of its own: whoever is dropped while the database works on BEGIN would leave a connection behind
        // that has a transaction, and is taken for one that has none.
        tokio::spawn(begin).await.map_err(|error| sqlx::Error::Io(std::io::Error::other(error)))?
    }

    /// For a single statement, which is a transaction by itself and locks the rows that it depends on.
    pub(super) async fn connection(&mut self) -> StoreResult<PoolConnection<Postgres>> {
        self.pool.acquire().await.map_err(store_error)
    }
}
