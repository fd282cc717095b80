//! The types of events, one variant each.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::payload::{
    BudgetNotice, CompactionReason, CompactionStrategy, PinnedCapability, RecoveryMode, RequestedCall, Retries, TokenUsage, ToolCompleted,
};
use crate::component::Receipt;
use crate::id::{AgentId, HarnessId, MessageId, TurnId};
use crate::message::{ContentPart, Message, ToolCall};

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
        /// The version of the driver component that the model is called with; none for native drivers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        driver: Option<PinnedCapability>,
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
    /// The model begins to think. Live only.
    #[serde(rename = "reason.thinking.started")]
    ReasonThinkingStarted {
        /// The turn.
        turn_id: TurnId,
        /// Id of the message to come.
        message_id: MessageId,
        /// Model name.
        model: String,
    },
    /// The model goes on thinking. Live only.
    #[serde(rename = "reason.thinking.delta")]
    ReasonThinkingDelta {
        /// The turn.
        turn_id: TurnId,
        /// Id of the message to come.
        message_id: MessageId,
        /// Text to append.
        delta: String,
        /// Bytes of text before this delta, since thinking started.
        offset: u64,
    },
    /// The model speaks, calls tools or ends. Live only: the message has the text.
    #[serde(rename = "reason.thinking.completed")]
    ReasonThinkingCompleted {
        /// The turn.
        turn_id: TurnId,
        /// Id of the message to come.
        message_id: MessageId,
        /// Bytes of text since thinking started.
        length: u64,
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
        /// The conversation that was sent: what the model sees of the messages up to this sequence.
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
        /// The vendor's id of the response.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        response_id: Option<String>,
        /// The tries, if it took more than one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry: Option<Retries>,
        /// From request to end, in milliseconds.
        duration_ms: u64,
        /// From request to the first event of the answer, in milliseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        time_to_first_token_ms: Option<u64>,
        /// Token counts.
        usage: TokenUsage,
        /// What a component driver used, in all tries together; each has the fuel limit again.
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
    /// Tool calls need somebody outside. The turn waits until all of them are settled or decided.
    #[serde(rename = "tool.call_requested")]
    ToolCallRequested {
        /// The turn.
        turn_id: TurnId,
        /// The calls in order.
        tool_calls: Vec<RequestedCall>,
        /// When those that nobody has settled are settled as timed out; never if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
        expires_at: Option<Timestamp>,
    },
    /// A person allowed or refused a tool call. A refused one is settled by the next event; an
    /// allowed one is executed exactly as it was requested.
    #[serde(rename = "tool.approval_decided")]
    ToolApprovalDecided {
        /// Id of the call.
        tool_call_id: String,
        /// Tool name as the model knows it.
        tool_name: String,
        /// Whether it may be executed.
        approved: bool,
        /// Whether that holds for later calls of the tool in this session as well.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        always: bool,
        /// Why, in the person's words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// The model makes the same calls with the same results again and again. This event is also a
    /// message to the model.
    #[serde(rename = "loop.detected")]
    LoopDetected {
        /// The turn.
        turn_id: TurnId,
        /// Equal steps in a row so far.
        repetitions: u32,
        /// What the model is told.
        note: String,
    },
    /// The older part of the conversation is about to be replaced by a summary. Live only.
    #[serde(rename = "context.compacting")]
    ContextCompacting {
        /// The turn.
        turn_id: TurnId,
        /// Why.
        reason: CompactionReason,
        /// Messages that the model sees.
        messages_before: usize,
    },
    /// From here on the model sees a summary in place of the older part of the conversation; the log
    /// keeps all of it.
    #[serde(rename = "context.compacted")]
    ContextCompacted {
        /// The turn.
        turn_id: TurnId,
        /// Why.
        reason: CompactionReason,
        /// How.
        strategy_used: CompactionStrategy,
        /// Messages that the model saw before.
        messages_before: usize,
        /// Messages that were left out.
        messages_dropped: usize,
        /// The first message that is kept. If it is in the middle of a turn, the input of that turn is
        /// kept too.
        first_kept_message_id: MessageId,
        /// What stands in place of the messages that were left out, as a user's message.
        summary: String,
        /// In milliseconds.
        duration_ms: u64,
        /// Tokens of the summary's model call.
        usage: TokenUsage,
        /// What a component driver used for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        receipt: Option<Receipt>,
    },
    /// The user connected an account that a tool call asked for. The call is executed again,
    /// exactly as it was requested.
    #[serde(rename = "tool.connection_made")]
    ToolConnectionMade {
        /// Id of the call.
        tool_call_id: String,
        /// Tool name as the model knows it.
        tool_name: String,
        /// Id of the connection provider.
        provider: String,
    },
    /// A model call left a fifth of a budget or less. Told once in a session and period, and again when there is more.
    #[serde(rename = "budget.warning")]
    BudgetWarning(BudgetNotice),
    /// What was used reaches the soft limit of a budget: the turn waits before its next model call until the session is
    /// resumed.
    #[serde(rename = "budget.paused")]
    BudgetPaused(BudgetNotice),
    /// Somebody resumed the session: its model calls go on to the limit of the budget, also those of later turns.
    #[serde(rename = "budget.resumed")]
    BudgetResumed(BudgetNotice),
    /// The next model call needs more than a budget has left: the turn ends.
    #[serde(rename = "budget.exhausted")]
    BudgetExhausted(BudgetNotice),
    /// The turn ended with an answer, or with its iterations used up.
    #[serde(rename = "turn.completed")]
    TurnCompleted {
        /// The turn.
        turn_id: TurnId,
        /// Model calls.
        iterations: u32,
        /// Settled tool calls.
        tool_call_count: u32,
        /// Why it ended: "answered", "max_iterations", or "superseded" if a new message came
        /// while it waited for somebody.
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
        /// "no_progress", "budget" (of time), "budget_exhausted", "storage_exhausted", "loop" or "internal_error".
        reason: String,
        /// A sentence.
        detail: String,
    },
    /// The turn's message came while another one ran, which answers it: its model is told it next.
    #[serde(rename = "turn.merged")]
    TurnMerged {
        /// The turn, which ended without having started.
        turn_id: TurnId,
        /// The turn that runs.
        into_turn_id: TurnId,
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
