//! Histories of recently used sessions, so that a turn does not read what the turn before it
//! has read. Nothing depends on it but speed: a history that is not here is folded from the log
//! again, and whoever takes one reads on behind its last sequence, where another process may
//! have written.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::history::History;
use crate::id::{OrgId, SessionId};

/// Most sessions whose histories are kept; the ones that were not used for longest go first.
pub const MAX_CACHED_SESSIONS: usize = 512;
/// Most bytes of all kept histories together, as far as their messages can tell.
pub const MAX_CACHED_BYTES: usize = 64 << 20;

/// Keeps histories between turns. Taking removes: a session has one running turn, which owns
/// the history meanwhile and pays no copy for it.
#[derive(Debug, Default)]
pub struct HistoryCache {
    entries: Mutex<Entries>,
    folded: AtomicU64,
}

#[derive(Debug, Default)]
struct Entries {
    /// The least recently used first.
    order: VecDeque<Entry>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    org: OrgId,
    session: SessionId,
    history: Box<History>,
}

impl HistoryCache {
    /// An empty cache.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many events were folded so far, by all that use it: what turns and looks at contexts cost
    /// beside reading and writing.
    pub fn events_folded(&self) -> u64 {
        self.folded.load(Ordering::Relaxed)
    }

    /// Counts events that are folded.
    pub(super) fn note_folded(&self, events: usize) {
        self.folded.fetch_add(events as u64, Ordering::Relaxed);
    }

    /// Drops what is kept of a session, for example because the session was deleted.
    pub fn forget(&self, org: OrgId, session: SessionId) {
        self.entries().remove(org, session);
    }

    /// Takes a session's history out.
    pub(super) fn take(&self, org: OrgId, session: SessionId) -> Option<History> {
        self.entries().remove(org, session)
    }

    /// Keeps a history, unless one is kept that reaches further, or it is too large.
    pub(super) fn put(&self, org: OrgId, session: SessionId, history: History) {
        let mut entries = self.entries();
        let history = match entries.remove(org, session) {
            Some(kept) if kept.through() > history.through() => kept,
            _ => history,
        };
        let bytes = history.bytes();
        if bytes > MAX_CACHED_BYTES {
            return;
        }
        while entries.order.len() >= MAX_CACHED_SESSIONS || entries.bytes + bytes > MAX_CACHED_BYTES {
            let Some(oldest) = entries.order.pop_front() else { break };
            entries.bytes -= oldest.history.bytes();
        }
        entries.bytes += bytes;
        entries.order.push_back(Entry { org, session, history: Box::new(history) });
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn remove(&mut self, org: OrgId, session: SessionId) -> Option<History> {
        let at = self.order.iter().position(|entry| entry.session == session && entry.org == org)?;
        let entry = self.order.remove(at)?;
        self.bytes -= entry.history.bytes();
        Some(*entry.history)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::event::{Event, EventContext, EventData};
    use crate::id::{EventId, MessageId, TurnId};
    use crate::message::{ContentPart, Message, Role};

    const ORG: OrgId = OrgId::from_uuid(Uuid::nil());

    fn session(n: u128) -> SessionId {
        SessionId::from_uuid(Uuid::from_u128(n))
    }

    /// A history of one message of so many bytes, up to a sequence.
    fn history(through: u64, bytes: usize) -> History {
        let content = vec![ContentPart::text("x".repeat(bytes))];
        let ts = jiff::Timestamp::UNIX_EPOCH;
        let message = Message {
            id: MessageId::from_uuid(Uuid::nil()),
            role: Role::User,
            content,
            metadata: Default::default(),
            controls: None,
            created_at: ts,
        };
        let context = EventContext { turn_id: Some(TurnId::from_uuid(Uuid::nil())), input_message_id: None };
        let (id, session_id) = (EventId::from_uuid(Uuid::nil()), session(0));
        let mut history = History::default();
        history.fold(&Event { id, ts, session_id, sequence: Some(through), context, data: EventData::InputMessage { message } });
        history
    }

    #[test]
    fn what_is_put_is_taken_once() {
        let cache = HistoryCache::new();
        cache.put(ORG, session(1), history(3, 10));
        let other = OrgId::from_uuid(Uuid::from_u128(9));
        assert_eq!(cache.take(other, session(1)), None);
        assert_eq!(cache.take(ORG, session(1)), Some(history(3, 10)));
        assert_eq!(cache.take(ORG, session(1)), None);
        cache.put(ORG, session(1), history(3, 10));
        cache.forget(ORG, session(1));
        assert_eq!(cache.take(ORG, session(1)), None);
        assert_eq!(cache.entries().bytes, 0);
    }

    #[test]
    fn the_history_that_reaches_further_stays() {
        let cache = HistoryCache::new();
        cache.put(ORG, session(1), history(5, 10));
        cache.put(ORG, session(1), history(4, 10));
        assert_eq!(cache.take(ORG, session(1)).map(|history| history.through()), Some(5));
    }

    #[test]
    fn the_least_recently_used_go_first() {
        let cache = HistoryCache::new();
        for n in 0..MAX_CACHED_SESSIONS as u128 {
            cache.put(ORG, session(n), history(1, 1));
        }
        let used = cache.take(ORG, session(0)).expect("it is kept");
        cache.put(ORG, session(0), used);
        cache.put(ORG, session(1_000_000), history(1, 1));
        assert_eq!(cache.entries().order.len(), MAX_CACHED_SESSIONS);
        assert!(cache.take(ORG, session(1)).is_none());
        assert!(cache.take(ORG, session(0)).is_some());
    }

    #[test]
    fn bytes_are_bounded() {
        let cache = HistoryCache::new();
        cache.put(ORG, session(0), history(1, MAX_CACHED_BYTES));
        assert_eq!(cache.entries().order.len(), 0, "what is larger than the cache is not kept");
        for n in 0..4 {
            cache.put(ORG, session(n), history(1, MAX_CACHED_BYTES / 3));
        }
        let entries = cache.entries();
        assert_eq!(entries.order.len(), 2);
        assert_eq!(entries.bytes, entries.order.iter().map(|entry| entry.history.bytes()).sum::<usize>());
        assert!(entries.bytes <= MAX_CACHED_BYTES);
    }
}
