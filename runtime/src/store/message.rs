//! Messages of sessions, for embedders that keep a copy of their own.
//!
//! The log of events is the truth. Without a message store, messages are projected from it. With
//! one, the runtime tells the store every message that the log has settled, and reads the
//! history of a turn from it: what the store returns is what the model sees. What the store has
//! not heard of yet, because it failed or the process died, is read from the log behind
//! [`SessionMessages::through`] and told to it again, so that a copy never stays behind.

use std::sync::Arc;

use async_trait::async_trait;

use super::{SessionLog, StoreError, StoreResult};
use crate::id::{OrgId, SessionId, TurnId};
use crate::limits::MAX_EVENTS_PER_PAGE;
use crate::message::Message;
use crate::turn::message_of;

/// A message with its place in the log.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredMessage {
    /// Sequence of the event that it is; unique in the session.
    pub sequence: u64,
    /// The turn that it belongs to.
    pub turn_id: Option<TurnId>,
    /// The message; its id is unique in the session.
    pub message: Message,
}

/// Messages that the log has settled in a stretch of it.
#[derive(Debug, Clone, PartialEq)]
pub struct MessageBatch {
    /// The stretch begins behind this sequence, 0 being the start of the log.
    pub after: u64,
    /// Sequence of the last event of the stretch, `after` at least.
    pub through: u64,
    /// All messages of the stretch, in order of their sequences; there may be none.
    pub messages: Vec<StoredMessage>,
}

/// All messages of a session up to a sequence.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SessionMessages {
    /// In order of their sequences.
    pub messages: Vec<StoredMessage>,
    /// The log up to this sequence is taken account of; 0 if nothing is.
    pub through: u64,
}

/// Keeps the messages of sessions. See the module for what it is to the log.
#[async_trait]
pub trait RuntimeMessageStore: Send + Sync {
    /// Takes in what the log has settled. Idempotent: of a batch that overlaps what the store has
    /// taken account of, only the messages behind that are new, and `through` never goes back.
    /// `SequenceConflict` if `after` is beyond what the store has taken account of, because then
    /// something in between would be missing; nothing is stored then.
    async fn record_messages(&self, org: OrgId, session: SessionId, batch: MessageBatch) -> StoreResult<()>;

    /// All messages of a session; empty, with a `through` of 0, for one that it does not know.
    async fn load_messages(&self, org: OrgId, session: SessionId) -> StoreResult<SessionMessages>;
}

/// The messages of a log: what there is without a message store. Recording does nothing but
/// check, because a log has its messages already.
#[derive(Clone)]
pub struct LogMessages {
    log: Arc<dyn SessionLog>,
}

impl LogMessages {
    /// The messages of this log.
    pub fn new(log: Arc<dyn SessionLog>) -> Self {
        Self { log }
    }
}

#[async_trait]
impl RuntimeMessageStore for LogMessages {
    async fn record_messages(&self, org: OrgId, session: SessionId, batch: MessageBatch) -> StoreResult<()> {
        check_batch(&batch, self.log.last_sequence(org, session).await?)
    }

    async fn load_messages(&self, org: OrgId, session: SessionId) -> StoreResult<SessionMessages> {
        let mut loaded = SessionMessages::default();
        loop {
            let page = self.log.read_events(org, session, loaded.through, MAX_EVENTS_PER_PAGE).await?;
            for event in &page {
                let Some(sequence) = event.sequence else { continue };
                loaded.through = sequence;
                let stored = |message| StoredMessage { sequence, turn_id: event.context.turn_id, message };
                loaded.messages.extend(message_of(event).map(stored));
            }
            if page.len() < MAX_EVENTS_PER_PAGE {
                return Ok(loaded);
            }
        }
    }
}

/// Refuses a batch that would leave a gap behind `through`.
pub(super) fn check_batch(batch: &MessageBatch, through: u64) -> StoreResult<()> {
    if batch.after > through {
        return Err(StoreError::SequenceConflict { expected: batch.after, actual: through });
    }
    Ok(())
}
