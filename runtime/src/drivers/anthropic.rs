//! Anthropic's Messages API.
//!
//! Thinking comes with a signature, or hidden altogether; both go back as they were. What the
//! vendor is to cache is marked: the end of the tools and the system prompt, the last message, and
//! the one of the user before it, so that a conversation that grew by many calls finds its prefix.

use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::{Value, json};

use super::dialect::{self, Dialect};
use super::endpoint::{Endpoint, api_key};
use super::failure::{in_stream, refusal};
use super::options::{self, set, set_all, some_list, temperature};
use super::output::{Output, count, invalid, parse, text};
use super::thinking::Thinking;
use super::transcript::{self, Image, Piece, ToolResult, Turn, call_id, note, turns};
use crate::driver::{
    ChatRequest, CodecRequest, DriverConfig, DriverError, DriverErrorKind, DriverId, DriverRegistry, Frame, ResponseHead, ToolChoice,
};
use crate::event::TokenUsage;

/// Base URL if the provider has none.
pub const DEFAULT_BASE_URL: &str = "https://api.anthropic.com";
/// Tokens of an answer if nobody says: this vendor wants a limit.
pub const DEFAULT_MAX_TOKENS: u64 = 16_384;
/// Version of the API. The one after it takes neither `temperature` nor `top_p` and `top_k`.
const VERSION: &str = "2023-06-01";
/// Marks the opaque value of reasoning that is hidden; a signature has no colon.
const REDACTED: &str = "redacted_thinking:";
/// Highest temperature of this vendor.
const MAX_TEMPERATURE: f32 = 1.0;

static OPTIONS: LazyLock<Validator> = LazyLock::new(|| {
    options::schema(&json!({
        "thinking": { "type": "object", "required": ["type"] },
        "top_p": { "type": "number", "minimum": 0, "maximum": 1 },
        "top_k": { "type": "integer", "minimum": 0 },
        "service_tier": { "enum": ["auto", "standard_only"] },
        "disable_parallel_tool_use": { "type": "boolean" },
        "cache_ttl": { "enum": ["5m", "1h"] },
        "betas": { "type": "array", "maxItems": 16, "items": { "type": "string", "pattern": "^[a-z0-9-]{1,64}$" } },
    }))
});

/// Registers the driver as [`DriverId::Anthropic`].
///
/// # Panics
/// If it is registered already.
pub fn register_driver(registry: &mut DriverRegistry) {
    dialect::register::<Anthropic>(registry, DriverId::Anthropic, Some(DEFAULT_BASE_URL));
}

#[derive(Default)]
struct Anthropic {
    usage: TokenUsage,
    id: Option<String>,
    stop: Option<String>,
}

impl Dialect for Anthropic {
    fn begin(&mut self, config: &DriverConfig, request: &ChatRequest) -> Result<CodecRequest, DriverError> {
        let mut options = options::of(request, &DriverId::Anthropic, &OPTIONS)?;
        let key = api_key(config, &DriverId::Anthropic)?;
        let betas: Vec<&str> = options.get("betas").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let betas = (!betas.is_empty()).then(|| betas.join(","));
        options.remove("betas");
        let ttl = options.remove("cache_ttl");
        let one_call = options.remove("disable_parallel_tool_use");
        let mut body = body(request)?;
        if let (Some(one_call), true) = (one_call, body.get("tools").is_some()) {
            body["tool_choice"]["disable_parallel_tool_use"] = one_call;
        }
        set_all(&mut body, options);
        if request.prompt_cache.is_some() {
            mark_cache(&mut body, ttl.as_ref());
        }
        let endpoint = Endpoint::new(config)?.version("v1").path(&["messages"]);
        let endpoint = endpoint.header("x-api-key", key).header("anthropic-version", VERSION);
        Ok(endpoint.optional_header("anthropic-beta", betas.as_deref()).post(&body))
    }

    fn frame(&mut self, frame: Frame, out: &mut Output) -> Result<(), DriverError> {
        let Frame::Sse(event) = frame else { return Err(invalid("the answer is no stream of events")) };
        let event = parse(event.data.as_bytes())?;
        let place = count(&event, "index");
        match text(&event, "type") {
            "message_start" => {
                self.id = event["message"]["id"].as_str().map(str::to_owned);
                self.count(&event["message"]["usage"]);
            }
            "content_block_start" => start_block(place, &event["content_block"], out),
            "content_block_delta" => delta(place, &event["delta"], out)?,
            "content_block_stop" => out.end_call(place, None),
            "message_delta" => {
                self.stop = event["delta"]["stop_reason"].as_str().map(str::to_owned).or(self.stop.take());
                self.count(&event["usage"]);
                out.usage(self.usage);
            }
            "message_stop" => {
                let stop = self.stop.take().ok_or_else(|| invalid("the answer ends without a reason"))?;
                out.finish(reason(&stop), self.id.take())?;
            }
            "error" => {
                let error = &event["error"];
                return Err(in_stream(status_of(text(error, "type")), text(error, "type"), text(error, "message")));
            }
            // Pings, and what later versions add.
            _ => {}
        }
        Ok(())
    }

    fn refusal(&self, head: &ResponseHead, body: &Value) -> DriverError {
        let error = &body["error"];
        refusal(head, text(error, "type"), text(error, "message"))
    }
}

impl Anthropic {
    /// Later counts replace earlier ones; what is missing stays.
    fn count(&mut self, usage: &Value) {
        let later = |count: &mut u64, value: &Value| *count = value.as_u64().unwrap_or(*count);
        later(&mut self.usage.input_tokens, &usage["input_tokens"]);
        later(&mut self.usage.output_tokens, &usage["output_tokens"]);
        later(&mut self.usage.cache_read_tokens, &usage["cache_read_input_tokens"]);
        later(&mut self.usage.cache_creation_tokens, &usage["cache_creation_input_tokens"]);
        later(&mut self.usage.reasoning_tokens, &usage["output_tokens_details"]["thinking_tokens"]);
    }
}

fn start_block(place: u64, block: &Value, out: &mut Output) {
    match text(block, "type") {
        "tool_use" => out.start_call(place, text(block, "id"), text(block, "name")),
        "redacted_thinking" => out.sign(format!("{REDACTED}{}", text(block, "data"))),
        "text" => out.text(text(block, "text")),
        "thinking" => out.reasoning(text(block, "thinking")),
        _ => {}
    }
}

fn delta(place: u64, delta: &Value, out: &mut Output) -> Result<(), DriverError> {
    match text(delta, "type") {
        "text_delta" => out.text(text(delta, "text")),
        "thinking_delta" => out.reasoning(text(delta, "thinking")),
        "signature_delta" => out.sign(text(delta, "signature").to_owned()),
        "input_json_delta" => return out.arguments(place, text(delta, "partial_json")),
        _ => {}
    }
    Ok(())
}

fn reason(stop: &str) -> &str {
    match stop {
        "end_turn" | "stop_sequence" => "stop",
        "tool_use" => "tool-calls",
        "max_tokens" | "model_context_window_exceeded" => "length",
        "refusal" => "content-filter",
        other => other,
    }
}

/// The status with which the vendor answers such an error outside a stream.
fn status_of(kind: &str) -> Option<u16> {
    match kind {
        "invalid_request_error" => Some(400),
        "authentication_error" => Some(401),
        "billing_error" => Some(402),
        "permission_error" => Some(403),
        "not_found_error" => Some(404),
        "request_too_large" => Some(413),
        "rate_limit_error" => Some(429),
        "timeout_error" => Some(504),
        "overloaded_error" => Some(529),
        _ => None,
    }
}

fn body(request: &ChatRequest) -> Result<Value, DriverError> {
    let messages = turns(request)?.iter().map(message).collect::<Result<Vec<_>, _>>()?;
    let mut body = json!({ "model": request.model, "stream": true, "messages": messages });
    if !request.system_prompt.trim().is_empty() {
        body["system"] = json!([{ "type": "text", "text": request.system_prompt }]);
    }
    let tools = request.tools.iter();
    let tools = tools.map(|tool| json!({ "name": tool.name, "description": tool.description, "input_schema": tool.input_schema }));
    if let Some(tools) = some_list(tools.collect()) {
        body["tools"] = tools;
        body["tool_choice"] = match &request.tool_choice {
            ToolChoice::Auto => json!({ "type": "auto" }),
            ToolChoice::None => json!({ "type": "none" }),
            ToolChoice::Required => json!({ "type": "any" }),
            ToolChoice::Tool(name) => json!({ "type": "tool", "name": name }),
        };
    }
    let stops: Vec<Value> = request.stop.iter().map(|stop| json!(stop)).collect();
    set(&mut body, "stop_sequences", some_list(stops));
    set_thinking(&mut body, request)?;
    if let Some(format) = &request.response_format {
        body["output_config"]["format"] = json!({ "type": "json_schema", "schema": format.schema });
    }
    Ok(body)
}

/// The limit of the answer does not include what the model may think. A model that thinks takes no
/// temperature.
fn set_thinking(body: &mut Value, request: &ChatRequest) -> Result<(), DriverError> {
    let thinking = Thinking::of_request(request);
    let budget = thinking.as_ref().map_or(0, |thinking| thinking.budget);
    body["max_tokens"] = json!(request.max_output_tokens.unwrap_or(DEFAULT_MAX_TOKENS).saturating_add(budget));
    let thinks = thinking.as_ref().is_some_and(Thinking::thinks);
    if let Some(thinking) = thinking {
        body["thinking"] = thinking.config;
        if let Some(effort) = thinking.effort {
            body["output_config"]["effort"] = json!(effort);
        }
    }
    if request.temperature.is_some_and(|temperature| temperature > MAX_TEMPERATURE) {
        return Err(DriverError::new(DriverErrorKind::InvalidRequest, "the driver anthropic takes a temperature of at most 1.0"));
    }
    set(body, "temperature", temperature(request).filter(|_| !thinks));
    Ok(())
}

fn message(turn: &Turn<'_>) -> Result<Value, DriverError> {
    let blocks = turn.pieces.iter().map(block).collect::<Result<Vec<_>, _>>()?;
    Ok(json!({ "role": if turn.of_model { "assistant" } else { "user" }, "content": blocks }))
}

fn block(piece: &Piece<'_>) -> Result<Value, DriverError> {
    Ok(match piece {
        Piece::Text(text) => json!({ "type": "text", "text": text }),
        Piece::Note(text) => json!({ "type": "text", "text": note(text) }),
        Piece::Image(picture) => image(picture)?,
        Piece::Result(result) => tool_result(result)?,
        Piece::Call(call) => {
            json!({ "type": "tool_use", "id": call_id(&call.id), "name": call.name, "input": call.arguments_object() })
        }
        Piece::Reasoning { text, opaque } => match opaque.strip_prefix(REDACTED) {
            Some(data) => json!({ "type": "redacted_thinking", "data": data }),
            None => json!({ "type": "thinking", "thinking": text, "signature": opaque }),
        },
    })
}

fn tool_result(result: &ToolResult<'_>) -> Result<Value, DriverError> {
    let mut content = Vec::new();
    if !result.text.trim().is_empty() {
        content.push(json!({ "type": "text", "text": result.text }));
    }
    for picture in &result.images {
        content.push(image(picture)?);
    }
    let mut block = json!({ "type": "tool_result", "tool_use_id": result.id, "is_error": result.failed });
    set(&mut block, "content", some_list(content));
    Ok(block)
}

fn image(image: &Image<'_>) -> Result<Value, DriverError> {
    let source = match image {
        Image::Inline { media_type, base64 } => json!({ "type": "base64", "media_type": media_type, "data": base64 }),
        Image::Url(url) if url.starts_with("https://") => json!({ "type": "url", "url": url }),
        Image::Url(_) => return Err(transcript::invalid("the driver anthropic takes images inline or from https URLs")),
    };
    Ok(json!({ "type": "image", "source": source }))
}

/// Marks what the next request will begin with.
fn mark_cache(body: &mut Value, ttl: Option<&Value>) {
    let mut mark = json!({ "type": "ephemeral" });
    set(&mut mark, "ttl", ttl.cloned());
    // Tools come before the system prompt, so one mark is enough for both.
    let prefix = if body.get("system").is_some() { "system" } else { "tools" };
    let of_user = |message: &&mut Value| message["role"] == "user";
    let prefix_end = body.get_mut(prefix).and_then(Value::as_array_mut).and_then(|list| list.last_mut());
    if let Some(last) = prefix_end {
        last["cache_control"] = mark.clone();
    }
    let messages = body["messages"].as_array_mut().into_iter().flatten();
    for message in messages.rev().filter(of_user).take(2) {
        if let Some(last) = message["content"].as_array_mut().and_then(|blocks| blocks.last_mut()) {
            last["cache_control"] = mark.clone();
        }
    }
}
