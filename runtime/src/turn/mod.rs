//! Turns: one input message until the agent's answer.
//!
//! [`TurnState`] folds a session's events, [`next`] plans the next [`Step`] from it; both are
//! pure. [`TurnPlatform::run_turn`] performs steps until the turn has ended, and the append of a
//! step's events is the step: what is not stored did not happen. Which process runs a turn, and
//! when, is decided in [`crate::engine`].

mod answer;
mod backoff;
mod context;
mod context_error;
mod conversation;
mod executor;
mod journal;
mod model;
mod plan;
mod reason;
mod resolve;
mod settle;
mod state;
mod tools;
mod toolset;

#[cfg(test)]
mod tests;

pub use context::{ContextSources, RuntimeAgent, TurnContext, assemble_turn_context, inspect_turn_context};
pub use context_error::ContextError;
pub use conversation::{Conversation, message_of};
pub use executor::{TurnPlatform, TurnRun, TurnSignals};
pub(crate) use journal::insist;
pub use plan::{Finish, Step, next};
pub use state::{PlannedCall, SealReason, Stop, TurnState};
pub(crate) use tools::panic_message;
pub use toolset::{BoundTool, Toolset};
