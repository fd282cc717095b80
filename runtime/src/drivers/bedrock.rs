//! Amazon Bedrock's `ConverseStream`, which is the same for the models of all vendors there.
//!
//! The credential is an API key of Bedrock. The base URL names the region,
//! `https://bedrock-runtime.REGION.amazonaws.com`.

use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::{Value, json};

use super::dialect::{self, Dialect};
use super::endpoint::{Endpoint, api_key};
use super::event_stream::{EventStream, Message};
use super::failure::{in_stream, refusal};
use super::options::{self, set, some_list, temperature};
use super::output::{Output, count, invalid, parse, text};
use super::thinking::Thinking;
use super::transcript::{self, Image, Piece, ToolResult, Turn, call_id, note, turns};
use crate::driver::{
    ChatRequest, CodecRequest, DriverConfig, DriverError, DriverErrorKind, DriverId, DriverRegistry, Frame, Framing, ResponseHead,
    ToolChoice,
};
use crate::event::TokenUsage;

/// Marks the opaque value of reasoning that is hidden; a signature has no colon.
const REDACTED: &str = "redacted_content:";
/// Models that have a prompt cache, by parts of their names.
const CACHING_MODELS: [&str; 2] = ["anthropic.claude", "amazon.nova"];
/// Models of Anthropic, by a part of their names.
const CLAUDE: &str = "anthropic.claude";

static OPTIONS: LazyLock<Validator> = LazyLock::new(|| {
    options::schema(&json!({
        "top_p": { "type": "number", "minimum": 0, "maximum": 1 },
        "additional_model_request_fields": { "type": "object" },
        "guardrail_config": { "type": "object", "required": ["guardrailIdentifier", "guardrailVersion"] },
        "performance_config": { "type": "object", "required": ["latency"] },
        "service_tier": { "enum": ["priority", "default", "flex", "reserved"] },
    }))
});

/// Registers the driver as [`DriverId::Bedrock`].
///
/// # Panics
/// If it is registered already.
pub fn register_driver(registry: &mut DriverRegistry) {
    dialect::register::<Bedrock>(registry, DriverId::Bedrock, None);
}

#[derive(Default)]
struct Bedrock {
    stream: EventStream,
    stop: Option<String>,
}

impl Dialect for Bedrock {
    const FRAMING: Framing = Framing::Bytes;
    const MEDIA_TYPE: &'static str = "application/vnd.amazon.eventstream";

    fn begin(&mut self, config: &DriverConfig, request: &ChatRequest) -> Result<CodecRequest, DriverError> {
        let mut options = options::of(request, &DriverId::Bedrock, &OPTIONS)?;
        let key = api_key(config, &DriverId::Bedrock)?;
        let mut body = body(request)?;
        for (option, member) in [("guardrail_config", "guardrailConfig"), ("performance_config", "performanceConfig")] {
            set(&mut body, member, options.remove(option));
        }
        if let Some(tier) = options.remove("service_tier") {
            body["serviceTier"] = json!({ "type": tier });
        }
        if let Some(top_p) = options.remove("top_p") {
            body["inferenceConfig"]["topP"] = top_p;
        }
        if let Some(Value::Object(fields)) = options.remove("additional_model_request_fields") {
            for (name, value) in fields {
                body["additionalModelRequestFields"][name] = value;
            }
        }
        let endpoint = Endpoint::new(config)?.path(&["model", &request.model, "converse-stream"]);
        let endpoint = endpoint.header("authorization", format!("Bearer {key}"));
        Ok(endpoint.header("accept", Self::MEDIA_TYPE).post(&body))
    }

    fn frame(&mut self, frame: Frame, out: &mut Output) -> Result<(), DriverError> {
        let Frame::Bytes(piece) = frame else { return Err(invalid("the answer is a stream of another kind")) };
        self.stream.push(&piece);
        while let Some(message) = self.stream.next()? {
            self.message(&message, out)?;
        }
        Ok(())
    }

    fn refusal(&self, head: &ResponseHead, body: &Value) -> DriverError {
        let kind = head.header("x-amzn-errortype").unwrap_or_default();
        let kind = kind.split(':').next().unwrap_or_default();
        let message = [text(body, "message"), text(body, "Message")].into_iter().find(|message| !message.is_empty());
        let error = refusal(head, kind, message.unwrap_or_default());
        classified(kind, error)
    }
}

impl Bedrock {
    fn message(&mut self, message: &Message, out: &mut Output) -> Result<(), DriverError> {
        let payload = || parse(&message.payload);
        match message.field(":message-type") {
            "event" => self.event(message.field(":event-type"), &payload()?, out),
            "exception" => {
                let kind = message.field(":exception-type");
                let status = status_of(kind);
                Err(classified(kind, in_stream(status, kind, text(&payload().unwrap_or_default(), "message"))))
            }
            _ => Err(in_stream(None, message.field(":error-code"), message.field(":error-message"))),
        }
    }

    fn event(&mut self, kind: &str, event: &Value, out: &mut Output) -> Result<(), DriverError> {
        let place = count(event, "contentBlockIndex");
        match kind {
            "contentBlockStart" => {
                if let Some(call) = event["start"].get("toolUse") {
                    out.start_call(place, text(call, "toolUseId"), text(call, "name"));
                }
            }
            "contentBlockDelta" => delta(place, &event["delta"], out)?,
            "contentBlockStop" => out.end_call(place, None),
            "messageStop" => self.stop = event["stopReason"].as_str().map(str::to_owned),
            // The counts come last.
            "metadata" => {
                let usage = &event["usage"];
                out.usage(TokenUsage {
                    input_tokens: count(usage, "inputTokens"),
                    output_tokens: count(usage, "outputTokens"),
                    cache_read_tokens: count(usage, "cacheReadInputTokens"),
                    cache_creation_tokens: count(usage, "cacheWriteInputTokens"),
                    reasoning_tokens: 0,
                });
                let stop = self.stop.take().ok_or_else(|| invalid("the answer ends without a reason"))?;
                out.finish(reason(&stop)?, None)?;
            }
            // The start of the message, and what later versions add.
            _ => {}
        }
        Ok(())
    }
}

fn delta(place: u64, delta: &Value, out: &mut Output) -> Result<(), DriverError> {
    out.text(text(delta, "text"));
    if let Some(call) = delta.get("toolUse") {
        out.arguments(place, text(call, "input"))?;
    }
    let reasoning = &delta["reasoningContent"];
    out.reasoning(text(reasoning, "text"));
    out.sign(text(reasoning, "signature").to_owned());
    if let Some(hidden) = reasoning["redactedContent"].as_str() {
        out.sign(format!("{REDACTED}{hidden}"));
    }
    Ok(())
}

fn reason(stop: &str) -> Result<&str, DriverError> {
    Ok(match stop {
        "end_turn" | "stop_sequence" => "stop",
        "tool_use" => "tool-calls",
        "max_tokens" | "model_context_window_exceeded" => "length",
        "guardrail_intervened" | "content_filtered" => "content-filter",
        "malformed_model_output" | "malformed_tool_use" => return Err(invalid("the model wrote what its vendor could not read")),
        other => other,
    })
}

/// The status with which the vendor answers such an exception outside a stream.
fn status_of(kind: &str) -> Option<u16> {
    match kind {
        "validationException" => Some(400),
        "accessDeniedException" | "unrecognizedClientException" => Some(403),
        "resourceNotFoundException" => Some(404),
        "throttlingException" => Some(429),
        "serviceUnavailableException" | "modelNotReadyException" => Some(503),
        _ => None,
    }
}

/// What the name of an exception says, and the status does not.
fn classified(kind: &str, error: DriverError) -> DriverError {
    let own = match kind.to_ascii_lowercase().as_str() {
        "servicequotaexceededexception" => DriverErrorKind::QuotaExhausted,
        "modelnotreadyexception" | "modeltimeoutexception" => DriverErrorKind::Unavailable,
        _ => error.kind,
    };
    DriverError { kind: own, ..error }
}

fn body(request: &ChatRequest) -> Result<Value, DriverError> {
    let messages = turns(request)?.iter().map(message).collect::<Result<Vec<_>, _>>()?;
    let mut body = json!({ "messages": messages });
    if !request.system_prompt.trim().is_empty() {
        body["system"] = json!([{ "text": request.system_prompt }]);
    }
    set_tools(&mut body, request);
    let mut inference = json!({});
    set(&mut inference, "maxTokens", request.max_output_tokens);
    set(&mut inference, "stopSequences", some_list(request.stop.iter().map(|stop| json!(stop)).collect()));
    let thinks = set_thinking(&mut body, &mut inference, request);
    set(&mut inference, "temperature", temperature(request).filter(|_| !thinks));
    if inference.as_object().is_some_and(|members| !members.is_empty()) {
        body["inferenceConfig"] = inference;
    }
    if let Some(format) = &request.response_format {
        let schema = json!({ "name": format.name, "schema": format.schema.to_string() });
        body["outputConfig"]["textFormat"] = json!({ "type": "json_schema", "structure": { "jsonSchema": schema } });
    }
    if !request.metadata.is_empty() {
        body["requestMetadata"] = json!(request.metadata);
    }
    if request.prompt_cache.is_some() && CACHING_MODELS.iter().any(|name| request.model.contains(name)) {
        mark_cache(&mut body);
    }
    Ok(body)
}

/// This vendor cannot be told to call none of the tools, so they are left out then, unless it needs
/// them to understand the conversation.
fn set_tools(body: &mut Value, request: &ChatRequest) {
    let has_calls = || request.messages.iter().any(|message| message.tool_calls().next().is_some());
    if request.tool_choice == ToolChoice::None && !has_calls() {
        return;
    }
    let choice = match &request.tool_choice {
        ToolChoice::Auto | ToolChoice::None => json!({ "auto": {} }),
        ToolChoice::Required => json!({ "any": {} }),
        ToolChoice::Tool(name) => json!({ "tool": { "name": name } }),
    };
    let tools = request.tools.iter().map(|tool| {
        let mut spec = json!({ "name": tool.name, "inputSchema": { "json": tool.input_schema } });
        set(&mut spec, "description", Some(tool.description.as_str()).filter(|text| !text.is_empty()));
        json!({ "toolSpec": spec })
    });
    if let Some(tools) = some_list(tools.collect()) {
        body["toolConfig"] = json!({ "tools": tools, "toolChoice": choice });
    }
}

/// Anthropic's models are told how to think in their own words, others an effort.
fn set_thinking(body: &mut Value, inference: &mut Value, request: &ChatRequest) -> bool {
    let Some(effort) = request.reasoning_effort.as_deref() else { return false };
    let thinking = Thinking::of_request(request).filter(|_| request.model.contains(CLAUDE));
    let Some(thinking) = thinking else {
        body["outputConfig"]["effort"] = json!(effort);
        return false;
    };
    let thinks = thinking.thinks();
    if thinks && thinking.budget > 0 {
        let answer = request.max_output_tokens.unwrap_or(super::anthropic::DEFAULT_MAX_TOKENS);
        inference["maxTokens"] = json!(answer.saturating_add(thinking.budget));
    }
    body["additionalModelRequestFields"]["thinking"] = thinking.config;
    if let Some(effort) = thinking.effort {
        body["outputConfig"]["effort"] = json!(effort);
    }
    thinks
}

fn message(turn: &Turn<'_>) -> Result<Value, DriverError> {
    let blocks = turn.pieces.iter().map(block).collect::<Result<Vec<_>, _>>()?;
    Ok(json!({ "role": if turn.of_model { "assistant" } else { "user" }, "content": blocks }))
}

fn block(piece: &Piece<'_>) -> Result<Value, DriverError> {
    Ok(match piece {
        Piece::Text(text) => json!({ "text": text }),
        Piece::Note(text) => json!({ "text": note(text) }),
        Piece::Image(picture) => image(picture)?,
        Piece::Result(result) => tool_result(result)?,
        Piece::Call(call) => {
            json!({ "toolUse": { "toolUseId": call_id(&call.id), "name": call.name, "input": call.arguments_object() } })
        }
        Piece::Reasoning { text, opaque } => match opaque.strip_prefix(REDACTED) {
            Some(hidden) => json!({ "reasoningContent": { "redactedContent": hidden } }),
            None => json!({ "reasoningContent": { "reasoningText": { "text": text, "signature": opaque } } }),
        },
    })
}

fn tool_result(result: &ToolResult<'_>) -> Result<Value, DriverError> {
    // A result without content is refused.
    let text = if result.text.trim().is_empty() { "(no output)" } else { result.text.as_ref() };
    let mut content = vec![json!({ "text": text })];
    for picture in &result.images {
        content.push(image(picture)?);
    }
    let status = if result.failed { "error" } else { "success" };
    Ok(json!({ "toolResult": { "toolUseId": result.id, "status": status, "content": content } }))
}

fn image(image: &Image<'_>) -> Result<Value, DriverError> {
    let Image::Inline { media_type, base64 } = image else {
        return Err(transcript::invalid("the driver bedrock takes images inline only, not from a URL"));
    };
    let format = media_type.strip_prefix("image/").unwrap_or(media_type);
    let format = if format == "jpg" { "jpeg" } else { format };
    Ok(json!({ "image": { "format": format, "source": { "bytes": base64 } } }))
}

/// Marks what the next request will begin with.
fn mark_cache(body: &mut Value) {
    let point = json!({ "cachePoint": { "type": "default" } });
    if let Some(system) = body.get_mut("system").and_then(Value::as_array_mut) {
        system.push(point.clone());
    }
    let last = body["messages"].as_array_mut().and_then(|messages| messages.last_mut());
    if let Some(content) = last.and_then(|message| message["content"].as_array_mut()) {
        content.push(point);
    }
}
