//! Runs the turns of sessions in this process, over the store. One process per database: a
//! second one would take sessions over that the first one still works on.

use std::collections::{HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use super::waits::Waits;
use super::{Next, Step, StepError, StepHandler, TurnKey, TurnStatus};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind};
use crate::fail_point::fail_point;
use crate::id::{OrgId, SessionId, TurnId};
use crate::store::{Claim, SessionLog};
use crate::turn::{TurnPlatform, TurnSignals, insist, panic_message};

/// Runs the turns of each session one after the other, of many sessions at once. Cloning
/// shares it.
#[derive(Clone)]
pub struct Executor {
    inner: Arc<Inner>,
}

pub(super) struct Inner {
    handler: Arc<dyn StepHandler>,
    log: Arc<dyn SessionLog>,
    pub(super) clock: Arc<dyn Clock>,
    slots: Semaphore,
    pub(super) tasks: TaskTracker,
    pub(super) drain: CancellationToken,
    sessions: Mutex<HashMap<SessionKey, Worker>>,
    pub(super) waits: Arc<Waits>,
    /// Cancelled when this goes.
    pub(super) gone: CancellationToken,
    _gone: DropGuard,
}

/// How long a session rests after a step that can be tried again: one whose store did not answer.
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

impl Executor {
    /// Runs turns of a platform, at most `slots` (at least one) at once; further sessions wait. It
    /// takes up nothing by itself: see [`Self::recover`].
    pub fn new(platform: TurnPlatform, slots: usize) -> Self {
        let (log, clock) = (platform.backends.log.clone(), platform.clock.clone());
        Self::with_handler(Arc::new(platform), log, clock, slots)
    }

    /// As [`Self::new`], with somebody else who does the steps.
    pub fn with_handler(handler: Arc<dyn StepHandler>, log: Arc<dyn SessionLog>, clock: Arc<dyn Clock>, slots: usize) -> Self {
        let gone = CancellationToken::new();
        let inner = Inner {
            handler,
            log,
            clock,
            waits: Arc::default(),
            _gone: gone.clone().drop_guard(),
            gone,
            slots: Semaphore::new(slots.clamp(1, Semaphore::MAX_PERMITS)),
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
        let log = &self.inner.log;
        let sessions = insist(|| log.sessions_with_open_turns()).await?;
        for &(org, session) in &sessions {
            self.resume(org, session)?;
        }
        Ok(sessions.len())
    }

    /// As [`Self::take_up`], for a session that may be unknown here: if its turn waits for somebody,
    /// this sees to it that the wait ends in time.
    ///
    /// # Errors
    /// `Unavailable` while shutting down.
    pub fn resume(&self, org: OrgId, session: SessionId) -> Result<(), Error> {
        self.inner.wake((org, session), true)
    }

    /// Lets the sessions go on that have waited for long enough, by the clock; returns how many that are.
    /// They do so by themselves when it is time.
    pub fn end_overdue_waits(&self) -> usize {
        self.inner.end_overdue_waits()
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
        self.inner.wake((org, session), false)
    }

    /// Has a turn that is open in the store run here. Idempotent.
    ///
    /// # Errors
    /// `Unavailable` while shutting down.
    pub fn submit(&self, turn: TurnKey) -> Result<(), Error> {
        self.take_up(turn.org, turn.session)
    }

    /// Cancels a turn, waiting or running; the request is recorded in the store first. False if
    /// the turn has ended.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn cancel(&self, turn: TurnKey) -> Result<bool, Error> {
        if !self.inner.log.request_cancel(turn.org, turn.session, turn.turn).await? {
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
            self.inner.wake(session, false)?;
        }
        Ok(true)
    }

    /// What is known here of a turn.
    pub fn status(&self, turn: TurnKey) -> TurnStatus {
        let session = (turn.org, turn.session);
        match self.inner.sessions().get(&session) {
            Some(worker) if worker.running.as_ref().is_some_and(|(running, _)| *running == turn.turn) => TurnStatus::Running,
            Some(_) => TurnStatus::Waiting,
            None if self.inner.waits.has(session) => TurnStatus::Waiting,
            None => TurnStatus::Unknown,
        }
    }

    /// Stops taking up turns, lets running steps end, and returns when all have; turns that are
    /// still open go on at the next start.
    pub async fn drain(&self) {
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
        fail_point!(EngineWoken);
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
        let next = match insist(|| self.log.claim_turn(org, id)).await {
            Ok(Some(claim)) => {
                let key = TurnKey { org, session: id, turn: claim.turn_id };
                let span = tracing::info_span!("turn", session = %id, turn = %claim.turn_id, attempt = claim.attempt);
                self.waits.set(session, None);
                Box::pin(self.step(key, claim)).instrument(span).await
            }
            Ok(None) => {
                let may_wait = self.sessions().get_mut(&session).is_some_and(|worker| std::mem::take(&mut worker.may_wait));
                if may_wait { self.handler.idle(org, id).await.map_err(step_error) } else { Ok(Next::Done) }
            }
            Err(error) => Err(step_error(error.into())),
        };
        // Others may run while this one waits.
        drop(slot);
        self.heed(session, next).await
    }

    /// Does as a step has said.
    async fn heed(self: &Arc<Self>, session: SessionKey, next: Result<Next, StepError>) -> After {
        match next {
            Ok(Next::Again) => After::Next,
            Ok(Next::After(pause)) => self.rest(session, pause).await,
            Ok(Next::Signal { limit }) => {
                self.wait_at_most(session, limit);
                fail_point!(EngineWaits);
                self.leave_unless_woken(session)
            }
            Ok(Next::Done) => self.leave_unless_woken(session),
            Err(StepError::Lost) => {
                tracing::warn!(session = %session.1, "another owner took the session over");
                self.leave(session)
            }
            Err(StepError::Retry(error)) => {
                tracing::error!(session = %session.1, %error, pause = ?STORE_PAUSE, "a session's turn is interrupted; it is taken up again");
                self.rest(session, STORE_PAUSE).await
            }
            Err(StepError::Fatal(error)) => {
                tracing::error!(session = %session.1, %error, "a turn stays open until its session is used again or the process restarts");
                self.leave_unless_woken(session)
            }
        }
    }

    async fn step(&self, key: TurnKey, claim: Claim) -> Result<Next, StepError> {
        let signals = self.register(key);
        fail_point!(EngineBegins);
        let step = AssertUnwindSafe(self.handler.step(Step { key, claim, signals })).catch_unwind().await;
        fail_point!(EngineEnded);
        self.unregister(key);
        step.unwrap_or_else(|panic| Err(StepError::Fatal(Error::Internal(format!("a step panicked: {}", panic_message(panic.as_ref()))))))
    }

    /// Lets time pass, unless this ends.
    async fn rest(&self, session: SessionKey, pause: Duration) -> After {
        tokio::select! {
            biased;
            () = self.drain.cancelled() => self.leave(session),
            () = tokio::time::sleep(pause) => After::Next,
        }
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

fn step_error(error: Error) -> StepError {
    if error.kind() == ErrorKind::Unavailable { StepError::Retry(error) } else { StepError::Fatal(error) }
}
