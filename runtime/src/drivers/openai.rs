//! OpenAI's Responses API, without state at the vendor: nothing is stored there, and reasoning
//! comes back encrypted.

use std::collections::HashMap;
use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::{Value, json};

use super::chat;
use super::dialect::{self, Dialect};
use super::endpoint::{Endpoint, api_key, extra};
use super::failure::in_stream;
use super::options::{self, set, set_all, some_list, temperature};
use super::output::{Output, count, invalid, parse, text, usage_of_totals};
use super::transcript::{Image, Piece, ToolResult, Turn, call_id, turns};
use crate::driver::{ChatRequest, CodecRequest, DriverConfig, DriverError, DriverId, DriverRegistry, Frame, ResponseHead, ToolChoice};

/// Base URL if the provider has none.
pub const DEFAULT_BASE_URL: &str = "https://api.openai.com/v1";
/// Fewest tokens of an answer that the vendor takes as a limit.
const LEAST_OUTPUT_TOKENS: u64 = 16;
/// Beginnings of the names of models that do not reason, of a vendor whose newer ones all do.
const PLAIN_MODELS: [&str; 4] = ["gpt-3", "gpt-4", "chatgpt-", "ft:gpt-4"];

static OPTIONS: LazyLock<Validator> = LazyLock::new(|| {
    options::schema(&json!({
        "top_p": { "type": "number", "minimum": 0, "maximum": 1 },
        "parallel_tool_calls": { "type": "boolean" },
        "service_tier": { "enum": ["auto", "default", "flex", "scale", "priority", "fast", "ultrafast"] },
        "truncation": { "enum": ["auto", "disabled"] },
        "prompt_cache_retention": { "enum": ["in_memory", "24h"] },
        "safety_identifier": { "type": "string", "maxLength": 128 },
        "verbosity": { "enum": ["low", "medium", "high"] },
        "reasoning_summary": { "enum": ["auto", "concise", "detailed"] },
    }))
});

/// Registers the driver as [`DriverId::OpenAi`].
///
/// # Panics
/// If it is registered already.
pub fn register_driver(registry: &mut DriverRegistry) {
    dialect::register::<OpenAi>(registry, DriverId::OpenAi, Some(DEFAULT_BASE_URL));
}

#[derive(Default)]
struct OpenAi {
    /// Parts of the summary so far of each item of reasoning.
    summaries: HashMap<u64, u64>,
}

impl Dialect for OpenAi {
    fn begin(&mut self, config: &DriverConfig, request: &ChatRequest) -> Result<CodecRequest, DriverError> {
        let mut options = options::of(request, &DriverId::OpenAi, &OPTIONS)?;
        let key = api_key(config, &DriverId::OpenAi)?;
        let mut body = body(request)?;
        for (option, place) in [("verbosity", ["text", "verbosity"]), ("reasoning_summary", ["reasoning", "summary"])] {
            if let Some(value) = options.remove(option) {
                body[place[0]][place[1]] = value;
            }
        }
        set_all(&mut body, options);
        let account = config.metadata.as_ref().and_then(|metadata| metadata.account_id.as_deref());
        let endpoint = Endpoint::new(config)?.path(&["responses"]).header("authorization", format!("Bearer {key}"));
        let endpoint = endpoint.optional_header("openai-organization", account);
        Ok(endpoint.optional_header("openai-project", extra(config, "project")).post(&body))
    }

    fn frame(&mut self, frame: Frame, out: &mut Output) -> Result<(), DriverError> {
        let Frame::Sse(event) = frame else { return Err(invalid("the answer is no stream of events")) };
        let event = parse(event.data.as_bytes())?;
        let place = count(&event, "output_index");
        match text(&event, "type") {
            "response.output_text.delta" | "response.refusal.delta" => out.text(text(&event, "delta")),
            "response.reasoning_summary_part.added" => self.begin_summary(place, out),
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => out.reasoning(text(&event, "delta")),
            "response.output_item.added" if event["item"]["type"] == "function_call" => {
                out.start_call(place, text(&event["item"], "call_id"), text(&event["item"], "name"));
                out.arguments(place, text(&event["item"], "arguments"))?;
            }
            "response.function_call_arguments.delta" => out.arguments(place, text(&event, "delta"))?,
            "response.output_item.done" => end_item(place, &event["item"], out),
            "response.completed" | "response.incomplete" => end(&event["response"], out)?,
            "response.failed" => {
                let error = &event["response"]["error"];
                return Err(in_stream(status_of(text(error, "code")), text(error, "code"), text(error, "message")));
            }
            "error" => {
                // Some versions have the members in an object of their own.
                let error = event.get("error").filter(|error| error.is_object()).unwrap_or(&event);
                return Err(in_stream(status_of(text(error, "code")), text(error, "code"), text(error, "message")));
            }
            // Starts, ends and parts that the deltas have told already, and what later versions add.
            _ => {}
        }
        Ok(())
    }

    fn refusal(&self, head: &ResponseHead, body: &Value) -> DriverError {
        chat::refused(head, body)
    }
}

impl OpenAi {
    /// A blank line between the parts of a summary.
    fn begin_summary(&mut self, place: u64, out: &mut Output) {
        let parts = self.summaries.entry(place).or_default();
        if *parts > 0 {
            out.reasoning("\n\n");
        }
        *parts += 1;
    }
}

fn end_item(place: u64, item: &Value, out: &mut Output) {
    match text(item, "type") {
        "function_call" => out.end_call(place, None),
        "reasoning" if item["encrypted_content"].is_string() => {
            out.sign(json!({ "id": item["id"], "encrypted_content": item["encrypted_content"] }).to_string());
        }
        _ => {}
    }
}

fn end(response: &Value, out: &mut Output) -> Result<(), DriverError> {
    if let Some(usage) = response.get("usage").filter(|usage| usage.is_object()) {
        let (input, output) = (&usage["input_tokens_details"], &usage["output_tokens_details"]);
        let (read, written) = (count(input, "cached_tokens"), count(input, "cache_write_tokens"));
        let reasoning = count(output, "reasoning_tokens");
        out.usage(usage_of_totals(count(usage, "input_tokens"), read, written, count(usage, "output_tokens"), reasoning));
    }
    let reason = match (response["incomplete_details"]["reason"].as_str(), out.has_calls()) {
        (Some("max_output_tokens"), _) => "length",
        (Some("content_filter"), _) => "content-filter",
        (Some(other), _) => other,
        (None, true) => "tool-calls",
        (None, false) => "stop",
    };
    out.finish(reason, response["id"].as_str().map(str::to_owned))
}

/// The status with which the vendor answers such an error outside a stream.
fn status_of(code: &str) -> Option<u16> {
    match code {
        "rate_limit_exceeded" | "insufficient_quota" => Some(429),
        "invalid_api_key" => Some(401),
        "model_not_found" => Some(404),
        "" | "server_error" | "vector_store_timeout" => None,
        _ => Some(400),
    }
}

fn body(request: &ChatRequest) -> Result<Value, DriverError> {
    let mut input = Vec::new();
    for turn in turns(request)? {
        if turn.of_model { of_model(&turn, &mut input) } else { of_user(&turn, &mut input) }
    }
    let mut body = json!({ "model": request.model, "input": input, "stream": true, "store": false });
    if !request.system_prompt.trim().is_empty() {
        body["instructions"] = json!(request.system_prompt);
    }
    let tools = request.tools.iter().map(|tool| {
        json!({ "type": "function", "name": tool.name, "description": tool.description, "parameters": tool.input_schema, "strict": false })
    });
    if let Some(tools) = some_list(tools.collect()) {
        body["tools"] = tools;
        body["tool_choice"] = match &request.tool_choice {
            ToolChoice::Auto => json!("auto"),
            ToolChoice::None => json!("none"),
            ToolChoice::Required => json!("required"),
            ToolChoice::Tool(name) => json!({ "type": "function", "name": name }),
        };
    }
    if reasons(request) {
        body["include"] = json!(["reasoning.encrypted_content"]);
    }
    if let Some(effort) = &request.reasoning_effort {
        body["reasoning"]["effort"] = json!(effort);
    }
    if let Some(format) = &request.response_format {
        body["text"]["format"] = json!({ "type": "json_schema", "name": format.name, "schema": format.schema, "strict": format.strict });
    }
    set(&mut body, "temperature", temperature(request));
    set(&mut body, "max_output_tokens", request.max_output_tokens.map(|tokens| tokens.max(LEAST_OUTPUT_TOKENS)));
    set(&mut body, "prompt_cache_key", request.prompt_cache.as_ref().map(|cache| cache.key.as_str()));
    if !request.metadata.is_empty() {
        body["metadata"] = json!(request.metadata);
    }
    Ok(body)
}

/// Whether the model gives its reasoning back encrypted. One that does not reason refuses to be
/// asked for it.
fn reasons(request: &ChatRequest) -> bool {
    request.reasoning_effort.is_some() || !PLAIN_MODELS.iter().any(|beginning| request.model.starts_with(beginning))
}

fn of_user(turn: &Turn<'_>, input: &mut Vec<Value>) {
    let mut content = Vec::new();
    for piece in &turn.pieces {
        match piece {
            Piece::Result(result) => input.push(tool_result(result)),
            Piece::Note(text) => {
                if let Some(content) = some_list(std::mem::take(&mut content)) {
                    input.push(json!({ "role": "user", "content": content }));
                }
                input.push(json!({ "role": "developer", "content": text }));
            }
            Piece::Text(text) => content.push(json!({ "type": "input_text", "text": text })),
            Piece::Image(picture) => content.push(image(picture)),
            Piece::Call(_) | Piece::Reasoning { .. } => {}
        }
    }
    if let Some(content) = some_list(content) {
        input.push(json!({ "role": "user", "content": content }));
    }
}

fn of_model(turn: &Turn<'_>, input: &mut Vec<Value>) {
    for piece in &turn.pieces {
        match piece {
            Piece::Text(text) => input.push(json!({ "role": "assistant", "content": text })),
            Piece::Call(call) => input.push(json!({ "type": "function_call", "call_id": call_id(&call.id), "name": call.name,
                "arguments": Value::Object(call.arguments_object()).to_string() })),
            Piece::Reasoning { text, opaque } => {
                let Ok(item) = serde_json::from_str::<Value>(opaque) else { continue };
                let summary = if text.is_empty() { json!([]) } else { json!([{ "type": "summary_text", "text": text }]) };
                input.push(json!({ "type": "reasoning", "id": item["id"], "summary": summary,
                    "encrypted_content": item["encrypted_content"] }));
            }
            _ => {}
        }
    }
}

fn tool_result(result: &ToolResult<'_>) -> Value {
    let mut output = json!(result.told());
    if !result.images.is_empty() {
        let text = json!({ "type": "input_text", "text": output });
        output = std::iter::once(text).chain(result.images.iter().map(image)).collect();
    }
    json!({ "type": "function_call_output", "call_id": result.id, "output": output })
}

fn image(image: &Image<'_>) -> Value {
    json!({ "type": "input_image", "image_url": image.to_url(), "detail": "auto" })
}
