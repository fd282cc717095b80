//! Events: the append-only record of a session, and the only truth about it.
//!
//! Here is the envelope; `data` has the types of events, `payload` what their payloads are made of.

mod data;
mod kind;
mod payload;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::data::EventData;
pub use self::payload::{
    BudgetNotice, CompactionReason, CompactionStrategy, PinnedCapability, RecoveryMode, RequestKind, RequestedCall, Retries, TokenUsage,
    ToolCompleted, ToolStatus,
};
use crate::id::{EventId, MessageId, SessionId, TurnId};

/// One event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Event {
    /// Id.
    pub id: EventId,
    /// When it happened.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub ts: Timestamp,
    /// The session that it belongs to.
    pub session_id: SessionId,
    /// Position in the session, from 1, without gaps; none for live-only events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// What it belongs to.
    #[serde(default)]
    pub context: EventContext,
    /// Type and payload.
    #[serde(flatten)]
    pub data: EventData,
}

/// What an event belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventContext {
    /// The turn; none for events of the session itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn_id: Option<TurnId>,
    /// The message that started the turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_message_id: Option<MessageId>,
}

/// An event that is not stored yet: the store adds the sequence.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// Id.
    pub id: EventId,
    /// When it happened.
    pub ts: Timestamp,
    /// What it belongs to.
    pub context: EventContext,
    /// Type and payload.
    pub data: EventData,
}

impl NewEvent {
    /// The event as it is in `session_id` at `sequence`.
    pub fn at(self, session_id: SessionId, sequence: Option<u64>) -> Event {
        Event { id: self.id, ts: self.ts, session_id, sequence, context: self.context, data: self.data }
    }
}
