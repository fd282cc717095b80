//! The language of drivers: one conversation in, a sequence of events out. The same as the
//! `chat` interface of `everwit:types`.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::{DriverContext, DriverError, DriverId, ModelInfo};
use crate::event::TokenUsage;
use crate::id::SessionId;
use crate::message::{Message, ToolCall};

/// A tool as it is offered to a model.
#[derive(Debug, Clone, PartialEq)]
pub struct OfferedTool {
    /// Name as the model knows it, see [`crate::capability::tool_name`].
    pub name: String,
    /// What it does.
    pub description: String,
    /// JSON Schema of the arguments.
    pub input_schema: Value,
}

/// Whether the model calls tools.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ToolChoice {
    /// As it likes.
    #[default]
    Auto,
    /// It must not.
    None,
    /// It must call at least one.
    Required,
    /// It must call the one with this name.
    Tool(String),
}

/// The shape that an answer must have.
#[derive(Debug, Clone, PartialEq)]
pub struct ResponseFormat {
    /// Name of the shape, `[a-zA-Z0-9_-]{1,64}`; some vendors show it to the model.
    pub name: String,
    /// JSON Schema of the answer, whose text is one JSON value.
    pub schema: Value,
    /// Whether the vendor is to enforce it where it can.
    pub strict: bool,
}

/// The wish that the vendor keeps the unchanged beginning of the conversation: tools, system
/// prompt and earlier messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptCache {
    /// The same for all requests of one conversation, for vendors that route by it. Opaque.
    pub key: String,
}

impl PromptCache {
    /// For the requests of a session. The vendor does not learn the session's id.
    pub fn of_session(session: SessionId) -> Self {
        let digest = Sha256::digest(format!("prompt cache of {session}"));
        Self { key: digest[..16].iter().map(|byte| format!("{byte:02x}")).collect() }
    }
}

/// One completion request: nothing but data. What is none or empty is left to the vendor.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ChatRequest {
    /// Model name as the vendor spells it.
    pub model: String,
    /// System prompt; empty means none.
    pub system_prompt: String,
    /// The conversation, oldest first; tool results are messages of role `tool_result`. Its
    /// opaque values are all of the driver that gets it.
    pub messages: Vec<Arc<Message>>,
    /// Tools that the model may call.
    pub tools: Vec<OfferedTool>,
    /// Whether it does.
    pub tool_choice: ToolChoice,
    /// Sampling temperature, 0.0 to 2.0.
    pub temperature: Option<f32>,
    /// Most tokens to generate.
    pub max_output_tokens: Option<u64>,
    /// Texts at which the answer ends.
    pub stop: Vec<String>,
    /// Reasoning effort: "minimal", "low", "medium", "high" or a vendor's word.
    pub reasoning_effort: Option<String>,
    /// The shape of the answer; none means free text.
    pub response_format: Option<ResponseFormat>,
    /// Whether the vendor is to cache the prompt, where that has to be asked for.
    pub prompt_cache: Option<PromptCache>,
    /// Vendor-specific options of all drivers, with keys `driver-id/option`, for example
    /// `openrouter/provider`. See [`Self::options_of`].
    pub driver_options: Map<String, Value>,
    /// Labels that the vendor may keep with the request.
    pub metadata: BTreeMap<String, String>,
}

impl ChatRequest {
    /// The options that are meant for one driver, without its id.
    pub fn options_of(&self, driver: &DriverId) -> Map<String, Value> {
        let own = |(key, value): (&String, &Value)| {
            let (id, option) = key.split_once('/')?;
            id.eq_ignore_ascii_case(driver.as_str()).then(|| (option.to_owned(), value.clone()))
        };
        self.driver_options.iter().filter_map(own).collect()
    }

    /// Takes away what other drivers left in the conversation for themselves: signatures and
    /// encrypted reasoning mean nothing to another vendor, and are none of its business.
    pub fn keep_opaque_of(&mut self, driver: &DriverId) {
        for message in &mut self.messages {
            if message.has_opaque_of_others(driver.as_str()) {
                Arc::make_mut(message).drop_opaque_of_others(driver.as_str());
            }
        }
    }
}

/// How an answer ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Finish {
    /// "stop", "tool-calls", "length", "content-filter" or the vendor's word.
    pub reason: String,
    /// The vendor's id of the response.
    pub response_id: Option<String>,
}

/// One thing that happened in a completion, in order.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ChatEvent {
    /// Text to append to the answer.
    Text(String),
    /// Reasoning to append.
    Reasoning {
        /// Readable text; may be empty.
        text: String,
        /// Signature or encrypted reasoning, to be sent back unchanged with the text since the
        /// last one. It ends the block.
        opaque: Option<String>,
    },
    /// A tool call, complete. For drivers whose vendor sends calls as a whole.
    ToolCall(ToolCall),
    /// A streamed tool call begins.
    ToolCallStart {
        /// Position among the tool calls of this completion, from 0.
        index: u32,
        /// The vendor's id of the call; empty if it has none.
        id: String,
        /// Tool name.
        name: String,
    },
    /// Its arguments continue.
    ToolCallDelta {
        /// Which call.
        index: u32,
        /// Text to append to its arguments.
        arguments: String,
    },
    /// The call is complete; its arguments must be a JSON object by now, or empty for none.
    ToolCallEnd {
        /// Which call.
        index: u32,
        /// Vendor data to be sent back unchanged with the call.
        opaque: Option<String>,
    },
    /// Token counts; the last one counts.
    Usage(TokenUsage),
    /// The end; nothing follows but `Usage`.
    Finish(Finish),
}

impl ChatEvent {
    /// The end of an answer, with no id of the vendor.
    pub fn finish(reason: impl Into<String>) -> Self {
        Self::Finish(Finish { reason: reason.into(), response_id: None })
    }
}

/// The events of one completion. It ends after `Finish` and, where that comes later, `Usage`; or
/// with an error.
pub type ChatStream = BoxStream<'static, Result<ChatEvent, DriverError>>;

/// Speaks one chat protocol.
#[async_trait]
pub trait ChatDriver: Send + Sync {
    /// Starts a completion: one try, because whoever calls it knows whether another one is
    /// allowed. `context` is the only way out. Dropping the future or the stream cancels it.
    ///
    /// # Errors
    /// Whatever happened before the first event; see [`DriverErrorKind`](super::DriverErrorKind).
    async fn complete(&self, request: ChatRequest, context: DriverContext) -> Result<ChatStream, DriverError>;

    /// Asks which models the provider has; none if it cannot be asked. One try.
    ///
    /// # Errors
    /// As for [`Self::complete`].
    async fn list_models(&self, _context: DriverContext) -> Result<Option<Vec<ModelInfo>>, DriverError> {
        Ok(None)
    }

    /// Base URL that requests go to; none if it sends none.
    fn endpoint(&self) -> Option<String> {
        None
    }
}

/// A driver that somebody made.
pub type BoxedChatDriver = Box<dyn ChatDriver>;
