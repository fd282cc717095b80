//! Google's Gemini API.
//!
//! The key goes in a header and never in the URL. Signatures of thoughts come with the parts that
//! followed from them, calls above all, and go back with them. There is no mark for the end of an
//! answer but the reason why it ended, in the last event.

use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::{Map, Value, json};

use super::dialect::{self, Dialect};
use super::endpoint::{Endpoint, api_key};
use super::failure::{in_stream, refusal};
use super::options::{self, set, some_list, temperature};
use super::output::{Output, count, invalid, parse, text};
use super::transcript::{Image, Piece, ToolResult, Turn, call_id, note, turns};
use crate::driver::{
    ChatRequest, CodecRequest, DriverConfig, DriverError, DriverErrorKind, DriverId, DriverRegistry, Frame, ResponseHead, ToolChoice,
};
use crate::event::TokenUsage;

/// Base URL if the provider has none.
pub const DEFAULT_BASE_URL: &str = "https://generativelanguage.googleapis.com";

static OPTIONS: LazyLock<Validator> = LazyLock::new(|| {
    options::schema(&json!({
        "top_p": { "type": "number", "minimum": 0, "maximum": 1 },
        "top_k": { "type": "integer", "minimum": 1 },
        "seed": { "type": "integer" },
        "media_resolution": { "type": "string", "pattern": "^MEDIA_RESOLUTION_[A-Z_]+$" },
        "thinking": { "type": "object" },
        "safety_settings": { "type": "array", "maxItems": 16, "items": { "type": "object", "required": ["category", "threshold"] } },
        "cached_content": { "type": "string", "pattern": "^cachedContents/[A-Za-z0-9_-]+$" },
    }))
});

/// Registers the driver as [`DriverId::Gemini`].
///
/// # Panics
/// If it is registered already.
pub fn register_driver(registry: &mut DriverRegistry) {
    dialect::register::<Gemini>(registry, DriverId::Gemini, Some(DEFAULT_BASE_URL));
}

#[derive(Default)]
struct Gemini {
    /// Calls so far.
    calls: u64,
}

impl Dialect for Gemini {
    fn begin(&mut self, config: &DriverConfig, request: &ChatRequest) -> Result<CodecRequest, DriverError> {
        let options = options::of(request, &DriverId::Gemini, &OPTIONS)?;
        let key = api_key(config, &DriverId::Gemini)?;
        let body = body(request, options)?;
        let method = format!("{}:streamGenerateContent", request.model.strip_prefix("models/").unwrap_or(&request.model));
        let endpoint = Endpoint::new(config)?.version("v1beta").path(&["models", &method]).query("alt", "sse");
        Ok(endpoint.header("x-goog-api-key", key).post(&body))
    }

    fn frame(&mut self, frame: Frame, out: &mut Output) -> Result<(), DriverError> {
        let Frame::Sse(event) = frame else { return Err(invalid("the answer is no stream of events")) };
        let chunk = parse(event.data.as_bytes())?;
        if chunk.get("error").is_some() {
            return Err(failure(None, &chunk));
        }
        if let Some(usage) = chunk.get("usageMetadata") {
            out.usage(usage_of(usage));
        }
        // One candidate is asked for.
        let candidate = &chunk["candidates"][0];
        for part in candidate["content"]["parts"].as_array().into_iter().flatten() {
            self.part(part, out)?;
        }
        let id = || chunk["responseId"].as_str().map(str::to_owned);
        match (candidate["finishReason"].as_str(), chunk["promptFeedback"]["blockReason"].as_str()) {
            (Some("MALFORMED_FUNCTION_CALL" | "UNEXPECTED_TOOL_CALL" | "TOO_MANY_TOOL_CALLS"), _) => {
                let error = invalid("the model made a tool call that its vendor could not read");
                Err(error.with_vendor_message(text(candidate, "finishMessage")))
            }
            (Some(reason), _) => out.finish(reason_of(reason, out.has_calls()), id()),
            // The prompt was refused, so there is no candidate.
            (None, Some(_)) => out.finish("content-filter", id()),
            (None, None) => Ok(()),
        }
    }

    fn refusal(&self, head: &ResponseHead, body: &Value) -> DriverError {
        failure(Some(head), body.get(0).unwrap_or(body))
    }
}

impl Gemini {
    fn part(&mut self, part: &Value, out: &mut Output) -> Result<(), DriverError> {
        let signature = text(part, "thoughtSignature");
        if let Some(call) = part.get("functionCall") {
            let place = self.calls;
            self.calls += 1;
            out.start_call(place, text(call, "id"), text(call, "name"));
            let arguments = call.get("args").filter(|arguments| !arguments.is_null());
            out.arguments(place, &arguments.map_or_else(|| "{}".to_owned(), Value::to_string))?;
            out.end_call(place, (!signature.is_empty()).then(|| signature.to_owned()));
            return Ok(());
        }
        match part["thought"].as_bool() {
            Some(true) => out.reasoning(text(part, "text")),
            _ => out.text(text(part, "text")),
        }
        out.sign(signature.to_owned());
        Ok(())
    }
}

fn usage_of(usage: &Value) -> TokenUsage {
    let cached = count(usage, "cachedContentTokenCount");
    let input = count(usage, "promptTokenCount").saturating_add(count(usage, "toolUsePromptTokenCount"));
    let thoughts = count(usage, "thoughtsTokenCount");
    TokenUsage {
        input_tokens: input.saturating_sub(cached),
        output_tokens: count(usage, "candidatesTokenCount").saturating_add(thoughts),
        cache_read_tokens: cached,
        cache_creation_tokens: 0,
        reasoning_tokens: thoughts,
    }
}

fn reason_of(reason: &str, has_calls: bool) -> &str {
    match reason {
        "STOP" if has_calls => "tool-calls",
        "STOP" => "stop",
        "MAX_TOKENS" => "length",
        "SAFETY" | "RECITATION" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII" | "IMAGE_SAFETY" | "IMAGE_PROHIBITED_CONTENT" => {
            "content-filter"
        }
        other => other,
    }
}

/// A refusal, or an error inside a stream. This vendor answers a wrong key with status 400, and
/// says in the details when to try again.
fn failure(head: Option<&ResponseHead>, body: &Value) -> DriverError {
    let error = &body["error"];
    let details = || error["details"].as_array().into_iter().flatten();
    let of_type = |suffix: &'static str| details().find(move |detail| text(detail, "@type").ends_with(suffix));
    let mut failure = match head {
        Some(head) => refusal(head, text(error, "status"), text(error, "message")),
        None => in_stream(u16::try_from(count(error, "code")).ok(), text(error, "status"), text(error, "message")),
    };
    if of_type("ErrorInfo").is_some_and(|info| text(info, "reason") == "API_KEY_INVALID") {
        failure.kind = DriverErrorKind::Authentication;
    }
    let wait = of_type("RetryInfo").and_then(|info| text(info, "retryDelay").strip_suffix('s')?.parse::<f64>().ok());
    if let Some(seconds) = wait.filter(|seconds| (0.0..86_400.0).contains(seconds)) {
        failure.retry_after_ms = Some(std::time::Duration::from_secs_f64(seconds).as_millis().try_into().unwrap_or(u64::MAX));
        // The words for a minute's and for a month's quota are the same; the former passes.
        let of_day = of_type("QuotaFailure").is_some_and(|quota| quota.to_string().contains("PerDay"));
        if failure.kind == DriverErrorKind::QuotaExhausted && !of_day {
            failure.kind = DriverErrorKind::RateLimited;
        }
    }
    failure
}

fn body(request: &ChatRequest, mut options: Map<String, Value>) -> Result<Value, DriverError> {
    let contents: Vec<Value> = turns(request)?.iter().map(content).collect();
    let mut body = json!({ "contents": contents });
    if !request.system_prompt.trim().is_empty() {
        body["systemInstruction"] = json!({ "parts": [{ "text": request.system_prompt }] });
    }
    let tools = request.tools.iter();
    let tools = tools.map(|tool| json!({ "name": tool.name, "description": tool.description, "parametersJsonSchema": tool.input_schema }));
    if let Some(tools) = some_list(tools.collect()) {
        body["tools"] = json!([{ "functionDeclarations": tools }]);
        body["toolConfig"]["functionCallingConfig"] = match &request.tool_choice {
            ToolChoice::Auto => json!({ "mode": "AUTO" }),
            ToolChoice::None => json!({ "mode": "NONE" }),
            ToolChoice::Required => json!({ "mode": "ANY" }),
            ToolChoice::Tool(name) => json!({ "mode": "ANY", "allowedFunctionNames": [name] }),
        };
    }
    set(&mut body, "safetySettings", options.remove("safety_settings"));
    set(&mut body, "cachedContent", options.remove("cached_content"));
    let generation = generation_config(request, options);
    if !generation.as_object().is_none_or(Map::is_empty) {
        body["generationConfig"] = generation;
    }
    Ok(body)
}

fn generation_config(request: &ChatRequest, mut options: Map<String, Value>) -> Value {
    let mut config = json!({});
    set(&mut config, "temperature", temperature(request));
    set(&mut config, "maxOutputTokens", request.max_output_tokens);
    set(&mut config, "stopSequences", some_list(request.stop.iter().map(|stop| json!(stop)).collect()));
    if let Some(format) = &request.response_format {
        config["responseMimeType"] = json!("application/json");
        config["responseJsonSchema"] = format.schema.clone();
    }
    let thinking = request.reasoning_effort.as_deref().and_then(|effort| thinking_config(&request.model, effort));
    set(&mut config, "thinkingConfig", options.remove("thinking").or(thinking));
    for (option, member) in [("top_p", "topP"), ("top_k", "topK"), ("seed", "seed"), ("media_resolution", "mediaResolution")] {
        set(&mut config, member, options.remove(option));
    }
    config
}

/// The generation before 3 takes a budget of tokens, later ones a level.
fn thinking_config(model: &str, effort: &str) -> Option<Value> {
    let (budget, level) = match effort {
        "none" => (0, "MINIMAL"),
        "minimal" => (512, "MINIMAL"),
        "low" => (1_024, "LOW"),
        "medium" => (8_192, "MEDIUM"),
        "high" | "xhigh" | "max" => (24_576, "HIGH"),
        _ => return None,
    };
    let shows = effort != "none";
    let takes_budget = model.contains("gemini-2");
    Some(if takes_budget {
        json!({ "includeThoughts": shows, "thinkingBudget": budget })
    } else {
        json!({ "includeThoughts": shows, "thinkingLevel": level })
    })
}

fn content(turn: &Turn<'_>) -> Value {
    let parts: Vec<Value> = turn.pieces.iter().flat_map(parts).collect();
    json!({ "role": if turn.of_model { "model" } else { "user" }, "parts": parts })
}

fn parts(piece: &Piece<'_>) -> Vec<Value> {
    match piece {
        Piece::Text(text) => vec![json!({ "text": text })],
        Piece::Note(text) => vec![json!({ "text": note(text) })],
        Piece::Image(picture) => vec![image(picture)],
        Piece::Result(result) => tool_result(result),
        Piece::Call(call) => {
            let id = call_id(&call.id);
            let mut part = json!({ "functionCall": { "id": id, "name": call.name, "args": call.arguments_object() } });
            set(&mut part, "thoughtSignature", call.opaque.as_ref().map(|opaque| opaque.data.as_str()));
            vec![part]
        }
        // The thoughts themselves are for people; the signature stands for them.
        Piece::Reasoning { opaque, .. } => vec![json!({ "text": "", "thoughtSignature": opaque })],
    }
}

/// Pictures of a result stand behind it: only the newest models take them inside.
fn tool_result(result: &ToolResult<'_>) -> Vec<Value> {
    let outcome = if result.failed { "error" } else { "output" };
    let response = json!({ "id": result.id, "name": result.name, "response": { outcome: result.text } });
    let mut parts = vec![json!({ "functionResponse": response })];
    parts.extend(result.images.iter().map(image));
    parts
}

fn image(image: &Image<'_>) -> Value {
    match image {
        Image::Inline { media_type, base64 } => json!({ "inlineData": { "mimeType": media_type, "data": base64 } }),
        Image::Url(url) => json!({ "fileData": { "fileUri": url } }),
    }
}
