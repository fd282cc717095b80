//! What is measured, the same for both.

use std::error::Error;
use std::time::Duration;

/// Prompt of the harness.
pub const PROMPT: &str = "You are a math assistant.";
/// What the user says.
pub const QUESTION: &str = "What is 6 * 7?";
/// What the simulated model answers.
pub const ANSWER: &str = "It is 42.";
/// Turns of another session before the first one that counts, so that what is made once is made.
pub const WARM_UP: usize = 2;

/// What a turn consists of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One model call.
    Text,
    /// A model call that asks for `multiply`, the tool call, and a model call that answers.
    Tool,
}

impl Kind {
    /// Makes sure that what was measured is the turn that was meant.
    pub fn check(self, response: &str, success: bool, tool_calls: usize) -> Result<(), Box<dyn Error>> {
        let expected = usize::from(self == Self::Tool);
        if success && response == ANSWER && tool_calls == expected {
            return Ok(());
        }
        Err(format!("the turn went wrong: success {success}, {tool_calls} tool calls, {response:?}").into())
    }
}

/// A runtime with one fresh session, in memory.
pub trait Subject: Sized {
    async fn new(kind: Kind) -> Result<Self, Box<dyn Error>>;

    /// Runs the session's next turn and tells how long it took.
    async fn turn(&mut self) -> Result<Duration, Box<dyn Error>>;
}
