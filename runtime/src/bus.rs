//! Live delivery of events to listeners. The bus loses nothing durable because it promises
//! nothing durable: a listener that fell behind reads the store.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::broadcast;

use crate::event::Event;
use crate::id::SessionId;

/// Events that a slow listener of one session may be behind before it loses the oldest.
const LISTENER_BUFFER_EVENTS: usize = 256;

/// Delivers events to the listeners of their session. Cloning shares it.
#[derive(Clone, Default)]
pub struct EventBus {
    sessions: Arc<Mutex<HashMap<SessionId, broadcast::Sender<Arc<Event>>>>>,
}

impl EventBus {
    /// A bus without listeners.
    pub fn new() -> Self {
        Self::default()
    }

    /// Hands an event to the listeners of its session. Never blocks. Stored events must be
    /// published after their append succeeded.
    pub fn publish(&self, event: Event) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let session_id = event.session_id;
        let Some(sender) = sessions.get(&session_id) else { return };
        if sender.send(Arc::new(event)).is_err() {
            sessions.remove(&session_id);
        }
    }

    /// Listens to a session from now on. `RecvError::Lagged` means: read the store.
    pub fn subscribe(&self, session_id: SessionId) -> broadcast::Receiver<Arc<Event>> {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.entry(session_id).or_insert_with(|| broadcast::channel(LISTENER_BUFFER_EVENTS).0).subscribe()
    }
}
