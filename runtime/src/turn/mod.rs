//! Turns: one input message until the agent's answer.
//!
//! [`TurnState`] folds a session's events, [`next`] plans the next [`Step`] from it; both are
//! pure. [`TurnPlatform::run_turn`] performs steps until the turn has ended, and the append of a
//! step's events is the step: what is not stored did not happen. Which process runs a turn, and
//! when, is decided in [`crate::engine`].

mod ask;
mod assemble;
mod backoff;
mod budgets;
mod call;
mod compact;
mod compaction;
mod connect;
mod context;
mod context_error;
mod conversation;
mod executor;
mod history;
mod history_cache;
mod journal;
mod live;
mod model;
mod nested;
mod outside;
mod plan;
mod preview;
mod provenance;
mod reason;
mod record;
mod recorder;
mod repetition;
mod report;
mod resolve;
mod risk;
mod settle;
mod spend;
mod starter;
mod state;
mod stop;
mod tools;
mod toolset;

#[cfg(test)]
mod tests;

pub use call::PlannedCall;
pub use context::{Capabilities, ContextSources, RuntimeAgent, TurnContext, assemble_turn_context, inspect_turn_context};
pub use context_error::ContextError;
pub use conversation::{Conversation, message_of, messages_from_events};
pub use executor::{TurnPlatform, TurnRun, TurnSignals};
pub(crate) use history::with_history;
pub use history::{History, session_messages};
pub use history_cache::{HistoryCache, MAX_CACHED_BYTES, MAX_CACHED_SESSIONS};
pub(crate) use journal::insist;
pub use nested::{MAX_NESTED_CALLS, MAX_NESTED_DEPTH, NestedCalls, NestedError};
pub use outside::{Accepted, ApprovalVerdict, ClientToolResult, MAX_APPROVAL_REASON_BYTES, OutsideDesk, OutsideError, ToolApproval};
pub use plan::{Finish, Step, next};
pub use preview::preview_turn_context;
pub use provenance::{CapabilityProvenance, Contributor, PromptPart, Provenance};
pub(crate) use record::panic_message;
pub use report::{ContextReport, ContextSection, Contribution, SectionKind, Setting, context_report};
pub use risk::{RiskTooHigh, allowed_risk, require_risk};
pub use starter::write_initial_files;
pub use state::TurnState;
pub use stop::{SealReason, Stop};
pub use toolset::{BoundTool, Toolset};
pub(crate) use toolset::{check_config, compile_schema};
