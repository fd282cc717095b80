//! What the payloads of events are made of.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::component::{Digest, Receipt};
use crate::id::BudgetId;
use crate::message::{ContentPart, ToolCall};
use crate::usage::Currency;

/// Token counts of model calls. The buckets are disjoint, except for reasoning, which is part of
/// the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TokenUsage {
    /// Input tokens not served from a cache.
    pub input_tokens: u64,
    /// Generated tokens, reasoning included.
    pub output_tokens: u64,
    /// Input tokens read from a prompt cache.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cache_read_tokens: u64,
    /// Input tokens written to a prompt cache.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cache_creation_tokens: u64,
    /// How many of the generated tokens were reasoning.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub reasoning_tokens: u64,
}

impl TokenUsage {
    /// Tokens of the conversation with the answer: all buckets together.
    pub fn total(&self) -> u64 {
        self.input_tokens + self.output_tokens + self.cache_read_tokens + self.cache_creation_tokens
    }
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl std::ops::AddAssign for TokenUsage {
    fn add_assign(&mut self, other: Self) {
        // Drivers of tenants count what they like.
        let add = |sum: &mut u64, count: u64| *sum = sum.saturating_add(count);
        add(&mut self.input_tokens, other.input_tokens);
        add(&mut self.output_tokens, other.output_tokens);
        add(&mut self.cache_read_tokens, other.cache_read_tokens);
        add(&mut self.cache_creation_tokens, other.cache_creation_tokens);
        add(&mut self.reasoning_tokens, other.reasoning_tokens);
    }
}

/// The tries of a model call that was not answered at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Retries {
    /// How often the call was tried, the first time included.
    pub attempts: u32,
    /// Time between the tries, in milliseconds.
    pub total_wait_ms: u64,
}

/// A capability or a driver component as one turn uses it: pinned at its start, so that an activation in between
/// changes nothing under its feet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PinnedCapability {
    /// Id of the capability or driver.
    #[serde(rename = "ref")]
    pub id: String,
    /// Version of the component; none for native ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// Digest of the component; none for native ones.
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

/// Who settles a tool call that the turn waits for, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum RequestKind {
    /// The client executes the tool and sends its result.
    ClientSide,
    /// A person answers a question; the answer is the result.
    Question,
    /// A person allows or refuses the call; the platform executes it if allowed.
    Approval,
    /// The user connects an account that the tool needs; the platform executes the call then.
    Connection,
}

impl RequestKind {
    /// Its text form, as in events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientSide => "client_side",
            Self::Question => "question",
            Self::Approval => "approval",
            Self::Connection => "connection",
        }
    }
}

/// A tool call that the turn waits for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RequestedCall {
    /// The call, exactly as it is executed or answered.
    #[serde(flatten)]
    pub tool_call: ToolCall,
    /// What is asked of whom.
    pub kind: RequestKind,
    /// The capability that has the tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capability_id: Option<String>,
    /// Id of the connection provider, for a call that waits for a connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_required: Option<String>,
}

/// Why a conversation is compacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum CompactionReason {
    /// It comes near the model's limit.
    ProactiveBudget,
    /// The model refused it as too long.
    RequestTooLarge,
}

/// How a conversation is compacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum CompactionStrategy {
    /// The model wrote a summary of what it does not see any more.
    Summarization,
    /// There is only a note that something is missing.
    Trim,
}

/// How the reason step of a dead process was taken up again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum RecoveryMode {
    /// The model is called again from the start.
    Restart,
}

/// Payload of the events of budgets: what a budget of the session, of its agent or of the org has left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BudgetNotice {
    /// The budget.
    pub budget_id: BudgetId,
    /// What it counts.
    pub currency: Currency,
    /// How much there is, in tokens or US dollars, with what it was topped up by.
    pub limit: f64,
    /// At which use sessions pause, likewise; none if nothing pauses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soft_limit: Option<f64>,
    /// What of the limit is neither used nor reserved.
    pub balance: f64,
    /// When its period began; none if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub period_started_at: Option<Timestamp>,
    /// A sentence that says what helps.
    pub message: String,
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
    /// "interrupted" for an unknown outcome; "client" for failures that a client reports;
    /// "rejected" for calls that a person refused; "superseded" for calls that a new message
    /// overtook; the tool's own kind otherwise.
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
