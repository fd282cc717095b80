//! What the component `ollama-driver` does with a line, as native code: the same types are read with
//! the same parser, and the same events are made.

use async_trait::async_trait;
use everwit_runtime::driver::{
    ChatEvent, ChatRequest, Codec, CodecRequest, DriverConfig, DriverError, DriverErrorKind, Frame, Framing, ResponseHead,
};
use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Deserialize)]
struct Line {
    error: Option<String>,
    message: Option<Said>,
    #[serde(default)]
    done: bool,
    done_reason: Option<String>,
}

#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    content: String,
    #[serde(default)]
    thinking: String,
    #[serde(default)]
    tool_calls: Vec<Call>,
}

#[derive(Deserialize)]
struct Call {
    function: Function,
}

#[derive(Deserialize)]
struct Function {
    name: String,
    #[serde(default)]
    arguments: Map<String, Value>,
}

/// The codec.
pub(crate) struct Native;

#[async_trait]
impl Codec for Native {
    async fn begin(&mut self, _: &DriverConfig, _: &ChatRequest) -> Result<CodecRequest, DriverError> {
        Ok(CodecRequest::default())
    }

    async fn on_head(&mut self, _: &ResponseHead) -> Result<Framing, DriverError> {
        Ok(Framing::JsonLines)
    }

    async fn on_frame(&mut self, frame: Frame) -> Result<Vec<ChatEvent>, DriverError> {
        let invalid = |message: String| DriverError::new(DriverErrorKind::InvalidResponse, message);
        let Frame::Bytes(bytes) = frame else { return Err(invalid("no line".to_owned())) };
        let line: Line = serde_json::from_slice(&bytes).map_err(|error| invalid(error.to_string()))?;
        if let Some(error) = line.error {
            return Err(invalid(error));
        }
        let mut events = Vec::new();
        if let Some(said) = line.message {
            if !said.thinking.is_empty() {
                events.push(ChatEvent::Reasoning { text: said.thinking, opaque: None });
            }
            if !said.content.is_empty() {
                events.push(ChatEvent::Text(said.content));
            }
            for (index, call) in (0..).zip(said.tool_calls) {
                events.push(ChatEvent::ToolCallStart { index, id: String::new(), name: call.function.name });
                events.push(ChatEvent::ToolCallDelta { index, arguments: Value::Object(call.function.arguments).to_string() });
                events.push(ChatEvent::ToolCallEnd { index, opaque: None });
            }
        }
        if line.done {
            events.push(ChatEvent::finish(line.done_reason.unwrap_or_default()));
        }
        Ok(events)
    }

    async fn on_end(&mut self) -> Result<Vec<ChatEvent>, DriverError> {
        Ok(Vec::new())
    }
}
