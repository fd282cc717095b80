//! A recording as an exchange that a driver component can carry in its section `everwit:exchanges`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::RecordedExchange;
use crate::component::MAX_RECORDED_BODY_BYTES;
use crate::driver::{ChatEvent, ChatRequest, DriverConfig, DriverErrorKind, DriverId, ToolChoice};

/// Header fields of answers that mean something to drivers.
const TOLD_HEADERS: [&str; 2] = ["content-type", "retry-after"];

impl RecordedExchange {
    /// It as one of the `exchanges` of the section, with this name. Credentials are replaced by a text
    /// that is the configured one, too; what the conversation says stays.
    ///
    /// # Errors
    /// Why it is none: there was no whole answer, what went wrong was not the vendor's answer, or the
    /// answer is larger than a fixture may be.
    pub fn to_fixture(&self, name: &str) -> Result<Value, String> {
        let kind = self.error.as_ref().map(|error| error.kind);
        let of_the_host =
            [DriverErrorKind::Timeout, DriverErrorKind::Cancelled, DriverErrorKind::AnswerTooLarge, DriverErrorKind::Internal];
        if self.head.status == 0 || (!self.is_complete && kind.is_none()) {
            return Err("there is no whole answer".to_owned());
        }
        if let Some(kind) = kind.filter(|kind| of_the_host.contains(kind)) {
            return Err(format!("it failed with {}, which is not the vendor's answer", kind.as_str()));
        }
        let bytes = self.pieces.iter().map(|piece| piece.len()).sum::<usize>();
        if bytes > MAX_RECORDED_BODY_BYTES {
            return Err(format!("the answer has {bytes} bytes; a fixture has at most {MAX_RECORDED_BODY_BYTES}"));
        }
        let body = serde_json::from_str(&self.body).unwrap_or_else(|_| Value::from(self.body.as_str()));
        let told = self.head.headers.iter().filter(|(name, _)| TOLD_HEADERS.contains(&name.as_str()));
        let mut fixture = json!({
            "name": name,
            "config": self.config,
            "request": self.request,
            "http": { "method": self.method, "url": self.url, "headers": object(self.headers.iter()), "body": body },
            "response": {
                "status": self.head.status,
                "headers": object(told),
                "chunks": self.pieces.iter().map(|piece| chunk(piece)).collect::<Vec<_>>(),
            },
            "events": self.events.iter().map(event_json).collect::<Vec<_>>(),
        });
        if let Some(kind) = kind {
            fixture["error"] = kind.as_str().into();
        }
        Ok(fixture)
    }
}

fn object<'a>(fields: impl Iterator<Item = &'a (String, String)>) -> Value {
    fields.map(|(name, value)| (name.to_ascii_lowercase(), Value::from(value.as_str()))).collect::<Map<_, _>>().into()
}

fn chunk(piece: &[u8]) -> Value {
    match str::from_utf8(piece) {
        Ok(text) => text.into(),
        Err(_) => json!({ "base64": STANDARD.encode(piece) }),
    }
}

/// A configuration in the recorded form, without credentials.
pub(super) fn config_json(config: &DriverConfig) -> Value {
    let metadata = config.metadata.as_ref();
    let hidden = |is_set: bool| is_set.then_some(crate::secret::REDACTED);
    let members = [
        ("base_url", config.base_url.as_deref().map(|url| config.redact(url).into())),
        ("api_key", hidden(config.api_key.is_some()).map(Value::from)),
        ("refresh_token", hidden(metadata.is_some_and(|metadata| metadata.refresh_token.is_some())).map(Value::from)),
        ("account_id", hidden(metadata.is_some_and(|metadata| metadata.account_id.is_some())).map(Value::from)),
    ];
    members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect::<Map<_, _>>().into()
}

/// A request in the recorded form.
pub(super) fn request_json(request: &ChatRequest, driver: &DriverId) -> Value {
    let tool_choice = match &request.tool_choice {
        ToolChoice::Auto => "auto".to_owned(),
        ToolChoice::None => "none".to_owned(),
        ToolChoice::Required => "required".to_owned(),
        ToolChoice::Tool(name) => format!("tool:{name}"),
    };
    let messages = request.messages.iter().map(|message| json!({ "role": message.role, "content": message.content }));
    let tools = request.tools.iter();
    let tools = tools.map(|tool| json!({ "name": tool.name, "description": tool.description, "input_schema": tool.input_schema }));
    let format = request.response_format.as_ref();
    json!({
        "model": request.model,
        "system_prompt": request.system_prompt,
        "messages": messages.collect::<Vec<_>>(),
        "tools": tools.collect::<Vec<_>>(),
        "tool_choice": tool_choice,
        "temperature": request.temperature,
        "max_output_tokens": request.max_output_tokens,
        "stop": request.stop,
        "reasoning_effort": request.reasoning_effort,
        "response_format": format.map(|format| json!({ "name": format.name, "schema": format.schema, "strict": format.strict })),
        "prompt_cache": request.prompt_cache.as_ref().map(|cache| &cache.key),
        "options": request.options_of(driver),
    })
}

/// An event in the recorded form.
pub(crate) fn event_json(event: &ChatEvent) -> Value {
    let with = |mut value: Value, name: &str, more: &Option<String>| {
        if let (Some(text), Some(members)) = (more, value.as_object_mut().and_then(|event| event.values_mut().next()?.as_object_mut())) {
            members.insert(name.to_owned(), text.as_str().into());
        }
        value
    };
    match event {
        ChatEvent::Text(text) => json!({ "text": text }),
        ChatEvent::Reasoning { text, opaque } => with(json!({ "reasoning": { "text": text } }), "opaque", opaque),
        ChatEvent::ToolCall(call) => json!({ "tool_call": { "id": call.id, "name": call.name, "arguments": call.arguments } }),
        ChatEvent::ToolCallStart { index, id, name } => json!({ "tool_call_start": { "index": index, "id": id, "name": name } }),
        ChatEvent::ToolCallDelta { index, arguments } => json!({ "tool_call_delta": { "index": index, "arguments": arguments } }),
        ChatEvent::ToolCallEnd { index, opaque } => with(json!({ "tool_call_end": { "index": index } }), "opaque", opaque),
        ChatEvent::Usage(usage) => json!({ "usage": usage }),
        ChatEvent::Finish(finish) => with(json!({ "finish": { "reason": finish.reason } }), "response_id", &finish.response_id),
    }
}
