//! Model drivers: code that speaks one chat protocol.

pub mod llmsim;
mod redact;
mod registry;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

pub use registry::{DriverRegistry, RegisterError};

use crate::error::ErrorKind;
use crate::event::TokenUsage;
use crate::message::{Message, ToolCall};

/// Identifies a driver. Text forms are lower case; unknown non-empty ids are `External` and
/// round-trip through stores and wires.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DriverId {
    /// OpenAI's Responses API.
    OpenAi,
    /// OpenAI's Chat Completions API, which many vendors speak.
    OpenAiCompletions,
    /// OpenRouter.
    OpenRouter,
    /// OpenAI's models on Azure.
    AzureOpenAi,
    /// Anthropic.
    Anthropic,
    /// Google Gemini.
    Gemini,
    /// Amazon Bedrock.
    Bedrock,
    /// The simulator of this crate.
    LlmSim,
    /// A driver that an embedder or a tenant added.
    External(String),
}

impl DriverId {
    /// Its text form.
    pub fn as_str(&self) -> &str {
        match self {
            Self::OpenAi => "openai",
            Self::OpenAiCompletions => "openai_completions",
            Self::OpenRouter => "openrouter",
            Self::AzureOpenAi => "azure_openai",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Bedrock => "bedrock",
            Self::LlmSim => "llmsim",
            Self::External(id) => id,
        }
    }

    /// The same as it is read from its text: an `External` that was made by hand in other case, or
    /// with the id of a built-in driver, becomes what a store or a wire would make of it.
    ///
    /// # Errors
    /// If it is blank.
    pub fn normalized(&self) -> Result<Self, BlankDriverId> {
        match self {
            Self::External(id) => id.parse(),
            built_in => Ok(built_in.clone()),
        }
    }
}

impl fmt::Display for DriverId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A driver id that is empty or only white space.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a driver id must not be blank")]
pub struct BlankDriverId;

impl FromStr for DriverId {
    type Err = BlankDriverId;

    fn from_str(text: &str) -> Result<Self, BlankDriverId> {
        match text.trim().to_lowercase().as_str() {
            "" => Err(BlankDriverId),
            "openai" => Ok(Self::OpenAi),
            "openai_completions" => Ok(Self::OpenAiCompletions),
            "openrouter" => Ok(Self::OpenRouter),
            "azure_openai" => Ok(Self::AzureOpenAi),
            "anthropic" => Ok(Self::Anthropic),
            "gemini" => Ok(Self::Gemini),
            "bedrock" => Ok(Self::Bedrock),
            "llmsim" => Ok(Self::LlmSim),
            other => Ok(Self::External(other.to_owned())),
        }
    }
}

impl Serialize for DriverId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for DriverId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Credentials beside the API key. Its `Debug` shows no value.
#[derive(Clone, Default)]
pub struct ProviderMetadata {
    /// OAuth refresh token.
    pub refresh_token: Option<SecretString>,
    /// Account or organization id at the vendor.
    pub account_id: Option<String>,
    /// Vendor-specific values; treated as secret.
    pub extra: Option<Value>,
}

/// Everything that a driver is made from, and the only way in for credentials. Its `Debug` shows
/// none.
#[derive(Clone, Default)]
pub struct DriverConfig {
    /// API key.
    pub api_key: Option<SecretString>,
    /// Base URL without a trailing slash.
    pub base_url: Option<String>,
    /// Further credentials.
    pub metadata: Option<ProviderMetadata>,
}

/// A model, resolved to what is needed to call it. Its `Debug` shows no credential.
#[derive(Clone)]
pub struct ResolvedModel {
    /// Model name as the vendor spells it.
    pub model: String,
    /// Driver.
    pub provider_type: DriverId,
    /// API key.
    pub api_key: Option<SecretString>,
    /// Base URL.
    pub base_url: Option<String>,
    /// Further credentials.
    pub provider_metadata: Option<ProviderMetadata>,
}

impl ResolvedModel {
    /// The part of it that the driver is made from.
    pub fn driver_config(&self) -> DriverConfig {
        DriverConfig { api_key: self.api_key.clone(), base_url: self.base_url.clone(), metadata: self.provider_metadata.clone() }
    }
}

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

/// One completion request.
#[derive(Debug, Clone)]
pub struct ChatRequest {
    /// Model name.
    pub model: String,
    /// System prompt.
    pub system_prompt: String,
    /// The conversation, oldest first; tool results are messages of role `tool_result`.
    pub messages: Vec<Arc<Message>>,
    /// Tools that the model may call.
    pub tools: Vec<OfferedTool>,
    /// Fires when the turn is cancelled.
    pub cancel: CancellationToken,
}

/// One thing that happened in a completion, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum ChatEvent {
    /// Text to append to the answer.
    Text(String),
    /// A complete tool call.
    ToolCall(ToolCall),
    /// Token counts; the last one counts.
    Usage(TokenUsage),
    /// The end: "stop", "tool-calls", "length" or the vendor's word.
    Finish(String),
}

/// The events of one completion. It ends after `Finish`, or with an error.
pub type ChatStream = BoxStream<'static, Result<ChatEvent, DriverError>>;

/// Speaks one chat protocol.
#[async_trait]
pub trait ChatDriver: Send + Sync {
    /// Starts a completion. Dropping the stream cancels it.
    ///
    /// # Errors
    /// Whatever happened before the first event; see [`DriverErrorKind`].
    async fn complete(&self, request: ChatRequest) -> Result<ChatStream, DriverError>;
}

/// A driver that somebody made.
pub type BoxedChatDriver = Box<dyn ChatDriver>;

/// What went wrong between us and a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriverErrorKind {
    /// The configuration cannot work: no driver, no key, a wrong base URL.
    Configuration,
    /// The vendor does not accept the credentials.
    Authentication,
    /// Too many requests.
    RateLimited,
    /// The vendor does not know the model.
    ModelNotAvailable,
    /// The conversation is larger than the model's context.
    ContextTooLong,
    /// The vendor refuses the request as wrong.
    InvalidRequest,
    /// No answer in time.
    Timeout,
    /// The answer broke off or is not what the protocol says.
    InvalidResponse,
    /// The vendor has an outage.
    Unavailable,
    /// The turn was cancelled.
    Cancelled,
}

impl DriverErrorKind {
    /// Its text form, as in `turn.failed.error_code`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Authentication => "authentication",
            Self::RateLimited => "rate_limited",
            Self::ModelNotAvailable => "model_not_available",
            Self::ContextTooLong => "context_too_long",
            Self::InvalidRequest => "invalid_request",
            Self::Timeout => "timeout",
            Self::InvalidResponse => "invalid_response",
            Self::Unavailable => "unavailable",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A failed completion.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DriverError {
    /// Class.
    pub kind: DriverErrorKind,
    /// One sentence without credentials.
    pub message: String,
    /// How long to wait before another try, in milliseconds, if the vendor said so.
    pub retry_after_ms: Option<u64>,
}

impl DriverError {
    /// An error without a wait.
    pub fn new(kind: DriverErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), retry_after_ms: None }
    }

    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self.kind {
            DriverErrorKind::RateLimited | DriverErrorKind::Timeout | DriverErrorKind::Unavailable | DriverErrorKind::InvalidResponse => {
                ErrorKind::Unavailable
            }
            DriverErrorKind::Authentication => ErrorKind::Denied,
            DriverErrorKind::ContextTooLong => ErrorKind::Limit,
            DriverErrorKind::Configuration | DriverErrorKind::ModelNotAvailable | DriverErrorKind::InvalidRequest => ErrorKind::Invalid,
            DriverErrorKind::Cancelled => ErrorKind::Conflict,
        }
    }
}
