//! The engine that runs turns in this process, over the stores. One process per database: a
//! second one would take sessions over that the first one still works on.

use std::collections::{HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use super::waits::Waits;
use super::{Engine, TurnKey};
use crate::error::{Error, ErrorKind};
use crate::id::{OrgId, SessionId, TurnId};
use crate::store::Claim;
use crate::turn::{TurnPlatform, TurnRun, TurnSignals, insist, panic_message};

/// Runs the turns of each session one after the other, of many sessions at once. Cloning
/// shares it.
#[derive(Clone)]
pub struct EmbeddedEngine {
    inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) platform: TurnPlatform,
    slots: Semaphore,
    pub(super) tasks: TaskTracker,
    pub(super) drain: CancellationToken,
    sessions: Mutex<HashMap<SessionKey, Worker>>,
    pub(super) waits: Arc<Waits>,
    /// Cancelled when this goes.
    pub(super) gone: CancellationToken,
    _gone: DropGuard,
}

/// How long a session rests when the store did not answer, beyond the tries of each call.
const STORE_PAUSE: Duration = Duration::from_secs(5);

pub(super) type SessionKey = (OrgId, SessionId);

/// The task that runs the turns of one session; exists while it has any.
#[derive(Default)]
struct Worker {
    /// A turn was submitted since the task last looked.
    again: bool,
    /// Its turn may wait for somebody since before this engine was there.
    may_wait: bool,
    running: Option<(TurnId, CancellationToken)>,
    /// Cancelled turns that the task may not know of yet.
    cancelled: HashSet<TurnId>,
    finished: CancellationToken,
}

/// Whether a session's task looks for a further turn.
enum After {
    Next,
    Stop,
}

/// What running one turn means for the ones behind it.
enum Outcome {
    Ended,
    /// It waits for somebody outside. An answer or a submission that came meanwhile makes it go on.
    Parked,
    /// It is open, and was left because of an error. A submission that came meanwhile makes it go on.
    Stuck,
    /// It is open, and was left because the store did not answer for a while.
    Unavailable,
    /// Nothing is to be done here any more.
    NotOurs,
}

impl EmbeddedEngine {
    /// An engine that runs at most `max_concurrent_turns` (at least one) at once; further
    /// sessions wait. It takes up nothing by itself: see [`Self::recover`].
    pub fn new(platform: TurnPlatform, max_concurrent_turns: usize) -> Self {
        let gone = CancellationToken::new();
        let inner = Inner {
            waits: Arc::default(),
            _gone: gone.clone().drop_guard(),
            gone,
            platform,
            slots: Semaphore::new(max_concurrent_turns.clamp(1, Semaphore::MAX_PERMITS)),
            tasks: TaskTracker::new(),
            drain: CancellationToken::new(),
            sessions: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Takes up all turns that are open in the store. To be called once, at the start; returns
    /// how many sessions have such turns.
    ///
    /// # Errors
    /// Those of the store; `Unavailable` while shutting down.
    pub async fn recover(&self) -> Result<usize, Error> {
        let log = self.inner.platform.backends.log.clone();
        let sessions = insist(|| log.sessions_with_open_turns()).await?;
        for &(org, session) in &sessions {
            self.resume(org, session)?;
        }
        Ok(sessions.len())
    }

    /// As [`Self::take_up`], for a session that this engine may not know: if its turn waits for somebody,
    /// it sees to it that the wait ends in time.
    ///
    /// # Errors
    /// `Unavailable` while shutting down.
    pub fn resume(&self, org: OrgId, session: SessionId) -> Result<(), Error> {
        self.inner.wake((org, session), true)
    }

    /// Settles what has waited for too long, by the platform's clock, and lets those turns go on; returns
    /// how many sessions that were. The engine does so by itself when it is time.
    pub async fn end_overdue_waits(&self) -> usize {
        self.inner.end_overdue_waits().await
    }

    /// Waits until nothing is run for a session: all its turns have ended, or are left open
    /// because of a drain or a store outage.
    pub async fn settled(&self, org: OrgId, session: SessionId) {
        let finished = self.inner.sessions().get(&(org, session)).map(|worker| worker.finished.clone());
        if let Some(finished) = finished {
            finished.cancelled().await;
        }
    }

    /// Whether a turn of the session runs here, or waits for one that does.
    pub fn works_on(&self, org: OrgId, session: SessionId) -> bool {
        self.inner.sessions().contains_key(&(org, session))
    }

    /// How many sessions have turns that run or wait here.
    pub fn load(&self) -> usize {
        self.inner.sessions().len()
    }

    /// Has the open turns of a session run here, if there are any. Returns at once.
    ///
    /// # Errors
    /// `Unavailable` while shutting down.
    pub fn take_up(&self, org: OrgId, session: SessionId) -> Result<(), Error> {
        self.wake((org, session))
    }

    fn wake(&self, session: SessionKey) -> Result<(), Error> {
        self.inner.wake(session, false)
    }
}

#[async_trait]
impl Engine for EmbeddedEngine {
    async fn submit(&self, turn: TurnKey) -> Result<(), Error> {
        self.wake((turn.org, turn.session))
    }

    async fn cancel(&self, turn: TurnKey) -> Result<bool, Error> {
        if !self.inner.platform.backends.log.request_cancel(turn.org, turn.session, turn.turn).await? {
            return Ok(false);
        }
        let session = (turn.org, turn.session);
        if let Some(worker) = self.inner.sessions().get_mut(&session) {
            worker.cancelled.insert(turn.turn);
            if let Some((running, cancel)) = &worker.running
                && *running == turn.turn
            {
                cancel.cancel();
            }
        }
        if !self.inner.drain.is_cancelled() {
            self.wake(session)?;
        }
        Ok(true)
    }

    async fn drain(&self) {
        {
            // Under the lock, so that no task is spawned behind the closed tracker.
            let _sessions = self.inner.sessions();
            self.inner.drain.cancel();
            self.inner.tasks.close();
        }
        self.inner.tasks.wait().await;
    }
}

impl Inner {
    /// Makes sure that a task looks for open turns of the session from now on, and maybe for one that
    /// waits.
    pub(super) fn wake(self: &Arc<Self>, session: SessionKey, may_wait: bool) -> Result<(), Error> {
        let mut sessions = self.sessions();
        if self.drain.is_cancelled() {
            return Err(Error::Unavailable("the engine is shutting down".to_owned()));
        }
        if let Some(worker) = sessions.get_mut(&session) {
            worker.again = true;
            worker.may_wait |= may_wait;
            return Ok(());
        }
        sessions.insert(session, Worker { may_wait, ..Worker::default() });
        let inner = self.clone();
        self.tasks.spawn(async move { inner.work(session).await });
        Ok(())
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<SessionKey, Worker>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn work(self: &Arc<Self>, session: SessionKey) {
        let finished = self.sessions().get(&session).map(|worker| worker.finished.clone());
        let _finished = finished.map(CancellationToken::drop_guard);
        loop {
            match AssertUnwindSafe(self.next_turn(session)).catch_unwind().await {
                Ok(After::Next) => {}
                Ok(After::Stop) => return,
                Err(panic) => {
                    tracing::error!(session = %session.1, panic = panic_message(panic.as_ref()), "running a session's turns panicked");
                    self.leave(session);
                    return;
                }
            }
        }
    }

    /// Runs the oldest open turn. On `Stop` the session has no task any more.
    async fn next_turn(self: &Arc<Self>, session: SessionKey) -> After {
        let slot = tokio::select! {
            biased;
            () = self.drain.cancelled() => return self.leave(session),
            slot = self.slots.acquire() => slot,
        };
        let Ok(slot) = slot else { return self.leave(session) };
        let (org, id) = session;
        let log = &self.platform.backends.log;
        match insist(|| log.claim_turn(org, id)).await {
            Ok(Some(claim)) => {
                let key = TurnKey { org, session: id, turn: claim.turn_id };
                let span = tracing::info_span!("turn", session = %id, turn = %claim.turn_id, attempt = claim.attempt);
                self.waits.set(session, None);
                let outcome = Box::pin(self.run(key, claim)).instrument(span).await;
                // Others may run while this one waits for the store.
                drop(slot);
                match outcome {
                    Outcome::Ended => After::Next,
                    Outcome::Parked => {
                        self.watch(session).await;
                        self.leave_unless_woken(session)
                    }
                    Outcome::Unavailable => self.wait_for_store(session).await,
                    Outcome::Stuck => self.leave_unless_woken(session),
                    Outcome::NotOurs => self.leave(session),
                }
            }
            Ok(None) => {
                let may_wait = self.sessions().get_mut(&session).is_some_and(|worker| std::mem::take(&mut worker.may_wait));
                if may_wait {
                    self.watch(session).await;
                }
                self.leave_unless_woken(session)
            }
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                tracing::error!(session = %id, %error, pause = ?STORE_PAUSE, "a session's next turn could not be claimed; trying again");
                drop(slot);
                self.wait_for_store(session).await
            }
            Err(error) => {
                tracing::error!(session = %id, %error, "a session's next turn could not be claimed; it stays open until the session is used again or the process restarts");
                self.leave_unless_woken(session)
            }
        }
    }

    async fn run(&self, key: TurnKey, claim: Claim) -> Outcome {
        let signals = self.register(key);
        let run = AssertUnwindSafe(self.platform.run_turn(key, claim.clone(), signals)).catch_unwind().await;
        let run = match run {
            Ok(Err(error)) if error.is_retryable() => Err(error),
            Ok(Err(error)) => {
                tracing::error!(%error, "a turn cannot go on; it is sealed");
                self.seal(key, claim).await
            }
            Ok(run) => run,
            Err(panic) => {
                tracing::error!(panic = panic_message(panic.as_ref()), "a turn panicked; it is sealed");
                self.seal(key, claim).await
            }
        };
        self.unregister(key);
        match run {
            Ok(TurnRun::Ended(end)) => {
                tracing::info!(?end, "a turn ended");
                Outcome::Ended
            }
            // Whoever settles what it waits for wakes its session.
            Ok(TurnRun::Parked) => Outcome::Parked,
            Ok(TurnRun::Drained) => Outcome::NotOurs,
            Ok(TurnRun::Lost) => {
                tracing::warn!("another owner took the session over");
                Outcome::NotOurs
            }
            Err(error) if error.is_retryable() => {
                tracing::error!(%error, pause = ?STORE_PAUSE, "a turn is interrupted; it is taken up again");
                Outcome::Unavailable
            }
            Err(error) => {
                tracing::error!(%error, "a turn stays open until its session is used again or the process restarts");
                Outcome::Stuck
            }
        }
    }

    /// Lets a store that is not available recover, unless the engine ends.
    async fn wait_for_store(&self, session: SessionKey) -> After {
        tokio::select! {
            biased;
            () = self.drain.cancelled() => self.leave(session),
            () = tokio::time::sleep(STORE_PAUSE) => After::Next,
        }
    }

    /// Ends a turn that cannot go on, also if ending it panics.
    async fn seal(&self, key: TurnKey, claim: Claim) -> Result<TurnRun, Error> {
        let sealing = self.platform.seal_turn(key, claim, "an internal error ended the turn");
        AssertUnwindSafe(sealing)
            .catch_unwind()
            .await
            .unwrap_or_else(|panic| Err(Error::Internal(format!("sealing the turn panicked: {}", panic_message(panic.as_ref())))))
    }

    /// Makes a turn known as running, so that a cancel reaches it; one that came between its
    /// claim and now is not lost.
    fn register(&self, key: TurnKey) -> TurnSignals {
        let signals = TurnSignals { cancel: CancellationToken::new(), drain: self.drain.clone() };
        if let Some(worker) = self.sessions().get_mut(&(key.org, key.session)) {
            if worker.cancelled.contains(&key.turn) {
                signals.cancel.cancel();
            }
            worker.running = Some((key.turn, signals.cancel.clone()));
        }
        signals
    }

    fn unregister(&self, key: TurnKey) {
        if let Some(worker) = self.sessions().get_mut(&(key.org, key.session)) {
            worker.running = None;
            worker.cancelled.remove(&key.turn);
        }
    }

    fn leave(&self, session: SessionKey) -> After {
        self.sessions().remove(&session);
        After::Stop
    }

    /// A submission sees the task or the task sees the submission: both look under the lock.
    fn leave_unless_woken(&self, session: SessionKey) -> After {
        let mut sessions = self.sessions();
        match sessions.get_mut(&session) {
            Some(worker) if worker.again => {
                worker.again = false;
                After::Next
            }
            _ => {
                sessions.remove(&session);
                After::Stop
            }
        }
    }
}
