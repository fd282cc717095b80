//! The right to run the turns of a PostgreSQL database: whoever has it holds it by a connection. When that is
//! lost, because PostgreSQL restarts for example, the right is taken again. Until the loss is noticed, fences keep each
//! log whole.

use std::sync::Arc;
use std::time::Duration;

use everwit_runtime::store::postgres::{PostgresStore, TurnsClaim};
use tokio::sync::{Mutex, watch};
use tokio_util::task::AbortOnDropHandle;

use crate::database::Database;
use crate::error::AppError;

/// Pause before a lost right is asked for again.
const RETRY: Duration = Duration::from_secs(1);

/// What became of the right to run turns. Cloning shares it.
#[derive(Clone)]
pub(crate) struct TurnsRight {
    inner: Arc<Inner>,
}

struct Inner {
    is_lost: watch::Sender<bool>,
    keeping: Mutex<Keeping>,
}

/// Who keeps the right.
enum Keeping {
    /// It was not taken.
    Nobody,
    /// The lock of the data directory.
    Directory,
    /// A task.
    Task { _task: AbortOnDropHandle<()> },
}

impl TurnsRight {
    /// One that was not taken yet.
    pub(crate) fn new() -> Self {
        Self { inner: Arc::new(Inner { is_lost: watch::Sender::new(false), keeping: Mutex::new(Keeping::Nobody) }) }
    }

    /// Takes it, and keeps it until [`Self::release`].
    ///
    /// # Errors
    /// If another process has it otherwise and keeps it.
    pub(crate) async fn take(&self, database: &Database, alone: bool) -> Result<(), AppError> {
        let mut keeping = self.inner.keeping.lock().await;
        if matches!(*keeping, Keeping::Nobody) {
            *keeping = match (database, database.claim_turns(alone).await?) {
                (Database::Postgres(store), Some(claim)) => {
                    let task = tokio::spawn(keep(store.clone(), alone, claim, self.inner.is_lost.clone()));
                    Keeping::Task { _task: AbortOnDropHandle::new(task) }
                }
                _ => Keeping::Directory,
            };
        }
        Ok(())
    }

    /// Lets others have it.
    pub(crate) async fn release(&self) {
        *self.inner.keeping.lock().await = Keeping::Nobody;
    }

    /// Whether it was taken and is lost by now.
    pub(crate) fn is_lost(&self) -> bool {
        *self.inner.is_lost.borrow()
    }

    /// Returns once it is lost, or no longer is.
    pub(crate) async fn until(&self, is_lost: bool) {
        let mut state = self.inner.is_lost.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        let _ = state.wait_for(|now| *now == is_lost).await;
    }
}

async fn keep(store: Arc<PostgresStore>, alone: bool, mut claim: TurnsClaim, is_lost: watch::Sender<bool>) {
    loop {
        claim.lost().await;
        tracing::warn!("the right to run the turns of this database is lost with its connection; none begin until it is taken again");
        is_lost.send_replace(true);
        drop(claim);
        claim = take_again(&store, alone).await;
        is_lost.send_replace(false);
        tracing::info!("the right to run the turns of this database is taken again");
    }
}

async fn take_again(store: &PostgresStore, alone: bool) -> TurnsClaim {
    let mut said = None;
    loop {
        let why = match store.claim_turns(alone).await {
            Ok(Some(claim)) => return claim,
            Ok(None) => "another process has it".to_owned(),
            Err(error) => error.to_string(),
        };
        if said.as_ref() != Some(&why) {
            tracing::warn!(why, pause = ?RETRY, "the right to run turns cannot be taken again; trying on");
            said = Some(why);
        }
        tokio::time::sleep(RETRY).await;
    }
}
