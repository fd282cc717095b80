//! Live delivery of events to listeners. A bus loses nothing durable because it promises nothing
//! durable: a listener that fell behind reads the store.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{broadcast, watch};

use crate::event::Event;
use crate::id::SessionId;

/// Events that a slow listener of one session may be behind before it loses the oldest.
pub const LISTENER_BUFFER_EVENTS: usize = 256;
/// Stored events that [`InMemoryEventBus::retaining`] keeps; the oldest are dropped beyond it.
pub const RETAINED_EVENTS: usize = 10_000;

/// Takes events to whoever listens.
pub trait EventEmitter: Send + Sync {
    /// Hands an event to the listeners of its session. Never blocks. Stored events must be
    /// emitted after their append succeeded.
    fn emit(&self, event: Event);
}

/// Delivers the events of sessions.
pub trait EventBus: EventEmitter {
    /// Listens to a session from now on. `RecvError::Lagged` means: read the store.
    fn subscribe(&self, session_id: SessionId) -> broadcast::Receiver<Arc<Event>>;

    /// Up to which sequence the store has events of a session that the listeners were not sent: who is not there yet
    /// reads the store. To be asked for after [`Self::subscribe`], and anew with it. None of a bus that no other process
    /// appends beside.
    fn stored(&self, _session_id: SessionId) -> Option<watch::Receiver<u64>> {
        None
    }

    /// Tells the listeners of a session that the store has events up to this sequence. Those who had
    /// them from [`EventEmitter::emit`] are left alone, the others hear it from [`Self::stored`]. A bus that no other
    /// process appends beside needs none of it.
    fn appended_elsewhere(&self, _session_id: SessionId, _sequence: u64) {}

    /// Tells all listeners that something may have been appended that nobody told of: they get `RecvError`, listen anew
    /// and read the store.
    fn missed(&self) {}

    /// The stored events that the bus has kept, oldest first. A bus for production keeps none:
    /// its events are in the store.
    fn collected_events(&self) -> Vec<Event> {
        Vec::new()
    }
}

/// Delivers within this process. Cloning shares it.
#[derive(Clone, Default)]
pub struct InMemoryEventBus {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    sessions: HashMap<SessionId, Channel>,
    /// None if nothing is to be kept.
    retained: Option<VecDeque<Arc<Event>>>,
}

/// The listeners of one session.
struct Channel {
    sender: broadcast::Sender<Arc<Event>>,
    /// What others appended.
    stored: watch::Sender<u64>,
    /// Sequence of the last stored event that they were told.
    told: u64,
}

impl InMemoryEventBus {
    /// A bus that keeps nothing, for servers.
    pub fn new() -> Self {
        Self::default()
    }

    /// A bus that keeps the latest [`RETAINED_EVENTS`] stored events for
    /// [`EventBus::collected_events`].
    pub fn retaining() -> Self {
        let bus = Self::default();
        bus.lock().retained = Some(VecDeque::new());
        bus
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EventEmitter for InMemoryEventBus {
    fn emit(&self, event: Event) {
        let mut inner = self.lock();
        let session_id = event.session_id;
        let event = Arc::new(event);
        if let (Some(retained), Some(_)) = (&mut inner.retained, event.sequence) {
            if retained.len() == RETAINED_EVENTS {
                retained.pop_front();
            }
            retained.push_back(event.clone());
        }
        let Some(channel) = inner.sessions.get_mut(&session_id) else { return };
        channel.told = event.sequence.unwrap_or(channel.told);
        if channel.sender.send(event).is_err() {
            inner.sessions.remove(&session_id);
        }
    }
}

impl EventBus for InMemoryEventBus {
    fn subscribe(&self, session_id: SessionId) -> broadcast::Receiver<Arc<Event>> {
        let mut inner = self.lock();
        let channel = || Channel { sender: broadcast::channel(LISTENER_BUFFER_EVENTS).0, stored: watch::Sender::new(0), told: 0 };
        inner.sessions.entry(session_id).or_insert_with(channel).sender.subscribe()
    }

    fn stored(&self, session_id: SessionId) -> Option<watch::Receiver<u64>> {
        self.lock().sessions.get(&session_id).map(|channel| channel.stored.subscribe())
    }

    fn appended_elsewhere(&self, session_id: SessionId, sequence: u64) {
        let mut inner = self.lock();
        let Some(channel) = inner.sessions.get_mut(&session_id) else { return };
        if channel.sender.receiver_count() == 0 {
            inner.sessions.remove(&session_id);
        } else if channel.told < sequence {
            channel.told = sequence;
            channel.stored.send_replace(sequence);
        }
    }

    fn missed(&self) {
        // Without a sender its receivers end, once they have what was sent.
        self.lock().sessions.clear();
    }

    fn collected_events(&self) -> Vec<Event> {
        let inner = self.lock();
        inner.retained.iter().flatten().map(|event| Event::clone(event)).collect()
    }
}

#[cfg(test)]
mod tests {
    use broadcast::error::TryRecvError;
    use uuid::Uuid;

    use super::*;
    use crate::event::{EventContext, EventData};
    use crate::id::{EventId, TurnId};

    fn event(session_id: SessionId, sequence: Option<u64>) -> Event {
        let turn_id = TurnId::from_uuid(Uuid::nil());
        let context = EventContext { turn_id: Some(turn_id), input_message_id: None };
        let (id, ts) = (EventId::from_uuid(Uuid::nil()), jiff::Timestamp::UNIX_EPOCH);
        Event { id, ts, session_id, sequence, context, data: EventData::SessionIdled { turn_id } }
    }

    #[test]
    fn only_who_was_not_told_is_sent_to_the_store() {
        let [one, two] = [1, 2].map(|n| SessionId::from_uuid(Uuid::from_u128(n)));
        let bus = InMemoryEventBus::new();
        let (mut first, mut second) = (bus.subscribe(one), bus.subscribe(two));
        let [told, untold] = [one, two].map(|session| bus.stored(session).expect("somebody listens"));
        bus.emit(event(one, Some(7)));
        bus.emit(event(one, None));
        bus.appended_elsewhere(one, 7);
        assert!(first.try_recv().is_ok() && first.try_recv().is_ok());
        assert_eq!(*told.borrow(), 0, "it had the event from here");
        bus.appended_elsewhere(one, 8);
        bus.emit(event(one, None));
        assert_eq!((*told.borrow(), *untold.borrow()), (8, 0));
        assert!(first.try_recv().is_ok(), "what is sent meanwhile is not lost");
        assert!(matches!(second.try_recv(), Err(TryRecvError::Empty)));
        bus.missed();
        assert!(matches!(second.try_recv(), Err(TryRecvError::Closed)));
    }
}
