//! Where the data is: in a SQLite file of the data directory, or in a PostgreSQL database.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use everwit_runtime::bus::EventBus;
use everwit_runtime::component::Digest;
use everwit_runtime::store::postgres::{Notice, PostgresStore, PostgresUrl, TurnsClaim};
use everwit_runtime::store::sqlite::SqliteStore;
use everwit_runtime::store::{BlobStore, BlobsInside, RuntimeBackends, SchemaStatus, StoreResult};
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use uuid::Uuid;

use crate::data_dir::DataDir;
use crate::error::AppError;

/// Connections of a command.
pub(crate) const COMMAND_CONNECTIONS: u32 = 2;
/// How long a start waits for the server before it to let the turns go: PostgreSQL notices the
/// end of a process at once, that of a machine only later.
const CLAIM_PATIENCE: Duration = Duration::from_secs(10);
const CLAIM_RETRY: Duration = Duration::from_millis(200);
/// How long appends of other processes are collected before streams read them.
const NOTICE_DELAY: Duration = Duration::from_millis(20);

/// Options of commands that work on the database.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct DatabaseArgs {
    /// PostgreSQL database to keep the data in, as postgres://USER:PASSWORD@HOST:PORT/DATABASE;
    /// without it, the data directory has a SQLite file. Better given by the environment than by
    /// the flag.
    #[arg(long, global = true, env = "EVERWIT_DATABASE", hide_env_values = true, value_name = "URL")]
    database: Option<SecretString>,
}

impl DatabaseArgs {
    /// What they say.
    ///
    /// # Errors
    /// What is wrong, without the password.
    pub(crate) fn parse(&self) -> Result<DatabaseConfig, String> {
        let Some(url) = &self.database else { return Ok(DatabaseConfig::Sqlite) };
        let url = url.expose_secret().parse().map_err(|error| format!("--database: {error}"))?;
        Ok(DatabaseConfig::Postgres(Box::new(url)))
    }
}

/// Which database to use.
#[derive(Debug, Clone, Default)]
pub enum DatabaseConfig {
    /// The SQLite file `everwit.db` of the data directory.
    #[default]
    Sqlite,
    /// A PostgreSQL database. The data directory has only the master key, unless that is
    /// configured, and what can be made again.
    Postgres(Box<PostgresUrl>),
}

impl fmt::Display for DatabaseConfig {
    /// Without credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite => f.write_str("SQLite"),
            Self::Postgres(url) => url.fmt(f),
        }
    }
}

impl DatabaseConfig {
    /// How far the schema is; changes nothing.
    ///
    /// # Errors
    /// If the database cannot be read, or is not of this program.
    pub(crate) async fn schema(&self, dir: &Path) -> StoreResult<SchemaStatus> {
        match self {
            Self::Sqlite => SqliteStore::schema(&DataDir::database_in(dir)).await,
            Self::Postgres(url) => PostgresStore::schema(url).await,
        }
    }
}

/// An open database.
pub(crate) enum Database {
    Sqlite(Arc<SqliteStore>),
    Postgres(Arc<PostgresStore>),
}

impl Database {
    /// Opens the database and brings its schema up to date.
    ///
    /// # Errors
    /// If it cannot be used.
    pub(crate) async fn open(dir: &DataDir, config: &DatabaseConfig, connections: u32) -> StoreResult<Self> {
        Self::open_with(dir, config, connections, None).await
    }

    /// The same, for whoever uses components; their bytes may be in a bucket.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub(crate) async fn open_with(
        dir: &DataDir,
        config: &DatabaseConfig,
        connections: u32,
        blobs: Option<Arc<dyn BlobStore>>,
    ) -> StoreResult<Self> {
        Ok(match config {
            DatabaseConfig::Sqlite => {
                let store = SqliteStore::open(&dir.database()).await?;
                Self::Sqlite(Arc::new(match blobs {
                    Some(blobs) => store.with_blobs(blobs),
                    None => store,
                }))
            }
            DatabaseConfig::Postgres(url) => {
                let store = PostgresStore::open(url, connections).await?;
                Self::Postgres(Arc::new(match blobs {
                    Some(blobs) => store.with_blobs(blobs),
                    None => store,
                }))
            }
        })
    }

    /// Whether bytes of components are in a bucket, so that it is of no use without.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) async fn needs_bucket(&self) -> StoreResult<bool> {
        match self {
            Self::Sqlite(store) => store.needs_blobs().await,
            Self::Postgres(store) => store.needs_blobs().await,
        }
    }

    /// What it has of the bytes of components.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) async fn blobs_inside(&self) -> StoreResult<BlobsInside> {
        match self {
            Self::Sqlite(store) => store.blobs_inside().await,
            Self::Postgres(store) => store.blobs_inside().await,
        }
    }

    /// The first digest behind another one whose bytes it has.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) async fn next_blob_inside(&self, after: Option<Digest>) -> StoreResult<Option<Digest>> {
        match self {
            Self::Sqlite(store) => store.next_blob_inside(after).await,
            Self::Postgres(store) => store.next_blob_inside(after).await,
        }
    }

    /// Moves bytes of a component to the bucket; false if they are gone meanwhile.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) async fn move_blob(&self, digest: Digest, unique: Uuid, now: Timestamp) -> StoreResult<bool> {
        match self {
            Self::Sqlite(store) => store.move_blob(digest, unique, now).await,
            Self::Postgres(store) => store.move_blob(digest, unique, now).await,
        }
    }

    /// All its stores.
    pub(crate) fn backends(&self) -> RuntimeBackends {
        match self {
            Self::Sqlite(store) => RuntimeBackends::from_store(store.clone()),
            Self::Postgres(store) => RuntimeBackends::from_store(store.clone()),
        }
    }

    /// The same with the table of workers that processes on other machines share, if it has one.
    pub(crate) fn with_workers(&self, stores: RuntimeBackends) -> RuntimeBackends {
        match self {
            Self::Sqlite(_) => stores,
            Self::Postgres(store) => stores.with_worker_store(store.clone()),
        }
    }

    /// Takes the right to run turns: alone, or together with all processes of a distributed engine. That of a SQLite
    /// file comes with the lock of its data directory.
    ///
    /// # Errors
    /// If another process has it otherwise and keeps it.
    pub(crate) async fn claim_turns(&self, alone: bool) -> Result<Option<TurnsClaim>, AppError> {
        let Self::Postgres(store) = self else { return Ok(None) };
        let deadline = Instant::now() + CLAIM_PATIENCE;
        loop {
            match store.claim_turns(alone).await? {
                Some(claim) => return Ok(Some(claim)),
                None if Instant::now() > deadline => return Err(AppError::TurnsTaken),
                None => tokio::time::sleep(CLAIM_RETRY).await,
            }
        }
    }

    /// Shows the listeners of this process what other processes append, for as long as the value
    /// lives; none for a SQLite file, which one process uses.
    pub(crate) fn follow(&self, bus: Arc<dyn EventBus>) -> Option<AbortOnDropHandle<()>> {
        let Self::Postgres(store) = self else { return None };
        let mut notices = store.notices();
        let follow = async move {
            loop {
                let mut heard = vec![notices.next().await];
                // Appends come in bursts, and those of this process are on their way to its listeners.
                let ends = tokio::time::Instant::now() + NOTICE_DELAY;
                while let Ok(notice) = tokio::time::timeout_at(ends, notices.next()).await {
                    heard.push(notice);
                }
                if heard.contains(&Notice::Missed) {
                    bus.missed();
                    continue;
                }
                let mut latest = HashMap::new();
                for notice in heard {
                    match notice {
                        Notice::Appended(session, sequence) => drop(latest.insert(session, sequence)),
                        Notice::Live(events) => events.into_iter().for_each(|event| bus.emit(event)),
                        Notice::Missed => {}
                    }
                }
                latest.into_iter().for_each(|(session, sequence)| bus.appended_elsewhere(session, sequence));
            }
        };
        Some(AbortOnDropHandle::new(TaskTracker::new().spawn(follow)))
    }

    /// The bus, of which other processes hear what is live as well.
    pub(crate) fn relaying(&self, bus: Arc<dyn EventBus>) -> Arc<dyn EventBus> {
        match self {
            Self::Sqlite(_) => bus,
            Self::Postgres(store) => store.relaying(bus),
        }
    }

    /// Closes it.
    ///
    /// # Errors
    /// If what is in memory cannot be written.
    pub(crate) async fn close(&self) -> StoreResult<()> {
        match self {
            Self::Sqlite(store) => store.close().await,
            Self::Postgres(store) => {
                store.close().await;
                Ok(())
            }
        }
    }
}
