//! Decides who runs which session, among the servers and workers of this process.
//!
//! Invariants: a session is given to one executor, and to that one again for as long as it works
//! on it; so no two of them take it from each other. Should that fail, fences in the store keep
//! the log whole. A turn that nobody can run stays open in the store until somebody joins.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use everwit_runtime::Error;
use everwit_runtime::engine::{EmbeddedEngine, Engine, TurnKey};
use everwit_runtime::id::{OrgId, SessionId};
use everwit_runtime::store::SessionLog;

/// See the module.
pub(crate) struct Dispatcher {
    log: Arc<dyn SessionLog>,
    executors: Mutex<Executors>,
}

#[derive(Default)]
struct Executors {
    next: u64,
    all: Vec<(ExecutorId, EmbeddedEngine)>,
}

/// An executor that joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ExecutorId(u64);

impl Dispatcher {
    /// A dispatcher without executors.
    pub(crate) fn new(log: Arc<dyn SessionLog>) -> Self {
        Self { log, executors: Mutex::default() }
    }

    /// Adds an executor. The first one gets all sessions with open turns; returns how many it got.
    ///
    /// # Errors
    /// Those of the store; the executor has not joined then.
    pub(crate) async fn join(&self, engine: EmbeddedEngine) -> Result<(ExecutorId, usize), Error> {
        let open = self.log.sessions_with_open_turns().await?;
        let (id, is_first) = {
            let mut executors = self.executors();
            let id = ExecutorId(executors.next);
            executors.next += 1;
            executors.all.push((id, engine));
            (id, executors.all.len() == 1)
        };
        let taken_up = if is_first { open } else { Vec::new() };
        taken_up.iter().for_each(|&(org, session)| self.give(org, session, EmbeddedEngine::resume));
        // What was submitted since the sessions were read has found the executor itself.
        Ok((id, taken_up.len()))
    }

    /// Removes an executor that has drained; the others take up what it left open.
    ///
    /// # Errors
    /// Those of the store; what was left open goes on at the next start then.
    pub(crate) async fn leave(&self, id: ExecutorId) -> Result<(), Error> {
        let others = {
            let mut executors = self.executors();
            executors.all.retain(|(other, _)| *other != id);
            !executors.all.is_empty()
        };
        if others {
            self.log
                .sessions_with_open_turns()
                .await?
                .into_iter()
                .for_each(|(org, session)| self.give(org, session, EmbeddedEngine::resume));
        }
        Ok(())
    }

    fn executors(&self) -> MutexGuard<'_, Executors> {
        self.executors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a session to whoever works on it, or else to the one with the least to do, in this way.
    fn give(&self, org: OrgId, session: SessionId, take_up: fn(&EmbeddedEngine, OrgId, SessionId) -> Result<(), Error>) {
        // Under the lock: of two who give the same session at once, the second finds the first's
        // choice at work.
        let executors = self.executors();
        if let Some((_, owner)) = executors.all.iter().find(|(_, engine)| engine.works_on(org, session)) {
            // An owner that drains refuses; the session is given to another once it has left.
            if let Err(error) = take_up(owner, org, session) {
                tracing::debug!(%error, %session, "the session's executor ends; another one will take the session up");
            }
            return;
        }
        let mut candidates: Vec<&EmbeddedEngine> = executors.all.iter().map(|(_, engine)| engine).collect();
        candidates.sort_by_key(|engine| engine.load());
        if !candidates.into_iter().any(|engine| take_up(engine, org, session).is_ok()) {
            tracing::info!(%session, "nobody runs turns here; the session's turns wait for a worker");
        }
    }

    fn owner(&self, turn: TurnKey) -> Option<EmbeddedEngine> {
        let executors = self.executors();
        let owner = executors.all.iter().find(|(_, engine)| engine.works_on(turn.org, turn.session));
        owner.map(|(_, engine)| engine.clone())
    }
}

#[async_trait]
impl Engine for Dispatcher {
    async fn submit(&self, turn: TurnKey) -> Result<(), Error> {
        self.give(turn.org, turn.session, EmbeddedEngine::take_up);
        Ok(())
    }

    async fn cancel(&self, turn: TurnKey) -> Result<bool, Error> {
        if let Some(owner) = self.owner(turn) {
            return owner.cancel(turn).await;
        }
        let open = self.log.request_cancel(turn.org, turn.session, turn.turn).await?;
        if open {
            self.give(turn.org, turn.session, EmbeddedEngine::take_up);
        }
        Ok(open)
    }

    async fn drain(&self) {
        let all: Vec<EmbeddedEngine> = self.executors().all.iter().map(|(_, engine)| engine.clone()).collect();
        for engine in all {
            engine.drain().await;
        }
    }
}
