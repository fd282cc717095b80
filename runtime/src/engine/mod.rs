//! The seam between the product and what runs its turns. It carries ids only; the truth is in
//! the store.
//!
//! An [`Engine`] decides when and where the turns of a session go on. What a step of a turn is, and
//! what came of it, is between the [`StepHandler`] and the store: engines claim turns there, oldest
//! first, and no engine can make a stale owner write. So an engine may forget everything, and
//! [`reconcile`] tells it again.

#[cfg(any(test, feature = "testing"))]
pub mod conformance;
mod embedded;
mod executor;
mod reconcile;
mod steps;
mod waits;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

pub use embedded::EmbeddedEngine;
pub use executor::Executor;
pub use reconcile::{Reconciled, SESSIONS_PER_ROUND, reconcile};

use crate::error::Error;
use crate::id::{OrgId, SessionId, TurnId};
use crate::store::{Claim, SessionLog};
use crate::turn::TurnSignals;

/// A turn, by ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TurnKey {
    /// Tenant.
    pub org: OrgId,
    /// Session.
    pub session: SessionId,
    /// Turn.
    pub turn: TurnId,
}

/// What an engine knows of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnStatus {
    /// Nothing: it has ended, or nobody will run it unless it is submitted.
    Unknown,
    /// Its session waits: for a place, for a time, or for somebody outside.
    Waiting,
    /// A step of its session runs.
    Running,
}

/// What a session needs after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// A further step, at once.
    Again,
    /// A further step after this time, and not before.
    After(Duration),
    /// A further step when there is a signal, also one that came while the step ran, or a
    /// submission; without one after `limit`.
    Signal {
        /// Longest time without a step.
        limit: Duration,
    },
    /// None, until something is submitted: all turns that were submitted before the step ended have ended,
    /// or can do nothing.
    Done,
}

/// Why a step came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// A further try may succeed; the turn is open.
    #[error("{0}")]
    Retry(Error),
    /// Another owner has the session. Nothing was written since.
    #[error("another owner took the session over")]
    Lost,
    /// No further try is worth it; the turn is open.
    #[error("{0}")]
    Fatal(Error),
}

/// A claimed turn that is to go on.
pub struct Step {
    /// The turn.
    pub key: TurnKey,
    /// The claim, with the fence of all that the step writes.
    pub claim: Claim,
    /// How the step is told to stop.
    pub signals: TurnSignals,
}

/// Does the work of turns. Steps may be run more than once, and by more than one process at a time: what
/// a step writes carries its claim's fence.
#[async_trait]
pub trait StepHandler: Send + Sync {
    /// Works on a turn until it has ended or has to wait, or until it is told to stop.
    ///
    /// # Errors
    /// Why it could not; the turn is open then.
    async fn step(&self, step: Step) -> Result<Next, StepError>;

    /// What a session waits for of which no turn can be claimed. Ends what has waited for too long.
    ///
    /// # Errors
    /// Those of the stores.
    async fn idle(&self, org: OrgId, session: SessionId) -> Result<Next, Error>;
}

/// How a worker is told to end.
#[derive(Debug, Clone, Default)]
pub struct WorkEnd {
    /// It takes up nothing any more, lets running steps end, and ends with the last of them.
    pub drain: CancellationToken,
    /// Together with `drain`: it does not wait for running steps any more. Their turns are taken up again, as after a crash.
    pub stop: CancellationToken,
}

/// A worker that works. It ends some time after its drain.
pub type Working = BoxFuture<'static, Result<(), Error>>;

/// Runs turns durably: one at a time per session, in order of submission, many sessions at once.
///
/// The turns that it is told of are open in the store already.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Makes a turn run. Idempotent. Returns before the turn ends.
    ///
    /// # Errors
    /// `Unavailable` if the engine cannot be reached; the turn stays open in the store.
    async fn submit(&self, turn: TurnKey) -> Result<(), Error>;

    /// Tells a turn that what it waits for may have come. A signal that comes before the wait
    /// is kept until then.
    ///
    /// # Errors
    /// As [`Self::submit`].
    async fn signal(&self, turn: TurnKey) -> Result<(), Error>;

    /// Cancels a turn, waiting or running; the request is recorded in the store first. False if
    /// the turn has ended.
    ///
    /// # Errors
    /// Those of the store.
    async fn cancel(&self, turn: TurnKey) -> Result<bool, Error>;

    /// What the engine knows of a turn, and through it of its session.
    ///
    /// # Errors
    /// `Unavailable` if the engine cannot be reached.
    async fn status(&self, turn: TurnKey) -> Result<TurnStatus, Error>;

    /// Starts a worker, which takes up turns from now on until its end, at most `slots` (at least one) at once. Its
    /// turns that are still open then go on with another worker, or at the next start.
    ///
    /// # Errors
    /// Why it could not start.
    async fn work(&self, handler: Arc<dyn StepHandler>, slots: usize, end: WorkEnd) -> Result<Working, Error>;
}

/// An engine of many processes: servers tell it of turns, and workers elsewhere run them.
pub trait DistributedEngine: Engine {
    /// Does the servers' part of the engine in this process until `shutdown`. Any number of servers may do it at once,
    /// and while none does, turns wait.
    ///
    /// # Errors
    /// Why it could not start; and, at its end, why it ended before `shutdown`.
    fn coordinate(&self, shutdown: CancellationToken) -> Result<Working, Error>;
}

/// How to reach a distributed engine. Servers and workers do so once the store that they share is open.
#[async_trait]
pub trait EngineConnector: Send + Sync + fmt::Debug {
    /// Connects.
    ///
    /// # Errors
    /// `Unavailable` if the engine does not answer, `Invalid` for options that cannot be.
    async fn connect(&self, log: Arc<dyn SessionLog>) -> Result<Arc<dyn DistributedEngine>, Error>;
}

#[async_trait]
impl EngineConnector for Box<dyn EngineConnector> {
    async fn connect(&self, log: Arc<dyn SessionLog>) -> Result<Arc<dyn DistributedEngine>, Error> {
        (**self).connect(log).await
    }
}
