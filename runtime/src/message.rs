//! Messages: what users, agents and tools say. They are a projection of a session's events.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::driver::ErrorDisclosure;
use crate::id::{MessageId, ModelId};

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Instructions of the platform.
    System,
    /// A person or a program that uses the agent.
    User,
    /// The agent.
    Agent,
    /// A tool, answering a call of the agent.
    ToolResult,
}

/// One piece of a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ContentPart {
    /// Text.
    Text {
        /// UTF-8 text.
        text: String,
    },
    /// An image, by reference or inline.
    Image {
        /// Absolute URL.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        url: Option<String>,
        /// Base64 of the bytes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        base64: Option<String>,
        /// IANA media type of inline bytes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        media_type: Option<String>,
    },
    /// What the agent thought before it spoke, as far as the vendor shows it.
    Reasoning {
        /// Readable text; may be empty.
        text: String,
        /// Signature or encrypted reasoning.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        opaque: Option<Opaque>,
    },
    /// The agent asks for a tool call.
    ToolCall(ToolCall),
    /// The outcome of a tool call: `result` or `error`.
    ToolResult {
        /// Id of the call.
        tool_call_id: String,
        /// What the tool returned.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        result: Option<Value>,
        /// Why it failed, as told to the model.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
}

impl ContentPart {
    /// A text part.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into() }
    }

    fn opaque(&self) -> Option<&Opaque> {
        match self {
            Self::Reasoning { opaque, .. } | Self::ToolCall(ToolCall { opaque, .. }) => opaque.as_ref(),
            _ => None,
        }
    }
}

/// A request of the model to call a tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ToolCall {
    /// Id of the call, unique in its session; also the call's idempotency key.
    pub id: String,
    /// Tool name as offered to the model, for example `data_lens__describe`.
    pub name: String,
    /// Arguments object. A string is what the model wrote in place of one; such a call is never
    /// executed.
    pub arguments: Value,
    /// Vendor data that belongs to the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opaque: Option<Opaque>,
}

impl ToolCall {
    /// A call without vendor data.
    pub fn new(id: impl Into<String>, name: impl Into<String>, arguments: Value) -> Self {
        Self { id: id.into(), name: name.into(), arguments, opaque: None }
    }

    /// The arguments as JSON text, for protocols that have them so: exactly what the model wrote,
    /// if that was not JSON.
    pub fn arguments_text(&self) -> String {
        match &self.arguments {
            Value::String(raw) => raw.clone(),
            arguments => arguments.to_string(),
        }
    }

    /// The arguments as an object, for protocols that take nothing else: one with the member
    /// `malformed`, if the model wrote something else.
    pub fn arguments_object(&self) -> Map<String, Value> {
        match &self.arguments {
            Value::Object(arguments) => arguments.clone(),
            malformed => [("malformed".to_owned(), malformed.clone())].into_iter().collect(),
        }
    }
}

/// A value that only the driver that made it understands. It goes back to that driver unchanged,
/// and to no other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Opaque {
    /// Id of the driver.
    pub driver: String,
    /// The value.
    pub data: String,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Message {
    /// Id.
    pub id: MessageId,
    /// Who speaks.
    pub role: Role,
    /// Content in order.
    pub content: Vec<ContentPart>,
    /// Free-form values of the sender.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub metadata: Map<String, Value>,
    /// What the sender wants of the turn that answers it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub controls: Option<Controls>,
    /// When it was accepted.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created_at: Timestamp,
}

/// What the sender of a message wants of the turn that answers it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Controls {
    /// The model; wins over those of session, agent and harnesses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_id: Option<ModelId>,
    /// The user's language, as a BCP 47 tag; wins over the session's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// How much is told of a model's failure; never more than the platform discloses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_disclosure: Option<ErrorDisclosure>,
}

impl Message {
    /// All text parts, joined by newlines.
    pub fn text(&self) -> String {
        let texts: Vec<&str> = self
            .content
            .iter()
            .filter_map(|part| match part {
                ContentPart::Text { text } => Some(text.as_str()),
                _ => None,
            })
            .collect();
        texts.join("\n")
    }

    /// Whether it has an opaque value of another driver than this one.
    pub fn has_opaque_of_others(&self, driver: &str) -> bool {
        self.content.iter().filter_map(ContentPart::opaque).any(|opaque| opaque.driver != driver)
    }

    /// Takes away opaque values of other drivers than this one.
    pub fn drop_opaque_of_others(&mut self, driver: &str) {
        for part in &mut self.content {
            if let ContentPart::Reasoning { opaque, .. } | ContentPart::ToolCall(ToolCall { opaque, .. }) = part {
                opaque.take_if(|opaque| opaque.driver != driver);
            }
        }
        let says_something = |part: &ContentPart| !matches!(part, ContentPart::Reasoning { text, opaque: None } if text.is_empty());
        self.content.retain(says_something);
    }

    /// The tool calls that it asks for, in order.
    pub fn tool_calls(&self) -> impl Iterator<Item = &ToolCall> {
        self.content.iter().filter_map(|part| match part {
            ContentPart::ToolCall(call) => Some(call),
            _ => None,
        })
    }
}
