//! The store in a PostgreSQL database: durable, for many processes on many machines.
//!
//! Every write is one transaction that holds an advisory lock of what it changes (see
//! [`Lock`](super::lock::Lock)) or, where it is the owner of a turn that writes, the row of that turn,
//! and is committed when its method returns. Reads take whatever
//! connection is free. A call that could not begin because its connection was gone is tried
//! once more on another one; a call that may have taken effect never is, and its caller is told
//! `Unavailable`. The aggregates are in `sql`, shared with SQLite.

#[macro_use]
mod dialect;
mod db;
mod error;
mod live;
mod migrate;
mod notices;
#[cfg_attr(feature = "sqlite", expect(clippy::duplicate_mod, reason = "the folder is compiled once for each database, see its header"))]
#[path = "../sql/mod.rs"]
mod sql;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod url;
mod worker;

use std::sync::Arc;

use std::time::Duration;

use sqlx::postgres::PgListener;
use tokio::time::timeout;

use self::db::Db;
use super::{BlobStore, SchemaStatus, StoreResult};
use crate::bus::EventBus;
use PostgresStore as Store;

pub use self::notices::{Notice, Notices};
pub use self::url::PostgresUrl;

/// Whoever has this lock runs the turns: "EVWR", and no lock of a write is that small.
const TURNS_LOCK: i64 = 0x4556_5752;

/// How long the connection of that lock may be silent before it is asked whether it is still there, and how long it may
/// take to answer.
const SILENCE: Duration = Duration::from_secs(20);
const ANSWER: Duration = Duration::from_secs(5);

/// The right to run turns, see [`PostgresStore::claim_turns`].
pub struct TurnsClaim {
    connection: PgListener,
}

impl TurnsClaim {
    /// Returns once it is lost with its connection, because the database ends it or does not answer.
    pub async fn lost(&mut self) {
        loop {
            match timeout(SILENCE, self.connection.try_recv()).await {
                Ok(Ok(Some(_))) => {}
                Ok(Ok(None) | Err(_)) => return,
                Err(_) => {
                    let asked = sqlx::query("SELECT 1").execute(&mut self.connection);
                    if !matches!(timeout(ANSWER, asked).await, Ok(Ok(_))) {
                        return;
                    }
                }
            }
        }
    }
}

/// Keeps everything in a PostgreSQL database.
pub struct PostgresStore {
    db: Db,
    blobs: Option<Arc<dyn BlobStore>>,
}

impl PostgresStore {
    /// Connects to the database, which must exist, and brings its schema up to date: that of the
    /// first entry of the user's search path, `public` by default. `max_connections` (at least 1)
    /// is how many connections this store opens at most; calls wait for a free one.
    ///
    /// # Errors
    /// `Unavailable` if the database cannot be reached or does not let the user in,
    /// `Incompatible` if it was written by a newer version or by another program.
    pub async fn open(url: &PostgresUrl, max_connections: u32) -> StoreResult<Self> {
        Ok(Self { db: Db::open(url, max_connections).await?, blobs: None })
    }

    /// How far the schema of the database is; changes nothing.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub async fn schema(url: &PostgresUrl) -> StoreResult<SchemaStatus> {
        Db::schema(url).await
    }

    /// Takes the right to run turns of this database: alone, or together with others who do not want it alone, because
    /// an engine decides among them. It lasts until the claim is dropped or its connection ends, with the process at
    /// the latest. None if somebody has it otherwise. Beyond that, fences keep each log whole.
    ///
    /// # Errors
    /// `Unavailable` if the database does not answer.
    pub async fn claim_turns(&self, alone: bool) -> StoreResult<Option<TurnsClaim>> {
        Ok(self.db.holding(TURNS_LOCK, alone).await?.map(|connection| TurnsClaim { connection }))
    }

    /// Listens to what any process appends, and to what is live in others, on a connection beside the others.
    pub fn notices(&self) -> Notices {
        self.db.notices()
    }

    /// A bus that also tells other processes what is live, on a connection beside the others.
    pub fn relaying(&self, bus: Arc<dyn EventBus>) -> Arc<dyn EventBus> {
        Arc::new(self.db.relaying(bus))
    }

    /// Waits for what is running and closes all connections. Calls after it are `Unavailable`.
    pub async fn close(&self) {
        self.db.close().await;
    }
}
