//! Live delivery of events to listeners. A bus loses nothing durable because it promises nothing
//! durable: a listener that fell behind reads the store.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::broadcast;

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
    sessions: HashMap<SessionId, broadcast::Sender<Arc<Event>>>,
    /// None if nothing is to be kept.
    retained: Option<VecDeque<Arc<Event>>>,
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
        let Some(sender) = inner.sessions.get(&session_id) else { return };
        if sender.send(event).is_err() {
            inner.sessions.remove(&session_id);
        }
    }
}

impl EventBus for InMemoryEventBus {
    fn subscribe(&self, session_id: SessionId) -> broadcast::Receiver<Arc<Event>> {
        self.lock().sessions.entry(session_id).or_insert_with(|| broadcast::channel(LISTENER_BUFFER_EVENTS).0).subscribe()
    }

    fn collected_events(&self) -> Vec<Event> {
        let inner = self.lock();
        inner.retained.iter().flatten().map(|event| Event::clone(event)).collect()
    }
}
