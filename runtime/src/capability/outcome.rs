//! The three outcomes of a tool call, never mixed: a result, the tool's own failure, or a stop
//! by the host.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::component::Receipt;
use crate::message::ContentPart;

/// What a tool call gave, and what it used.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolOutcome {
    /// Result, failure or stop.
    pub result: Result<ToolOutput, CallError>,
    /// What a guest call used; none for native tools.
    pub receipt: Option<Receipt>,
    /// What the guest logged, oldest first, within the call's log budget.
    pub logs: Vec<LogLine>,
}

impl ToolOutcome {
    /// An outcome without receipt and logs.
    pub fn native(result: Result<ToolOutput, CallError>) -> Self {
        Self { result, receipt: None, logs: Vec::new() }
    }
}

impl From<Result<ToolOutput, CallError>> for ToolOutcome {
    fn from(result: Result<ToolOutput, CallError>) -> Self {
        Self::native(result)
    }
}

impl From<ToolOutput> for ToolOutcome {
    fn from(output: ToolOutput) -> Self {
        Self::native(Ok(output))
    }
}

impl From<Failure> for ToolOutcome {
    fn from(failure: Failure) -> Self {
        Self::native(Err(CallError::Failed(failure)))
    }
}

impl From<Failure> for CallError {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// A successful result.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ToolOutput {
    /// What the model sees. JSON results are text parts that hold the JSON.
    pub parts: Vec<ContentPart>,
    /// The same as one JSON value, for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub structured: Option<Value>,
}

impl ToolOutput {
    /// A single text part.
    pub fn text(text: impl Into<String>) -> Self {
        Self { parts: vec![ContentPart::text(text)], structured: None }
    }

    /// A JSON value, shown to the model as its text.
    pub fn json(value: Value) -> Self {
        Self { parts: vec![ContentPart::text(value.to_string())], structured: Some(value) }
    }
}

/// Why there is no result.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CallError {
    /// The tool says that it failed.
    #[error("{0}")]
    Failed(Failure),
    /// The host ended the call.
    #[error("{0}")]
    Stopped(Stopped),
    /// The tool has done nothing, because its user has to connect an account first. The turn waits
    /// for that, and the call is executed again then.
    #[error("the user has to connect an account with {provider:?} first")]
    ConnectionRequired {
        /// Id of the connection provider.
        provider: String,
    },
}

impl CallError {
    /// Kind as it appears in events and to the model.
    pub fn kind(&self) -> &str {
        match self {
            Self::Failed(failure) => &failure.kind,
            Self::Stopped(stopped) => stopped.kind.as_str(),
            Self::ConnectionRequired { .. } => "connection_required",
        }
    }
}

/// A tool's own failure, as `everwit:types/common.failure`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Failure {
    /// Class, for example "invalid-arguments"; open vocabulary.
    pub kind: String,
    /// Stable code in the tool's own vocabulary.
    pub code: String,
    /// One sentence, shown to the model.
    pub message: String,
    /// Whether the same call can succeed later.
    pub retryable: bool,
    /// How long to wait first, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl Failure {
    /// A failure that is not retryable.
    pub fn new(kind: &str, code: &str, message: impl Into<String>) -> Self {
        Self { kind: kind.to_owned(), code: code.to_owned(), message: message.into(), retryable: false, retry_after_ms: None }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

/// Which limit or defect ended a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum StopKind {
    /// The fuel was used up.
    Fuel,
    /// Linear memories and tables together were to exceed the limit.
    Memory,
    /// The wall-clock limit.
    Deadline,
    /// Recursion exhausted the stack.
    Stack,
    /// The result is larger than allowed.
    Output,
    /// A host call was to copy more bytes than allowed.
    HostBytes,
    /// More instances, handles or tables than allowed.
    Resources,
    /// The guest panicked and said why.
    Panic,
    /// Any other trap.
    Trap,
    /// The guest broke the contract, for example with a result that is not JSON.
    Protocol,
    /// The turn was cancelled.
    Cancelled,
    /// Too many calls at once; the same call may succeed later.
    Busy,
    /// Nothing of it was executed: less is left of what its org may use than it could need.
    Quota,
    /// A defect of the host.
    Internal,
}

impl StopKind {
    /// Its text form, as in events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fuel => "fuel",
            Self::Memory => "memory",
            Self::Deadline => "deadline",
            Self::Stack => "stack",
            Self::Output => "output",
            Self::HostBytes => "host-bytes",
            Self::Resources => "resources",
            Self::Panic => "panic",
            Self::Trap => "trap",
            Self::Protocol => "protocol",
            Self::Cancelled => "cancelled",
            Self::Busy => "busy",
            Self::Quota => "quota",
            Self::Internal => "internal",
        }
    }
}

/// A call that the host ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    /// Which limit or defect.
    pub kind: StopKind,
    /// For the component's author: names the limit and where it is set. Guest text in it is
    /// escaped.
    pub message: String,
    /// Innermost function first; names are escaped.
    pub backtrace: Vec<String>,
    /// Seconds after which the same call can be executed, if time alone helps.
    pub retry_after_seconds: Option<u64>,
}

impl Stopped {
    /// A stop without a backtrace, which waiting does not help.
    pub fn new(kind: StopKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), backtrace: Vec::new(), retry_after_seconds: None }
    }
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stopped ({}): {}", self.kind.as_str(), self.message)
    }
}

/// One line that a guest logged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogLine {
    /// "trace", "debug", "info", "warn" or "error".
    pub level: String,
    /// The message with its fields, escaped.
    pub message: String,
}
