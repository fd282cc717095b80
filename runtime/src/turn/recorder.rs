//! Tells an embedder's message store what the log has settled. The log is the truth: a store
//! that fails is told again with the next messages, and at the latest by the session's next turn,
//! which reads the log behind what the store has.

use std::sync::Arc;

use super::conversation::message_of;
use crate::engine::TurnKey;
use crate::event::Event;
use crate::store::{MessageBatch, RuntimeMessageStore, StoredMessage};

/// Messages of one turn on their way to the store.
pub(super) struct Recorder {
    store: Arc<dyn RuntimeMessageStore>,
    key: TurnKey,
    recorded: u64,
    noted: u64,
    pending: Vec<StoredMessage>,
}

impl Recorder {
    /// For a store that has taken account of the log up to `through`.
    pub(super) fn new(store: Arc<dyn RuntimeMessageStore>, key: TurnKey, through: u64) -> Self {
        Self { store, key, recorded: through, noted: through, pending: Vec::new() }
    }

    /// Takes an event of the log in.
    pub(super) fn note(&mut self, event: &Event) {
        let Some(sequence) = event.sequence.filter(|&sequence| sequence > self.noted) else { return };
        self.noted = sequence;
        let stored = |message| StoredMessage { sequence, turn_id: event.context.turn_id, message };
        self.pending.extend(message_of(event).map(stored));
    }

    /// Tells the store, if there is any message to tell.
    pub(super) async fn flush(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let batch = MessageBatch { after: self.recorded, through: self.noted, messages: self.pending.clone() };
        match self.store.record_messages(self.key.org, self.key.session, batch).await {
            Ok(()) => {
                self.recorded = self.noted;
                self.pending.clear();
            }
            Err(error) => {
                tracing::warn!(%error, messages = self.pending.len(), "the message store did not take messages; it is told again later");
            }
        }
    }
}
