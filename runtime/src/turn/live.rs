//! What listeners see of an answer while it arrives: text and thinking, in batches.

use std::mem;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::journal::LiveEvents;
use crate::driver::ChatEvent;
use crate::event::EventData;
use crate::id::{MessageId, TurnId};

/// What has arrived is shown at least this often,
const DELTA_INTERVAL: Duration = Duration::from_millis(100);
/// or whenever there is this much of it, in bytes.
const DELTA_BYTES: usize = 4 << 10;

/// Shows an answer that has begun.
pub(super) struct LiveAnswer {
    events: LiveEvents,
    turn_id: TurnId,
    message_id: MessageId,
    model: String,
    text: Batch,
    /// Present while the model thinks.
    thinking: Option<Batch>,
    due_at: Option<Instant>,
}

/// Text that is shown piece by piece.
#[derive(Debug, Default)]
struct Batch {
    pending: String,
    /// Bytes that were shown.
    shown: u64,
}

impl Batch {
    /// What is pending, and where it begins.
    fn take(&mut self) -> Option<(String, u64)> {
        if self.pending.is_empty() {
            return None;
        }
        let delta = mem::take(&mut self.pending);
        let offset = self.shown;
        self.shown += delta.len() as u64;
        Some((delta, offset))
    }
}

impl LiveAnswer {
    pub(super) fn start(events: LiveEvents, turn_id: TurnId, message_id: MessageId, model: &str, iteration: u32) -> Self {
        events.publish(EventData::OutputMessageStarted { turn_id, message_id, model: model.to_owned(), iteration });
        Self { events, turn_id, message_id, model: model.to_owned(), text: Batch::default(), thinking: None, due_at: None }
    }

    /// Takes the next event of the answer in.
    pub(super) fn note(&mut self, event: &ChatEvent) {
        match event {
            ChatEvent::Reasoning { text, .. } if !text.is_empty() => self.think(text),
            ChatEvent::Reasoning { .. } | ChatEvent::Usage(_) => {}
            ChatEvent::Text(text) => {
                self.stop_thinking();
                self.text.pending.push_str(text);
                self.await_more(self.text.pending.len());
            }
            _ => self.stop_thinking(),
        }
    }

    fn think(&mut self, text: &str) {
        if self.thinking.is_none() {
            // What was said before is shown before.
            self.flush();
            let (turn_id, message_id) = (self.turn_id, self.message_id);
            self.events.publish(EventData::ReasonThinkingStarted { turn_id, message_id, model: self.model.clone() });
        }
        let thinking = self.thinking.get_or_insert_default();
        thinking.pending.push_str(text);
        let pending = thinking.pending.len();
        self.await_more(pending);
    }

    fn stop_thinking(&mut self) {
        if self.thinking.is_none() {
            return;
        }
        self.flush();
        let length = self.thinking.take().map_or(0, |thinking| thinking.shown);
        let (turn_id, message_id) = (self.turn_id, self.message_id);
        self.events.publish(EventData::ReasonThinkingCompleted { turn_id, message_id, length });
    }

    fn await_more(&mut self, pending: usize) {
        self.due_at.get_or_insert_with(|| Instant::now() + DELTA_INTERVAL);
        if pending >= DELTA_BYTES {
            self.flush();
        }
    }

    /// Shows what is pending.
    pub(super) fn flush(&mut self) {
        self.due_at = None;
        let (turn_id, message_id) = (self.turn_id, self.message_id);
        if let Some((delta, offset)) = self.thinking.as_mut().and_then(Batch::take) {
            self.events.publish(EventData::ReasonThinkingDelta { turn_id, message_id, delta, offset });
        }
        if let Some((delta, offset)) = self.text.take() {
            self.events.publish(EventData::OutputMessageDelta { turn_id, message_id, delta, offset });
        }
    }

    /// Shows the rest of an answer that is complete.
    pub(super) fn end(&mut self) {
        self.stop_thinking();
        self.flush();
    }

    /// Resolves when what is pending is to be shown; never if nothing is.
    pub(super) async fn due(&self) {
        match self.due_at {
            Some(at) => sleep_until(at).await,
            None => std::future::pending().await,
        }
    }
}
