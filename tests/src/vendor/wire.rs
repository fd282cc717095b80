//! The wires: what is a right request, and how answers and failures look.

mod anthropic;
mod bedrock;
mod chat;
mod gemini;
mod responses;

use std::net::SocketAddr;

use bytes::Bytes;
use serde_json::Value;

use super::server::Received;
use super::{Answer, Failure};

/// One vendor's protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wire {
    /// OpenAI's Responses API.
    OpenAi,
    /// OpenAI's Chat Completions API, as other vendors extend it.
    OpenAiCompletions,
    /// OpenRouter's Chat Completions API.
    OpenRouter,
    /// Chat Completions of a deployment on Azure.
    AzureOpenAi,
    /// Anthropic's Messages API.
    Anthropic,
    /// Google's Gemini API.
    Gemini,
    /// Amazon Bedrock's `ConverseStream`.
    Bedrock,
}

/// The only credential that a stub vendor accepts.
pub(super) const KEY: &str = "stub-key-4fd2c1";
/// The only model that a stub vendor has.
pub(super) const MODEL: &str = "stub-model";

/// A response other than an answer.
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Value,
}

impl Wire {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::OpenAi, Self::OpenAiCompletions, Self::OpenRouter, Self::AzureOpenAi, Self::Anthropic, Self::Gemini, Self::Bedrock];

    /// Id of the driver that speaks it.
    pub fn driver_id(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::OpenAiCompletions => "openai_completions",
            Self::OpenRouter => "openrouter",
            Self::AzureOpenAi => "azure_openai",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Bedrock => "bedrock",
        }
    }

    /// The credential that its stub accepts.
    pub fn key(self) -> &'static str {
        KEY
    }

    /// The model that its stub has.
    pub fn model(self) -> &'static str {
        MODEL
    }

    /// Whether it shows the model's reasoning.
    pub fn shows_thinking(self) -> bool {
        self != Self::AzureOpenAi
    }

    /// Whether it signs the reasoning, and wants the signature back.
    pub fn signs_thinking(self) -> bool {
        self.shows_thinking() && self != Self::OpenAiCompletions
    }

    /// The base URL in the shape that the vendor documents.
    pub(super) fn base_url(self, address: SocketAddr) -> String {
        let path = match self {
            Self::OpenAi | Self::OpenAiCompletions => "/v1",
            Self::OpenRouter => "/api/v1",
            Self::AzureOpenAi | Self::Anthropic | Self::Gemini | Self::Bedrock => "",
        };
        format!("http://{address}{path}")
    }

    /// Judges a request as the vendor would.
    pub(super) fn judge(self, request: &Received) -> Result<(), Failure> {
        match self {
            Self::OpenAi => responses::judge(request),
            Self::OpenAiCompletions | Self::OpenRouter | Self::AzureOpenAi => chat::judge(self, request),
            Self::Anthropic => anthropic::judge(request),
            Self::Gemini => gemini::judge(request),
            Self::Bedrock => bedrock::judge(request),
        }
    }

    /// The events of an answer's stream, as bytes.
    pub(super) fn events(self, answer: &Answer) -> Vec<Bytes> {
        match self {
            Self::OpenAi => responses::events(answer),
            Self::OpenAiCompletions | Self::OpenRouter | Self::AzureOpenAi => chat::events(self, answer),
            Self::Anthropic => anthropic::events(answer),
            Self::Gemini => gemini::events(answer),
            Self::Bedrock => bedrock::events(answer),
        }
    }

    /// How many events an answer's stream has.
    pub fn event_count(self, answer: &Answer) -> usize {
        self.events(answer).len()
    }

    /// A failure inside a stream that has begun.
    pub(super) fn failure_event(self, failure: &Failure) -> Bytes {
        match self {
            Self::OpenAi => responses::failure_event(failure),
            Self::OpenAiCompletions | Self::OpenRouter | Self::AzureOpenAi => chat::failure_event(self, failure),
            Self::Anthropic => anthropic::failure_event(failure),
            Self::Gemini => gemini::failure_event(failure),
            Self::Bedrock => bedrock::failure_event(failure),
        }
    }

    /// A failure instead of a stream.
    pub(super) fn refuse(self, failure: &Failure) -> Refusal {
        match self {
            Self::OpenAi | Self::OpenAiCompletions => chat::refuse(failure),
            Self::OpenRouter => chat::refuse_as_router(failure),
            Self::AzureOpenAi => chat::refuse_as_azure(failure),
            Self::Anthropic => anthropic::refuse(failure),
            Self::Gemini => gemini::refuse(failure),
            Self::Bedrock => bedrock::refuse(failure),
        }
    }

    /// Media type of a stream.
    pub(super) fn stream_type(self) -> &'static str {
        match self {
            Self::Bedrock => "application/vnd.amazon.eventstream",
            _ => "text/event-stream; charset=utf-8",
        }
    }
}

impl Refusal {
    fn new(status: u16, body: Value) -> Self {
        Self { status, headers: Vec::new(), body }
    }

    /// Adds `Retry-After`, if the failure says when to try again.
    fn with_retry_after(mut self, failure: &Failure) -> Self {
        if let Failure::RateLimited(Some(seconds)) = failure {
            self.headers.push(("retry-after", seconds.to_string()));
        }
        self
    }
}

/// An event of a stream that has no names for its events.
fn data(value: &Value) -> Bytes {
    Bytes::from(format!("data: {value}\n\n"))
}

/// An event whose name is the `type` of its data.
fn named(value: &Value) -> Bytes {
    let name = value["type"].as_str().expect("events of this wire have a type");
    Bytes::from(format!("event: {name}\ndata: {value}\n\n"))
}
