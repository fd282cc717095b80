//! One turn at a time in each session.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use crate::id::SessionId;

/// What happens to a turn whose session has one already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ConcurrentTurns {
    /// It waits, behind those that wait already.
    #[default]
    Wait,
    /// It is refused with `Conflict`; nothing of it is stored.
    Refuse,
}

/// Who has which session. An entry lives as long as somebody holds it or waits for it.
#[derive(Default)]
pub(super) struct SessionLocks {
    sessions: Mutex<HashMap<SessionId, Arc<AsyncMutex<()>>>>,
}

/// The session is held until this is dropped.
pub(super) struct SessionGuard<'a> {
    locks: &'a SessionLocks,
    session: SessionId,
    held: Option<OwnedMutexGuard<()>>,
}

impl SessionLocks {
    /// Takes the session, after those that wait already.
    pub(super) async fn wait(&self, session: SessionId) -> SessionGuard<'_> {
        // Made before the wait, so that a caller that gives up in it leaves no entry behind.
        let mut guard = SessionGuard { locks: self, session, held: None };
        let lock = self.sessions().entry(session).or_default().clone();
        guard.held = Some(lock.lock_owned().await);
        guard
    }

    /// Takes the session if nobody has it.
    pub(super) fn try_take(&self, session: SessionId) -> Option<SessionGuard<'_>> {
        let mut guard = SessionGuard { locks: self, session, held: None };
        let lock = self.sessions().entry(session).or_default().clone();
        guard.held = Some(lock.try_lock_owned().ok()?);
        Some(guard)
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<SessionId, Arc<AsyncMutex<()>>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for SessionGuard<'_> {
    fn drop(&mut self) {
        self.held = None;
        let mut sessions = self.locks.sessions();
        if sessions.get(&self.session).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            sessions.remove(&self.session);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn session(number: u128) -> SessionId {
        SessionId::from_uuid(uuid::Uuid::from_u128(number))
    }

    #[test]
    fn a_session_is_held_by_one_and_forgotten_afterwards() {
        let locks = SessionLocks::default();
        let held = locks.try_take(session(1)).expect("nobody has it");
        assert!(locks.try_take(session(1)).is_none());
        assert!(locks.try_take(session(2)).is_some(), "another session is free");
        assert!(locks.wait(session(1)).now_or_never().is_none(), "a wait that is given up");
        drop(held);
        assert!(locks.wait(session(1)).now_or_never().is_some());
        assert_eq!(locks.sessions().len(), 0);
    }
}
