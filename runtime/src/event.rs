//! Events: the append-only record of a session, and the only truth about it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::component::{Digest, Receipt};
use crate::id::{AgentId, EventId, HarnessId, MessageId, SessionId, TurnId};
use crate::message::{ContentPart, Message, ToolCall};

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

/// Token counts of model calls; the buckets are disjoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TokenUsage {
    /// Input tokens not served from a cache.
    pub input_tokens: u64,
    /// Generated tokens.
    pub output_tokens: u64,
    /// Input tokens read from a prompt cache.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cache_read_tokens: u64,
    /// Input tokens written to a prompt cache.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cache_creation_tokens: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl std::ops::AddAssign for TokenUsage {
    fn add_assign(&mut self, other: Self) {
        self.input_tokens += other.input_tokens;
        self.output_tokens += other.output_tokens;
        self.cache_read_tokens += other.cache_read_tokens;
        self.cache_creation_tokens += other.cache_creation_tokens;
    }
}

/// A capability as one turn uses it: pinned at its start, so that an activation in between
/// changes nothing under its feet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PinnedCapability {
    /// Capability id.
    #[serde(rename = "ref")]
    pub id: String,
    /// Version of the component; none for native capabilities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// Digest of the component; none for native capabilities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

/// How a tool call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ToolStatus {
    /// It returned a result.
    Success,
    /// It failed, or the sandbox ended it.
    Error,
    /// It ran out of time.
    Timeout,
    /// The turn was cancelled.
    Cancelled,
    /// The process died while it ran and it must not be repeated: the outcome is unknown.
    Interrupted,
}

/// How the reason step of a dead process was taken up again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum RecoveryMode {
    /// The model is called again from the start.
    Restart,
}

/// Type and payload of an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", content = "data")]
pub enum EventData {
    /// The session was created.
    #[serde(rename = "session.started")]
    SessionStarted {
        /// Its harness.
        harness_id: HarnessId,
        /// Its agent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        agent_id: Option<AgentId>,
    },
    /// A message was accepted.
    #[serde(rename = "input.message")]
    InputMessage {
        /// The message.
        message: Message,
    },
    /// A turn started.
    #[serde(rename = "turn.started")]
    TurnStarted {
        /// The turn.
        turn_id: TurnId,
        /// The message that it answers.
        input_message_id: MessageId,
        /// The capabilities that it uses to its end.
        capabilities: Vec<PinnedCapability>,
    },
    /// The session has a running turn.
    #[serde(rename = "session.activated")]
    SessionActivated {
        /// The turn.
        turn_id: TurnId,
        /// The message that it answers.
        input_message_id: MessageId,
    },
    /// A model call begins.
    #[serde(rename = "reason.started")]
    ReasonStarted {
        /// Harness of the session.
        harness_id: HarnessId,
        /// Agent of the session.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        agent_id: Option<AgentId>,
        /// Which model call of the turn, from 1.
        iteration: u32,
    },
    /// A model call that a dead process left behind is made again.
    #[serde(rename = "reason.recovered")]
    ReasonRecovered {
        /// The turn.
        turn_id: TurnId,
        /// How.
        mode: RecoveryMode,
    },
    /// The model begins to answer. Live only.
    #[serde(rename = "output.message.started")]
    OutputMessageStarted {
        /// The turn.
        turn_id: TurnId,
        /// Id of the message to come.
        message_id: MessageId,
        /// Model name.
        model: String,
        /// Which model call of the turn.
        iteration: u32,
    },
    /// The answer continues. Live only.
    #[serde(rename = "output.message.delta")]
    OutputMessageDelta {
        /// The turn.
        turn_id: TurnId,
        /// Id of the message to come.
        message_id: MessageId,
        /// Text to append.
        delta: String,
        /// Bytes of text before this delta.
        offset: u64,
    },
    /// Record of one model call. Its input is the session's messages up to a sequence.
    #[serde(rename = "llm.generation")]
    LlmGeneration {
        /// The turn.
        turn_id: TurnId,
        /// Model name.
        model: String,
        /// Driver id.
        provider: String,
        /// The conversation that was sent: all messages up to this sequence.
        messages_to_sequence: u64,
        /// Names of the tools that were offered.
        tools: Vec<String>,
        /// Whether it succeeded.
        success: bool,
        /// Why not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
        /// "stop", "tool-calls", "length" or the vendor's word.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        finish_reason: Option<String>,
        /// From request to end, in milliseconds.
        duration_ms: u64,
        /// From request to the first event of the answer, in milliseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        time_to_first_token_ms: Option<u64>,
        /// Token counts.
        usage: TokenUsage,
        /// What a component driver used.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        receipt: Option<Receipt>,
    },
    /// A message of the agent is complete: text, tool calls or both.
    #[serde(rename = "output.message.completed")]
    OutputMessageCompleted {
        /// The message.
        message: Message,
        /// Token counts of the model call.
        usage: TokenUsage,
    },
    /// The model call and what follows from it are recorded.
    #[serde(rename = "reason.completed")]
    ReasonCompleted {
        /// Whether it succeeded.
        success: bool,
        /// The first 200 characters of the text.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text_preview: Option<String>,
        /// Whether tools are to be called.
        has_tool_calls: bool,
        /// How many.
        tool_call_count: u32,
        /// Why it failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
        /// In milliseconds.
        duration_ms: u64,
        /// Token counts.
        usage: TokenUsage,
    },
    /// The tool calls of an answer are about to be executed.
    #[serde(rename = "act.started")]
    ActStarted {
        /// The calls in order.
        tool_calls: Vec<ToolCall>,
    },
    /// A tool call is claimed and executed.
    #[serde(rename = "tool.started")]
    ToolStarted {
        /// The call.
        tool_call: ToolCall,
        /// The capability that has the tool; none if there is no such tool.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        capability_id: Option<String>,
    },
    /// A tool says how far it is. Live only.
    #[serde(rename = "tool.progress")]
    ToolProgress {
        /// Id of the call.
        tool_call_id: String,
        /// Tool name as the model knows it.
        tool_name: String,
        /// Units done.
        done: u64,
        /// Of how many.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        total: Option<u64>,
        /// A note.
        message: String,
    },
    /// A tool emits partial output. Live only; `tool.completed` has all of it.
    #[serde(rename = "tool.output.delta")]
    ToolOutputDelta {
        /// Id of the call.
        tool_call_id: String,
        /// Tool name as the model knows it.
        tool_name: String,
        /// The parts.
        parts: Vec<ContentPart>,
    },
    /// A tool call is settled. This event is also the message to the model.
    #[serde(rename = "tool.completed")]
    ToolCompleted(ToolCompleted),
    /// All tool calls of an answer are settled.
    #[serde(rename = "act.completed")]
    ActCompleted {
        /// How many succeeded.
        success_count: u32,
        /// How many did not.
        error_count: u32,
        /// In milliseconds.
        duration_ms: u64,
    },
    /// The turn ended with an answer, or with its iterations used up.
    #[serde(rename = "turn.completed")]
    TurnCompleted {
        /// The turn.
        turn_id: TurnId,
        /// Model calls.
        iterations: u32,
        /// Settled tool calls.
        tool_call_count: u32,
        /// Why it ended: "answered" or "max_iterations".
        reason: String,
        /// The agent's last message.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        final_message_id: Option<MessageId>,
        /// In milliseconds since the turn started.
        duration_ms: u64,
        /// Sum over its model calls.
        usage: TokenUsage,
    },
    /// The turn ended without an answer.
    #[serde(rename = "turn.failed")]
    TurnFailed {
        /// The turn.
        turn_id: TurnId,
        /// A sentence for the user.
        error: String,
        /// Stable code, for example "rate_limited".
        error_code: String,
        /// Sum over its model calls.
        usage: TokenUsage,
    },
    /// The turn was ended by the platform because it could not go on.
    #[serde(rename = "turn.sealed")]
    TurnSealed {
        /// The turn.
        turn_id: TurnId,
        /// "no_progress", "budget" or "internal_error".
        reason: String,
        /// A sentence.
        detail: String,
    },
    /// The turn was cancelled.
    #[serde(rename = "turn.cancelled")]
    TurnCancelled {
        /// The turn.
        turn_id: TurnId,
        /// Sum over its model calls.
        usage: TokenUsage,
    },
    /// The session has no running turn.
    #[serde(rename = "session.idled")]
    SessionIdled {
        /// The turn that ended.
        turn_id: TurnId,
    },
}

/// Payload of `tool.completed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ToolCompleted {
    /// Id of the call.
    pub tool_call_id: String,
    /// Tool name as the model knows it.
    pub tool_name: String,
    /// Whether `result` is a result.
    pub success: bool,
    /// How it ended.
    pub status: ToolStatus,
    /// What the tool returned, as the model sees it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub result: Vec<ContentPart>,
    /// The structured result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub structured: Option<Value>,
    /// Why it failed, as told to the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Kind of the failure: a [`crate::capability::StopKind`] for calls that the sandbox ended;
    /// "unknown-tool", "invalid-arguments" or "too-many-calls" for calls that were refused;
    /// "interrupted" for an unknown outcome; the tool's own kind otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_kind: Option<String>,
    /// From claim to settlement, in milliseconds.
    pub duration_ms: u64,
    /// The capability that has the tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capability_id: Option<String>,
    /// What a guest call used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Receipt>,
}

impl EventData {
    /// Type name, for example "tool.completed".
    pub fn name(&self) -> &'static str {
        match self {
            Self::SessionStarted { .. } => "session.started",
            Self::InputMessage { .. } => "input.message",
            Self::TurnStarted { .. } => "turn.started",
            Self::SessionActivated { .. } => "session.activated",
            Self::ReasonStarted { .. } => "reason.started",
            Self::ReasonRecovered { .. } => "reason.recovered",
            Self::OutputMessageStarted { .. } => "output.message.started",
            Self::OutputMessageDelta { .. } => "output.message.delta",
            Self::LlmGeneration { .. } => "llm.generation",
            Self::OutputMessageCompleted { .. } => "output.message.completed",
            Self::ReasonCompleted { .. } => "reason.completed",
            Self::ActStarted { .. } => "act.started",
            Self::ToolStarted { .. } => "tool.started",
            Self::ToolProgress { .. } => "tool.progress",
            Self::ToolOutputDelta { .. } => "tool.output.delta",
            Self::ToolCompleted(_) => "tool.completed",
            Self::ActCompleted { .. } => "act.completed",
            Self::TurnCompleted { .. } => "turn.completed",
            Self::TurnFailed { .. } => "turn.failed",
            Self::TurnSealed { .. } => "turn.sealed",
            Self::TurnCancelled { .. } => "turn.cancelled",
            Self::SessionIdled { .. } => "session.idled",
        }
    }

    /// Whether it is delivered to listeners only and never stored.
    pub fn is_live_only(&self) -> bool {
        matches!(
            self,
            Self::OutputMessageStarted { .. } | Self::OutputMessageDelta { .. } | Self::ToolProgress { .. } | Self::ToolOutputDelta { .. }
        )
    }
}
