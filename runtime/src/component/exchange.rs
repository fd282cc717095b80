//! Recorded exchanges of a driver component: what a vendor was sent and answered, and what that
//! means. They are JSON in the component's custom section `everwit:exchanges`, and the host replays
//! them at upload.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Exchanges of one component.
pub const MAX_EXCHANGES: usize = 32;
/// Bytes of the recorded answer of one exchange.
pub const MAX_RECORDED_BODY_BYTES: usize = 256 << 10;

/// The content of the section.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedExchanges {
    /// In the order in which they are replayed.
    pub exchanges: Vec<RecordedExchange>,
}

/// One exchange.
///
/// ```json
/// {"name": "a text", "config": {"base_url": "https://vendor.example/v1", "api_key": "sk-recorded"},
///  "request": {"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]},
///  "http": {"method": "POST", "url": "https://vendor.example/v1/chat", "headers": {"authorization": "Bearer sk-recorded"},
///           "body": {"model": "m", "prompt": "Hi"}},
///  "response": {"status": 200, "headers": {"content-type": "application/json"}, "chunks": ["{\"text\":", "\"Hello\"}"]},
///  "events": [{"text": "Hello"}, {"finish": {"reason": "stop"}}]}
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedExchange {
    /// Name, for messages.
    pub name: String,
    /// What the driver is configured with.
    #[serde(default)]
    pub config: RecordedConfig,
    /// What it is asked.
    pub request: RecordedRequest,
    /// What it must send.
    pub http: RecordedHttp,
    /// What is answered.
    pub response: RecordedResponse,
    /// The events that it must give. Pieces of the same text, reasoning or arguments are joined
    /// before they are compared.
    #[serde(default)]
    pub events: Vec<Value>,
    /// The kind of error that it must end with, for example "rate_limited".
    #[serde(default)]
    pub error: Option<String>,
}

/// A provider's configuration, with made-up credentials.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RecordedConfig {
    /// API key.
    pub api_key: Option<String>,
    /// Base URL.
    pub base_url: Option<String>,
    /// OAuth refresh token.
    pub refresh_token: Option<String>,
    /// Account id.
    pub account_id: Option<String>,
    /// Vendor-specific values.
    pub extra: Option<Value>,
}

/// A completion request; what is left out is none or empty.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RecordedRequest {
    /// Model name.
    pub model: String,
    /// System prompt.
    pub system_prompt: String,
    /// The conversation, with `role` and `content` as messages have them.
    pub messages: Vec<RecordedMessage>,
    /// Tools: `name`, `description`, `input_schema`.
    pub tools: Vec<RecordedTool>,
    /// "auto", "none", "required" or "tool:<name>"; empty means "auto".
    pub tool_choice: String,
    /// Sampling temperature.
    pub temperature: Option<f32>,
    /// Most tokens to generate.
    pub max_output_tokens: Option<u64>,
    /// Texts at which the answer ends.
    pub stop: Vec<String>,
    /// Reasoning effort.
    pub reasoning_effort: Option<String>,
    /// The shape of the answer.
    pub response_format: Option<RecordedFormat>,
    /// Key of the conversation, for caching.
    pub prompt_cache: Option<String>,
    /// Options of this driver.
    pub options: Map<String, Value>,
}

/// A message of a recorded request.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedMessage {
    /// Who speaks.
    pub role: crate::message::Role,
    /// Content in order.
    pub content: Vec<crate::message::ContentPart>,
}

/// A tool of a recorded request.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedTool {
    /// Name.
    pub name: String,
    /// What it does.
    pub description: String,
    /// JSON Schema of the arguments.
    pub input_schema: Value,
}

/// The shape of a recorded answer.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedFormat {
    /// Name of the shape.
    pub name: String,
    /// JSON Schema.
    pub schema: Value,
    /// Whether the vendor is to enforce it.
    #[serde(default)]
    pub strict: bool,
}

/// The request that a driver must make.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedHttp {
    /// Method.
    pub method: String,
    /// URL.
    pub url: String,
    /// Header fields that it must have, names in lower case; others may be there.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body: a text is compared byte by byte, any other value as JSON. None is not compared.
    #[serde(default)]
    pub body: Option<Value>,
}

/// The answer of the vendor.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedResponse {
    /// Status code.
    pub status: u16,
    /// Header fields, names in lower case.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body in pieces.
    #[serde(default)]
    pub chunks: Vec<RecordedChunk>,
}

/// A piece of a body.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum RecordedChunk {
    /// UTF-8 text.
    Text(String),
    /// Any bytes.
    Binary {
        /// In base64.
        base64: String,
    },
}

/// What the replay of one exchange covered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReplayedExchange {
    /// Its name.
    pub name: String,
    /// Ways in which the answer was cut into pieces.
    pub cuts: u32,
    /// Sequences of frames that these gave and that the driver was run on. Where the host cuts the
    /// frames, all ways of cutting must give the same one.
    pub runs: u32,
}
