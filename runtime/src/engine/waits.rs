//! Sessions that wait do not wait for ever: until when each of them waits, and what happens then. The
//! times are in the log; what is kept here is lost without harm.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::executor::{Inner, SessionKey};

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

    /// Whether a session waits.
    pub(super) fn has(&self, session: SessionKey) -> bool {
        self.deadlines().by_session.contains_key(&session)
    }

    /// Sets until when a session waits, or that it does not wait.
    pub(super) fn set(&self, session: SessionKey, deadline: Option<Timestamp>) {
        if self.deadlines().set(session, deadline) {
            self.changed.notify_one();
        }
    }
}

impl Inner {
    /// Sees to it that a session goes on after a time.
    pub(super) fn wait_at_most(self: &Arc<Self>, session: SessionKey, limit: Duration) {
        let now = self.clock.now();
        let deadline = now.checked_add(limit).unwrap_or(Timestamp::MAX);
        self.waits.set(session, Some(deadline));
        if !self.waits.timed.swap(true, Ordering::Relaxed) {
            let (waits, gone, drain) = (self.waits.clone(), self.gone.clone(), self.drain.clone());
            self.tasks.spawn(keep_time(Arc::downgrade(self), waits, gone, drain));
        }
    }

    /// Lets the sessions go on that have waited for long enough; returns how many that are.
    pub(super) fn end_overdue_waits(self: &Arc<Self>) -> usize {
        let due = self.waits.deadlines().take_due(self.clock.now());
        for &session in &due {
            if let Err(error) = self.wake(session, true) {
                tracing::info!(session = %session.1, %error, "the turn goes on at the next start");
            }
        }
        due.len()
    }
}

/// Ends waits when it is time, until the engine drains or is gone.
async fn keep_time(engine: Weak<Inner>, waits: Arc<Waits>, gone: CancellationToken, drain: CancellationToken) {
    loop {
        let Some(inner) = engine.upgrade() else { return };
        inner.end_overdue_waits();
        let now = inner.clock.now();
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
