//! OpenAI's Chat Completions, and what OpenRouter and Azure make of them.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{KEY, MODEL, Refusal, Wire, data};
use crate::vendor::check::{OpenCalls, Schema, ensure, items, text};
use crate::vendor::server::Received;
use crate::vendor::{Answer, Call, Failure, Part, Stop, signature};

static SCHEMA: Schema = Schema::new(|| Schema::compile(include_str!("../schema/chat.json")));

pub(super) fn judge(wire: Wire, request: &Received) -> Result<(), Failure> {
    let (path, key) = match wire {
        Wire::AzureOpenAi => ("/openai/deployments/stub-model/chat/completions", request.header("api-key")),
        Wire::OpenRouter => ("/api/v1/chat/completions", bearer(request)),
        _ => ("/v1/chat/completions", bearer(request)),
    };
    if key != KEY {
        return Err(Failure::Unauthorized);
    }
    if request.path != path && wire == Wire::AzureOpenAi && request.path.starts_with("/openai/deployments/") {
        return Err(Failure::UnknownModel);
    }
    ensure(request.method == "POST" && request.path == path, || format!("Invalid URL ({} {})", request.method, request.path))?;
    if wire == Wire::AzureOpenAi {
        let version = request.query.strip_prefix("api-version=").unwrap_or_default();
        ensure(version.len() >= 10, || "the query needs api-version=YYYY-MM-DD".to_owned())?;
    } else {
        ensure(request.query.is_empty(), || "no query is known".to_owned())?;
    }
    SCHEMA.check(&request.body)?;
    let own = wire == Wire::OpenRouter;
    for field in ["provider", "models", "reasoning", "transforms", "route", "usage"] {
        ensure(own || request.body.get(field).is_none(), || format!("Unrecognized request argument supplied: {field}"))?;
    }
    if wire != Wire::AzureOpenAi && request.body["model"] != MODEL {
        return Err(Failure::UnknownModel);
    }
    conversation(wire, &request.body)
}

/// Results follow their calls, and signed reasoning comes back as it was.
fn conversation(wire: Wire, body: &Value) -> Result<(), Failure> {
    let mut open = OpenCalls::default();
    for message in items(body, "messages") {
        if message["role"] == "tool" {
            open.settle(text(message, "tool_call_id"))?;
            continue;
        }
        open.all_settled()?;
        for call in items(message, "tool_calls") {
            open.open(text(call, "id"))?;
            let arguments = serde_json::from_str::<Value>(text(&call["function"], "arguments"));
            ensure(arguments.is_ok_and(|value| value.is_object()), || "arguments are no JSON object".to_owned())?;
        }
        for detail in items(message, "reasoning_details") {
            ensure(wire == Wire::OpenRouter, || "Unrecognized request argument supplied: reasoning_details".to_owned())?;
            ensure(text(detail, "signature") == signature(text(detail, "text")), || "invalid signature in reasoning_details".to_owned())?;
        }
    }
    open.all_settled()
}

fn bearer(request: &Received) -> &str {
    request.header("authorization").strip_prefix("Bearer ").unwrap_or_default()
}

pub(super) fn events(wire: Wire, answer: &Answer) -> Vec<Bytes> {
    let mut events = Vec::new();
    if wire == Wire::OpenRouter {
        events.push(Bytes::from_static(b": OPENROUTER PROCESSING\n\n"));
    }
    if wire == Wire::AzureOpenAi {
        // Azure's first event has the result of its filter for the prompt, and no choice.
        events.push(data(&json!({ "id": "", "object": "", "created": 0, "model": "", "choices": [],
            "prompt_filter_results": [{ "prompt_index": 0, "content_filter_results": {} }] })));
    }
    events.push(delta(&json!({ "role": "assistant", "content": "" })));
    for part in &answer.parts {
        match part {
            Part::Text(pieces) => events.extend(pieces.iter().map(|piece| delta(&json!({ "content": piece })))),
            Part::Thinking(pieces) => events.extend(thinking(wire, pieces)),
            Part::Calls(calls) => events.extend(tool_calls(calls)),
        }
    }
    let reason = match (answer.stop, answer.has_calls()) {
        (Stop::Done, true) => "tool_calls",
        (Stop::Done, false) => "stop",
        (Stop::Length, _) => "length",
        (Stop::Filter, _) => "content_filter",
    };
    events.push(data(&chunk(&json!([{ "index": 0, "delta": {}, "finish_reason": reason, "logprobs": null }]), &Value::Null)));
    events.push(data(&chunk(&json!([]), &usage(wire, answer))));
    events.push(Bytes::from_static(b"data: [DONE]\n\n"));
    events
}

fn thinking(wire: Wire, pieces: &[String]) -> Vec<Bytes> {
    match wire {
        Wire::OpenAiCompletions => pieces.iter().map(|piece| delta(&json!({ "reasoning_content": piece }))).collect(),
        Wire::OpenRouter => {
            let detail = |detail: Value| {
                json!({ "type": "reasoning.text", "format": "anthropic-claude-v1", "index": 0, "id": null,
                "text": detail["text"], "signature": detail["signature"] })
            };
            let mut events: Vec<Bytes> = pieces
                .iter()
                .map(|piece| delta(&json!({ "content": "", "reasoning": piece, "reasoning_details": [detail(json!({ "text": piece }))] })))
                .collect();
            let signed = detail(json!({ "signature": signature(&pieces.concat()) }));
            events.push(delta(&json!({ "content": "", "reasoning": null, "reasoning_details": [signed] })));
            events
        }
        _ => Vec::new(),
    }
}

/// The calls' arguments interleave.
fn tool_calls(calls: &[Call]) -> Vec<Bytes> {
    let mut events = Vec::new();
    for (index, call) in calls.iter().enumerate() {
        events.push(delta(&json!({ "tool_calls": [{ "index": index, "id": call.id, "type": "function",
            "function": { "name": call.name, "arguments": "" } }] })));
    }
    let longest = calls.iter().map(|call| call.arguments.len()).max().unwrap_or_default();
    for at in 0..longest {
        for (index, call) in calls.iter().enumerate() {
            if let Some(piece) = call.arguments.get(at) {
                events.push(delta(&json!({ "tool_calls": [{ "index": index, "function": { "arguments": piece } }] })));
            }
        }
    }
    events
}

fn delta(delta: &Value) -> Bytes {
    data(&chunk(&json!([{ "index": 0, "delta": delta, "finish_reason": null, "logprobs": null }]), &Value::Null))
}

fn chunk(choices: &Value, usage: &Value) -> Value {
    json!({ "id": "chatcmpl-stub", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": MODEL,
        "system_fingerprint": "fp_stub", "choices": choices, "usage": usage })
}

fn usage(wire: Wire, answer: &Answer) -> Value {
    let counts = answer.counts;
    let prompt = counts.input + counts.cache_read + counts.cache_write;
    let mut usage = json!({ "prompt_tokens": prompt, "completion_tokens": counts.output, "total_tokens": prompt + counts.output,
        "prompt_tokens_details": { "cached_tokens": counts.cache_read, "cache_write_tokens": counts.cache_write, "audio_tokens": 0 },
        "completion_tokens_details": { "reasoning_tokens": counts.reasoning, "audio_tokens": 0 } });
    if wire == Wire::OpenRouter {
        usage["cost"] = json!(0.0012);
    }
    usage
}

/// OpenAI's words: status, type, code and message.
fn words(failure: &Failure) -> (u16, &'static str, Option<&'static str>, String) {
    match failure {
        Failure::Unauthorized => {
            (401, "invalid_request_error", Some("invalid_api_key"), "Incorrect API key provided: stub-*****.".to_owned())
        }
        Failure::Forbidden => (
            403,
            "invalid_request_error",
            Some("unsupported_country_region_territory"),
            "Country, region, or territory not supported".to_owned(),
        ),
        Failure::UnknownModel => {
            let message = "The model `other` does not exist or you do not have access to it.".to_owned();
            (404, "invalid_request_error", Some("model_not_found"), message)
        }
        Failure::RateLimited(_) => {
            (429, "requests", Some("rate_limit_exceeded"), "Rate limit reached for stub-model in organization org-stub".to_owned())
        }
        Failure::QuotaExhausted => {
            let message = "You exceeded your current quota, please check your plan and billing details.".to_owned();
            (429, "insufficient_quota", Some("insufficient_quota"), message)
        }
        Failure::ContextTooLong => {
            let message = "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.".to_owned();
            (400, "invalid_request_error", Some("context_length_exceeded"), message)
        }
        Failure::Invalid(message) => (400, "invalid_request_error", None, message.clone()),
        Failure::ServerError => (500, "server_error", None, "The server had an error while processing your request.".to_owned()),
        Failure::Overloaded => (503, "server_error", None, "The engine is currently overloaded, please try again later.".to_owned()),
    }
}

pub(super) fn error(failure: &Failure) -> Value {
    let (_, kind, code, message) = words(failure);
    json!({ "message": message, "type": kind, "param": null, "code": code })
}

pub(super) fn refuse(failure: &Failure) -> Refusal {
    Refusal::new(words(failure).0, json!({ "error": error(failure) })).with_retry_after(failure)
}

/// OpenRouter repeats the status as the code, and has one of its own for spent credit.
pub(super) fn refuse_as_router(failure: &Failure) -> Refusal {
    let (status, .., message) = router_words(failure);
    Refusal::new(status, json!({ "error": { "code": status, "message": message, "metadata": {} }, "user_id": "user_stub" }))
        .with_retry_after(failure)
}

fn router_words(failure: &Failure) -> (u16, String) {
    match failure {
        Failure::QuotaExhausted => (402, "Insufficient credits. Add more using https://openrouter.ai/settings/credits".to_owned()),
        Failure::UnknownModel => (404, "No endpoints found for other.".to_owned()),
        Failure::ContextTooLong => (
            400,
            "This endpoint's maximum context length is 8192 tokens. However, you requested about 9000 tokens (9000 of text input). Please reduce \
             the length of either one."
                .to_owned(),
        ),
        Failure::Overloaded => (503, "There is no available model provider that meets your routing requirements".to_owned()),
        _ => {
            let (status, .., message) = words(failure);
            (status, message)
        }
    }
}

pub(super) fn refuse_as_azure(failure: &Failure) -> Refusal {
    let (status, _, code, message) = words(failure);
    let (code, message) = match failure {
        Failure::Unauthorized => {
            let message = "Access denied due to invalid subscription key or wrong API endpoint.".to_owned();
            ("401", message)
        }
        Failure::UnknownModel => ("DeploymentNotFound", "The API deployment for this resource does not exist.".to_owned()),
        Failure::RateLimited(_) => ("429", "Requests to the ChatCompletions_Create Operation have exceeded call rate limit.".to_owned()),
        _ => (code.unwrap_or("BadRequest"), message),
    };
    Refusal::new(status, json!({ "error": { "code": code, "message": message } })).with_retry_after(failure)
}

pub(super) fn failure_event(wire: Wire, failure: &Failure) -> Bytes {
    let error = match wire {
        Wire::OpenRouter => {
            let (status, message) = router_words(failure);
            json!({ "code": status, "message": message })
        }
        _ => error(failure),
    };
    let mut event = chunk(&json!([]), &Value::Null);
    event["error"] = error;
    data(&event)
}
