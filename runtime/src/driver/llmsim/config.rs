//! What the simulator is told to do; can be read from a JSON file.

use std::num::NonZeroUsize;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::driver::{DriverError, DriverErrorKind};
use crate::event::TokenUsage;

/// Configuration of the simulator.
///
/// ```json
/// {"response": {"scripted": {"turns": [
///    {"tool_calls": [{"name": "clock__now"}, {"name": "data_lens__describe", "arguments": {"table": "sales"}}]},
///    {"mixed": {"text": "One more.", "tool_calls": [{"name": "clock__now"}]}},
///    {"error": {"rate_limit": {"retry_after_ms": 100}}},
///    {"assistant": "Done."}], "on_exhausted": "loop"}},
///  "latency_per_token_ms": 20}
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LlmSimConfig {
    /// Where answers come from.
    pub response: ResponseConfig,
    /// Tool calls in front of the answers.
    pub tool_calls: Option<ToolCallConfig>,
    /// The only model that it knows; none means that it answers for any name.
    pub model: Option<String>,
    /// Wait between two words, in milliseconds. Models whose name ends in `-latency` have one of
    /// [`super::DEFAULT_LATENCY_MS`] if this is 0.
    pub latency_per_token_ms: u64,
    /// Up to so much longer, by chance: the seed and the place in the conversation decide, so
    /// that the same run waits the same.
    pub latency_jitter_ms: u64,
    /// Wait before the first word, in milliseconds.
    pub response_delay_ms: u64,
    /// What the model thinks before each answer, streamed like text, with a signature at its end.
    pub thinking: Option<String>,
    /// Token counts of each answer; none counts words.
    pub usage: Option<TokenUsage>,
    /// Decides over everything that happens by chance. 0 makes filler begin with its first word.
    pub seed: u64,
    /// Words in one event, at least 1; more of them make less work of the same answer.
    pub words_per_event: WordsPerEvent,
    /// Streams the arguments of tool calls piece by piece, as most vendors do.
    pub stream_arguments: bool,
}

/// How many words one event has: 1 unless something else is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WordsPerEvent(pub NonZeroUsize);

impl Default for WordsPerEvent {
    fn default() -> Self {
        Self(NonZeroUsize::MIN)
    }
}

/// Where answers come from.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResponseConfig {
    /// The user's message says what to do: see [`super`].
    #[default]
    Interactive,
    /// Always this text.
    Fixed(String),
    /// The user's last message.
    Echo,
    /// So many words of filler.
    Lorem(usize),
    /// The texts in turn, from the first again after the last.
    Sequence(Vec<String>),
    /// The steps of a script.
    Scripted(Script),
    /// An answer without content.
    Empty,
    /// An outage with this message.
    Error(String),
    /// The error of a model that does not exist.
    ModelNotAvailable,
}

/// A script: one step a model call.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// The steps.
    pub turns: Vec<SimTurn>,
    /// What comes after the last one.
    #[serde(default)]
    pub on_exhausted: OnExhausted,
}

/// What a simulator does after the last step of its script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnExhausted {
    /// The last step again.
    #[default]
    RepeatLast,
    /// An error.
    Error,
    /// The script from its start.
    Loop,
}

/// One step of a script.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SimTurn {
    /// Text.
    Assistant(String),
    /// Tool calls, all in one answer.
    ToolCalls(Vec<SimToolCall>),
    /// Text, then tool calls.
    Mixed {
        /// The text.
        text: String,
        /// The calls.
        tool_calls: Vec<SimToolCall>,
    },
    /// Thinking, then text and tool calls, as far as there are any.
    Thinking {
        /// What the model thinks.
        thinking: String,
        /// The text.
        #[serde(default)]
        text: String,
        /// The calls.
        #[serde(default)]
        tool_calls: Vec<SimToolCall>,
    },
    /// An error instead of an answer.
    Error(SimError),
    /// Half of a text, then the stream breaks off.
    CutOff(String),
    /// Text that ends because the answer may not be longer.
    Length(String),
}

/// A tool call of a script.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimToolCall {
    /// Its id; made from the position in the conversation if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Tool name as it is offered.
    pub name: String,
    /// Arguments.
    #[serde(default = "no_arguments")]
    pub arguments: Value,
    /// In place of `arguments`: what the model writes, which need not be JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw_arguments: Option<String>,
}

impl SimToolCall {
    /// A call.
    pub fn new(name: impl Into<String>, arguments: Value) -> Self {
        Self { id: None, name: name.into(), arguments, raw_arguments: None }
    }

    /// A call whose arguments are written by a model that may get JSON wrong.
    pub fn raw(name: impl Into<String>, arguments: impl Into<String>) -> Self {
        Self { id: None, name: name.into(), arguments: no_arguments(), raw_arguments: Some(arguments.into()) }
    }
}

fn no_arguments() -> Value {
    Value::Object(Map::new())
}

/// An error of a script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SimError {
    /// Too many requests.
    RateLimit {
        /// When to try again, in milliseconds.
        #[serde(default)]
        retry_after_ms: Option<u64>,
    },
    /// No answer in time.
    Timeout,
    /// The vendor does not accept the credentials.
    Authentication,
    /// The account has no credit left.
    QuotaExhausted,
    /// The conversation is larger than the model's context.
    ContextTooLong,
    /// The vendor refuses the request.
    InvalidRequest,
    /// What the vendor sends is no answer.
    InvalidResponse,
    /// An outage with this message.
    Other(String),
}

impl SimError {
    pub(super) fn to_error(&self) -> DriverError {
        match self {
            Self::RateLimit { retry_after_ms } => {
                let error = DriverError::new(DriverErrorKind::RateLimited, "simulated: too many requests");
                DriverError { retry_after_ms: *retry_after_ms, ..error }
            }
            Self::Timeout => DriverError::new(DriverErrorKind::Timeout, "simulated: no answer in time"),
            Self::Authentication => DriverError::new(DriverErrorKind::Authentication, "simulated: the credentials are not accepted"),
            Self::QuotaExhausted => DriverError::new(DriverErrorKind::QuotaExhausted, "simulated: the account has no credit left"),
            Self::ContextTooLong => DriverError::new(DriverErrorKind::ContextTooLong, "simulated: the conversation is too long"),
            Self::InvalidRequest => DriverError::new(DriverErrorKind::InvalidRequest, "simulated: the request is refused"),
            Self::InvalidResponse => DriverError::new(DriverErrorKind::InvalidResponse, "simulated: the answer makes no sense"),
            Self::Other(message) => DriverError::new(DriverErrorKind::Unavailable, message.clone()),
        }
    }
}

/// Tool calls in front of the answers of a simulator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolCallConfig {
    /// The same calls in answer to each user message.
    Fixed(Vec<SimToolCall>),
    /// One list a model call; an empty list, and none any more, means an answer.
    Sequence(Vec<Vec<SimToolCall>>),
    /// The calls of the first pattern that the user message contains.
    Conditional {
        /// The patterns.
        patterns: Vec<CallPattern>,
    },
}

/// Calls for user messages that contain a text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallPattern {
    /// The text, whatever its case.
    pub contains: String,
    /// The calls.
    pub tool_calls: Vec<SimToolCall>,
}

impl From<ResponseConfig> for LlmSimConfig {
    fn from(response: ResponseConfig) -> Self {
        Self { response, ..Self::default() }
    }
}

impl LlmSimConfig {
    /// Does what the user's message says; see [`super`]. The default.
    pub fn interactive() -> Self {
        Self::default()
    }

    /// Always answers this.
    pub fn fixed(text: impl Into<String>) -> Self {
        ResponseConfig::Fixed(text.into()).into()
    }

    /// Answers with the user's message.
    pub fn echo() -> Self {
        ResponseConfig::Echo.into()
    }

    /// Answers with so many words of filler.
    pub fn lorem(words: usize) -> Self {
        ResponseConfig::Lorem(words).into()
    }

    /// Answers with these texts in turn.
    pub fn sequence<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> Self {
        ResponseConfig::Sequence(texts.into_iter().map(Into::into).collect()).into()
    }

    /// Follows a script, one step a model call.
    pub fn scripted(turns: impl IntoIterator<Item = SimTurn>) -> Self {
        ResponseConfig::Scripted(Script { turns: turns.into_iter().collect(), on_exhausted: OnExhausted::default() }).into()
    }

    /// Always fails with an outage.
    pub fn error(message: impl Into<String>) -> Self {
        ResponseConfig::Error(message.into()).into()
    }

    /// Always fails as a model that does not exist.
    pub fn model_not_available() -> Self {
        ResponseConfig::ModelNotAvailable.into()
    }

    /// What comes after the last step; without effect unless scripted.
    #[must_use]
    pub fn with_on_exhausted(mut self, on_exhausted: OnExhausted) -> Self {
        if let ResponseConfig::Scripted(script) = &mut self.response {
            script.on_exhausted = on_exhausted;
        }
        self
    }

    /// Puts tool calls in front of the answers.
    #[must_use]
    pub fn with_tool_calls(mut self, tool_calls: ToolCallConfig) -> Self {
        self.tool_calls = Some(tool_calls);
        self
    }

    /// Puts one list of tool calls a model call in front of the answers.
    #[must_use]
    pub fn with_tool_call_sequence(self, sequence: impl IntoIterator<Item = Vec<SimToolCall>>) -> Self {
        self.with_tool_calls(ToolCallConfig::Sequence(sequence.into_iter().collect()))
    }

    /// Waits between two words, by whole milliseconds.
    #[must_use]
    pub fn with_latency(mut self, per_token: Duration) -> Self {
        self.latency_per_token_ms = millis(per_token);
        self
    }

    /// Waits before the first word, by whole milliseconds.
    #[must_use]
    pub fn with_response_delay(mut self, delay: Duration) -> Self {
        self.response_delay_ms = millis(delay);
        self
    }

    /// Waits up to so much longer between two words, by whole milliseconds.
    #[must_use]
    pub fn with_latency_jitter(mut self, jitter: Duration) -> Self {
        self.latency_jitter_ms = millis(jitter);
        self
    }

    /// Thinks this before each answer.
    #[must_use]
    pub fn with_thinking(mut self, thinking: impl Into<String>) -> Self {
        self.thinking = Some(thinking.into());
        self
    }

    /// Reports these token counts for each answer.
    #[must_use]
    pub fn with_usage(mut self, usage: TokenUsage) -> Self {
        self.usage = Some(usage);
        self
    }

    /// Has another seed.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sends so many words in one event.
    #[must_use]
    pub fn with_words_per_event(mut self, words: NonZeroUsize) -> Self {
        self.words_per_event = WordsPerEvent(words);
        self
    }

    /// Streams the arguments of tool calls.
    #[must_use]
    pub fn with_streamed_arguments(mut self) -> Self {
        self.stream_arguments = true;
        self
    }

    /// Knows only this model.
    #[must_use]
    pub fn with_model(mut self, model: impl Into<String>) -> Self {
        self.model = Some(model.into());
        self
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
