//! Sessions that wait for somebody outside do not wait for ever: until when each of them waits, and what
//! happens then. The times are in the log; what is kept here is lost without harm.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::embedded::{Inner, SessionKey};

/// How long after a failure a wait is looked at again.
const RETRY: Duration = Duration::from_secs(60);
/// Longest time between two looks at what waits: clocks are set, and machines sleep.
const LONGEST_PAUSE: Duration = Duration::from_secs(3_600);

/// What is known of the waits.
#[derive(Default)]
pub(super) struct Waits {
    deadlines: Mutex<Deadlines>,
    /// Another session is the next one.
    changed: Notify,
    /// Whether somebody keeps time.
    timed: AtomicBool,
}

impl Waits {
    fn deadlines(&self) -> MutexGuard<'_, Deadlines> {
        self.deadlines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets until when a session waits, or that it does not wait.
    pub(super) fn set(&self, session: SessionKey, deadline: Option<Timestamp>) {
        if self.deadlines().set(session, deadline) {
            self.changed.notify_one();
        }
    }
}

impl Inner {
    /// Sees to it that a session does not wait for too long, if it waits.
    pub(super) async fn watch(self: &Arc<Self>, session: SessionKey) {
        self.note_deadline(session).await;
        if self.waits.deadlines().earliest().is_some() && !self.waits.timed.swap(true, Ordering::Relaxed) {
            let (waits, gone, drain) = (self.waits.clone(), self.gone.clone(), self.drain.clone());
            self.tasks.spawn(keep_time(Arc::downgrade(self), waits, gone, drain));
        }
    }

    async fn note_deadline(&self, session: SessionKey) {
        let (org, id) = session;
        let deadline = match self.platform.outside_desk().deadline(org, id).await {
            Ok(deadline) => deadline,
            Err(error) => {
                tracing::warn!(session = %id, %error, "it is not known until when a session waits; looking again later");
                self.later()
            }
        };
        self.waits.set(session, deadline);
    }

    /// Settles what has waited for too long; returns how many sessions go on.
    pub(super) async fn end_overdue_waits(self: &Arc<Self>) -> usize {
        let due = self.waits.deadlines().take_due(self.platform.clock.now());
        let mut ended = 0;
        for session in due {
            let (org, id) = session;
            match self.platform.outside_desk().expire(org, id).await {
                Ok(Some(accepted)) if accepted.wakes_turn => {
                    tracing::info!(session = %id, "what a turn waited for did not come in time; it goes on without");
                    ended += 1;
                    if let Err(error) = self.wake(session, false) {
                        tracing::info!(session = %id, %error, "the turn goes on at the next start");
                    }
                }
                Ok(_) => self.note_deadline(session).await,
                Err(error) => {
                    tracing::warn!(session = %id, %error, "a wait that is over could not be ended; trying again later");
                    self.waits.set(session, self.later());
                }
            }
        }
        ended
    }

    fn later(&self) -> Option<Timestamp> {
        self.platform.clock.now().checked_add(RETRY).ok()
    }
}

/// Ends waits when it is time, until the engine drains or is gone.
async fn keep_time(engine: Weak<Inner>, waits: Arc<Waits>, gone: CancellationToken, drain: CancellationToken) {
    loop {
        let Some(inner) = engine.upgrade() else { return };
        inner.end_overdue_waits().await;
        let now = inner.platform.clock.now();
        drop(inner);
        let left = |next: Timestamp| Duration::try_from(next.duration_since(now)).unwrap_or_default();
        let pause = waits.deadlines().earliest().map_or(LONGEST_PAUSE, left).min(LONGEST_PAUSE);
        tokio::select! {
            () = gone.cancelled() => return,
            () = drain.cancelled() => return,
            () = waits.changed.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// One time for each session that waits.
#[derive(Debug, Default)]
struct Deadlines {
    by_session: HashMap<SessionKey, Timestamp>,
    in_order: BTreeSet<(Timestamp, SessionKey)>,
}

impl Deadlines {
    /// Sets or removes the time of a session. Tells whether another time is the earliest by now.
    fn set(&mut self, session: SessionKey, deadline: Option<Timestamp>) -> bool {
        let before = self.earliest();
        if let Some(old) = self.by_session.remove(&session) {
            self.in_order.remove(&(old, session));
        }
        if let Some(deadline) = deadline {
            self.by_session.insert(session, deadline);
            self.in_order.insert((deadline, session));
        }
        self.earliest() != before
    }

    /// The earliest time.
    fn earliest(&self) -> Option<Timestamp> {
        self.in_order.first().map(|(deadline, _)| *deadline)
    }

    /// Takes those out whose time has come.
    fn take_due(&mut self, now: Timestamp) -> Vec<SessionKey> {
        let mut due = Vec::new();
        while let Some(&(deadline, session)) = self.in_order.first()
            && deadline <= now
        {
            self.set(session, None);
            due.push(session);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::id::{OrgId, SessionId};

    #[test]
    fn a_session_has_one_time_and_leaves_with_it() {
        let at = |second| Timestamp::from_second(second).expect("a time");
        let session = |n| (OrgId::from_uuid(Uuid::nil()), SessionId::from_uuid(Uuid::from_u128(n)));
        let mut deadlines = Deadlines::default();
        assert!(deadlines.set(session(1), Some(at(10))));
        assert!(!deadlines.set(session(2), Some(at(20))), "the earliest is as it was");
        assert!(deadlines.set(session(1), Some(at(30))));
        assert_eq!(deadlines.earliest(), Some(at(20)));
        deadlines.set(session(3), Some(at(5)));
        deadlines.set(session(3), None);
        assert_eq!(deadlines.take_due(at(19)), []);
        assert_eq!(deadlines.take_due(at(30)), [session(2), session(1)]);
        assert_eq!(deadlines.earliest(), None);
    }
}
