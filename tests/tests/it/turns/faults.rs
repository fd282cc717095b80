//! A log that fails on purpose.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use everwit_runtime::engine::TurnKey;
use everwit_runtime::error::Error;
use everwit_runtime::event::{Event, NewEvent};
use everwit_runtime::id::{EventId, OrgId, SessionId, TurnId};
use everwit_runtime::store::{
    Append, Claim, Fence, Listing, LogUsage, Page, SessionLog, StoreError, StoreResult, Submitted, TurnAnswer, TurnFilter, TurnRecord,
};
use everwit_runtime::turn::{TurnPlatform, TurnRun, TurnSignals};
use jiff::Timestamp;

use super::rig::Rig;

/// When a log fails.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Fault {
    /// Everything fails once this many events were to be stored; an append that would go
    /// beyond is not stored.
    DeadAfter(usize),
    /// As `DeadAfter`, but the last append is stored and only its reply gets lost.
    SilentAfter(usize),
    /// So many calls fail, then all is well.
    Outage(usize),
    /// The reply to the first append gets lost.
    LostReply,
    /// Nothing fails any more.
    None,
    /// Everything fails.
    Dead,
}

pub(super) struct FaultyLog {
    /// Pages that were read.
    pub(super) reads: AtomicUsize,
    /// Events on those pages.
    pub(super) events_read: AtomicUsize,
    /// Calls of any method.
    pub(super) calls: AtomicUsize,
    inner: Arc<dyn SessionLog>,
    fault: Mutex<Fault>,
}

impl FaultyLog {
    pub(super) fn new(inner: Arc<dyn SessionLog>, fault: Fault) -> Arc<Self> {
        let [reads, events_read, calls] = [(); 3].map(|()| AtomicUsize::new(0));
        Arc::new(Self { reads, events_read, calls, inner, fault: Mutex::new(fault) })
    }

    fn check(&self) -> StoreResult<()> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let mut fault = self.fault.lock().unwrap();
        match *fault {
            Fault::Dead => Err(lost()),
            Fault::Outage(0) => {
                *fault = Fault::None;
                Ok(())
            }
            Fault::Outage(left) => {
                *fault = Fault::Outage(left - 1);
                Err(lost())
            }
            _ => Ok(()),
        }
    }

    /// Whether an append of so many events is stored, and whether its reply arrives.
    fn judge(&self, events: usize) -> (bool, bool) {
        let mut fault = self.fault.lock().unwrap();
        match *fault {
            Fault::DeadAfter(left) if events > left => {
                *fault = Fault::Dead;
                (false, false)
            }
            Fault::SilentAfter(left) if events > left => {
                *fault = Fault::Dead;
                (true, false)
            }
            Fault::DeadAfter(left) => {
                *fault = Fault::DeadAfter(left - events);
                (true, true)
            }
            Fault::SilentAfter(left) => {
                *fault = Fault::SilentAfter(left - events);
                (true, true)
            }
            Fault::LostReply => {
                *fault = Fault::None;
                (true, false)
            }
            _ => (true, true),
        }
    }
}

/// Runs the oldest turn as a process that dies of `fault`.
pub(super) async fn dies(rig: &Rig, fault: Fault) -> Result<TurnRun, Error> {
    run_on(rig, FaultyLog::new(rig.log(), fault)).await
}

/// Runs the oldest turn on another log.
pub(super) async fn run_on(rig: &Rig, log: Arc<FaultyLog>) -> Result<TurnRun, Error> {
    let platform = TurnPlatform { backends: rig.platform.backends.clone().with_log(log), ..rig.platform.clone() };
    let claim = rig.claim().await;
    let key = TurnKey { org: rig.org, session: rig.session, turn: claim.turn_id };
    platform.run_turn(key, claim, TurnSignals::default()).await
}

fn lost() -> StoreError {
    StoreError::Unavailable("on purpose".to_owned())
}

#[async_trait]
impl SessionLog for FaultyLog {
    async fn submit_turn(&self, org: OrgId, session: SessionId, turn: TurnId, input: NewEvent) -> StoreResult<Submitted> {
        self.check()?;
        self.inner.submit_turn(org, session, turn, input).await
    }

    async fn claim_turn(&self, org: OrgId, session: SessionId) -> StoreResult<Option<Claim>> {
        self.check()?;
        self.inner.claim_turn(org, session).await
    }

    async fn claim_turn_at(&self, org: OrgId, session: SessionId, fence: Fence) -> StoreResult<Option<Claim>> {
        self.check()?;
        self.inner.claim_turn_at(org, session, fence).await
    }

    async fn request_cancel(&self, org: OrgId, session: SessionId, turn: TurnId) -> StoreResult<bool> {
        self.check()?;
        self.inner.request_cancel(org, session, turn).await
    }

    async fn answer_turn(&self, org: OrgId, session: SessionId, answer: TurnAnswer) -> StoreResult<Vec<Event>> {
        self.check()?;
        let (stores, replies) = self.judge(answer.events.len());
        if !stores {
            return Err(lost());
        }
        let stored = self.inner.answer_turn(org, session, answer).await?;
        if replies { Ok(stored) } else { Err(lost()) }
    }

    async fn owner(&self, org: OrgId, session: SessionId, turn: TurnId) -> StoreResult<Option<Fence>> {
        self.inner.owner(org, session, turn).await
    }

    async fn open_turns(&self, org: OrgId, session: SessionId) -> StoreResult<Vec<TurnId>> {
        self.check()?;
        self.inner.open_turns(org, session).await
    }

    async fn append(&self, org: OrgId, session: SessionId, append: Append) -> StoreResult<Vec<Event>> {
        self.check()?;
        let (stores, replies) = self.judge(append.events.len());
        if !stores {
            return Err(lost());
        }
        let stored = self.inner.append(org, session, append).await?;
        if replies { Ok(stored) } else { Err(lost()) }
    }

    async fn read_events(&self, org: OrgId, session: SessionId, after: u64, limit: usize) -> StoreResult<Vec<Event>> {
        self.check()?;
        self.reads.fetch_add(1, Ordering::Relaxed);
        let events = self.inner.read_events(org, session, after, limit).await?;
        self.events_read.fetch_add(events.len(), Ordering::Relaxed);
        Ok(events)
    }

    async fn last_sequence(&self, org: OrgId, session: SessionId) -> StoreResult<u64> {
        self.check()?;
        self.inner.last_sequence(org, session).await
    }

    async fn find_event(&self, org: OrgId, session: SessionId, event: EventId) -> StoreResult<Option<u64>> {
        self.check()?;
        self.inner.find_event(org, session, event).await
    }

    async fn list_turns(&self, org: OrgId, filter: TurnFilter, page: Page) -> StoreResult<Listing<TurnRecord>> {
        self.check()?;
        self.inner.list_turns(org, filter, page).await
    }

    async fn log_usage(&self, org: OrgId, now: Timestamp) -> StoreResult<LogUsage> {
        self.check()?;
        self.inner.log_usage(org, now).await
    }

    async fn waiting_sessions(&self, org: OrgId, after: Option<SessionId>, limit: u32) -> StoreResult<Vec<SessionId>> {
        self.check()?;
        self.inner.waiting_sessions(org, after, limit).await
    }

    async fn sessions_with_open_turns(&self) -> StoreResult<Vec<(OrgId, SessionId)>> {
        self.check()?;
        self.inner.sessions_with_open_turns().await
    }
}
