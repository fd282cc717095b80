//! The engine that runs turns in this process: decides which of its workers runs which session.
//!
//! Invariants: a session is given to one worker, and to that one again for as long as it works
//! on it; so no two of them take it from each other. Should that fail, fences in the store keep
//! the log whole. A turn that nobody can run stays open in the store until a worker starts.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{Engine, Executor, StepHandler, TurnKey, TurnStatus, WorkEnd, Working};
use crate::clock::Clock;
use crate::error::Error;
use crate::id::{OrgId, SessionId};
use crate::store::SessionLog;
use crate::turn::insist;

/// See the module. Cloning shares it.
#[derive(Clone)]
pub struct EmbeddedEngine {
    inner: Arc<Inner>,
}

struct Inner {
    log: Arc<dyn SessionLog>,
    clock: Arc<dyn Clock>,
    workers: Mutex<Workers>,
}

#[derive(Default)]
struct Workers {
    next: u64,
    all: Vec<(u64, Executor)>,
}

impl EmbeddedEngine {
    /// An engine without workers.
    pub fn new(log: Arc<dyn SessionLog>, clock: Arc<dyn Clock>) -> Self {
        Self { inner: Arc::new(Inner { log, clock, workers: Mutex::default() }) }
    }
}

#[async_trait]
impl Engine for EmbeddedEngine {
    async fn submit(&self, turn: TurnKey) -> Result<(), Error> {
        self.inner.give(turn.org, turn.session, Executor::take_up);
        Ok(())
    }

    async fn signal(&self, turn: TurnKey) -> Result<(), Error> {
        self.submit(turn).await
    }

    async fn cancel(&self, turn: TurnKey) -> Result<bool, Error> {
        if let Some(owner) = self.inner.owner(turn) {
            return owner.cancel(turn).await;
        }
        let open = self.inner.log.request_cancel(turn.org, turn.session, turn.turn).await?;
        if open {
            self.inner.give(turn.org, turn.session, Executor::take_up);
        }
        Ok(open)
    }

    async fn status(&self, turn: TurnKey) -> Result<TurnStatus, Error> {
        let statuses: Vec<TurnStatus> = self.inner.workers().all.iter().map(|(_, worker)| worker.status(turn)).collect();
        let known = [TurnStatus::Running, TurnStatus::Waiting].into_iter().find(|known| statuses.contains(known));
        Ok(known.unwrap_or(TurnStatus::Unknown))
    }

    /// The first worker gets all sessions with open turns.
    async fn work(&self, handler: Arc<dyn StepHandler>, slots: usize, end: WorkEnd) -> Result<Working, Error> {
        let inner = self.inner.clone();
        let worker = Executor::with_handler(handler, inner.log.clone(), inner.clock.clone(), slots);
        let id = inner.join(worker.clone()).await?;
        Ok(Box::pin(async move {
            end.drain.cancelled().await;
            tokio::select! {
                () = worker.drain() => {}
                () = end.stop.cancelled() => tracing::warn!("some steps did not end in time; their turns are taken up again"),
            }
            inner.leave(id).await
        }))
    }
}

impl Inner {
    async fn join(&self, worker: Executor) -> Result<u64, Error> {
        let open = insist(|| self.log.sessions_with_open_turns()).await?;
        let (id, is_first) = {
            let mut workers = self.workers();
            let id = workers.next;
            workers.next += 1;
            workers.all.push((id, worker));
            (id, workers.all.len() == 1)
        };
        if is_first && !open.is_empty() {
            tracing::info!(sessions = open.len(), "taking up turns that were open");
            // What was submitted since the sessions were read has found the worker itself.
            open.into_iter().for_each(|(org, session)| self.give(org, session, Executor::resume));
        }
        Ok(id)
    }

    /// Removes a worker that has drained; the others take up what it left open.
    async fn leave(&self, id: u64) -> Result<(), Error> {
        let others = {
            let mut workers = self.workers();
            workers.all.retain(|(other, _)| *other != id);
            !workers.all.is_empty()
        };
        if others {
            let open = self.log.sessions_with_open_turns().await?;
            open.into_iter().for_each(|(org, session)| self.give(org, session, Executor::resume));
        }
        Ok(())
    }

    fn workers(&self) -> MutexGuard<'_, Workers> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a session to whoever works on it, or else to the one with the least to do, in this way.
    fn give(&self, org: OrgId, session: SessionId, take_up: fn(&Executor, OrgId, SessionId) -> Result<(), Error>) {
        // Under the lock: of two who give the same session at once, the second finds the first's
        // choice at work.
        let workers = self.workers();
        if let Some((_, owner)) = workers.all.iter().find(|(_, worker)| worker.works_on(org, session)) {
            // An owner that drains refuses; the session is given to another once it has left.
            if let Err(error) = take_up(owner, org, session) {
                tracing::debug!(%error, %session, "the session's worker ends; another one will take the session up");
            }
            return;
        }
        let mut candidates: Vec<&Executor> = workers.all.iter().map(|(_, worker)| worker).collect();
        candidates.sort_by_key(|worker| worker.load());
        if !candidates.into_iter().any(|worker| take_up(worker, org, session).is_ok()) {
            tracing::info!(%session, "nobody runs turns here; the session's turns wait for a worker");
        }
    }

    fn owner(&self, turn: TurnKey) -> Option<Executor> {
        let workers = self.workers();
        let owner = workers.all.iter().find(|(_, worker)| worker.works_on(turn.org, turn.session));
        owner.map(|(_, worker)| worker.clone())
    }
}
