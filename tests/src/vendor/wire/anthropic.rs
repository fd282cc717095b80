//! Anthropic's Messages API.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{KEY, MODEL, Refusal, named};
use crate::vendor::check::{OpenCalls, Schema, ensure, invalid, items, text};
use crate::vendor::server::Received;
use crate::vendor::{Answer, Call, Failure, Part, Stop, signature};

static SCHEMA: Schema = Schema::new(|| Schema::compile(include_str!("../schema/anthropic.json")));

/// Places in a request that may be marked for the prompt cache.
const MAX_CACHE_MARKS: usize = 4;
/// Versions of the API: the one that is documented, and that of the vendor's newest clients.
const VERSIONS: [&str; 2] = ["2023-06-01", "2026-10-21"];
/// Smallest budget of tokens for thinking.
const MIN_THINKING_TOKENS: u64 = 1_024;

pub(super) fn judge(request: &Received) -> Result<(), Failure> {
    // The documentation has the one, the vendor's own clients the other.
    let bearer = request.header("authorization").strip_prefix("Bearer ");
    if request.header("x-api-key") != KEY && bearer != Some(KEY) {
        return Err(Failure::Unauthorized);
    }
    ensure(request.method == "POST" && request.path == "/v1/messages", || "Not Found".to_owned())?;
    let version = request.header("anthropic-version");
    ensure(VERSIONS.contains(&version), || "anthropic-version: header is required".to_owned())?;
    for sampling in ["temperature", "top_p", "top_k"] {
        let known = version == VERSIONS[0] || request.body.get(sampling).is_none();
        ensure(known, || format!("{sampling}: Extra inputs are not permitted"))?;
    }
    SCHEMA.check(&request.body)?;
    if request.body["model"] != MODEL {
        return Err(Failure::UnknownModel);
    }
    let marks = count_marks(&request.body);
    ensure(marks <= MAX_CACHE_MARKS, || format!("A maximum of 4 blocks with cache_control may be provided. Found {marks}."))?;
    if let Some(budget) = request.body["thinking"]["budget_tokens"].as_u64() {
        let within = budget >= MIN_THINKING_TOKENS && request.body["max_tokens"].as_u64() > Some(budget);
        ensure(within, || "`max_tokens` must be greater than `thinking.budget_tokens`".to_owned())?;
        ensure(request.body.get("temperature").is_none(), || "`temperature` may only be set to 1 when thinking is enabled".to_owned())?;
    }
    conversation(&request.body)
}

fn count_marks(value: &Value) -> usize {
    match value {
        Value::Object(members) => usize::from(members.contains_key("cache_control")) + members.values().map(count_marks).sum::<usize>(),
        Value::Array(values) => values.iter().map(count_marks).sum(),
        _ => 0,
    }
}

/// Users begin, results stand first in the very next message, and thinking comes back as it was.
fn conversation(body: &Value) -> Result<(), Failure> {
    let mut open = OpenCalls::default();
    for (at, message) in items(body, "messages").enumerate() {
        let of_user = message["role"] == "user";
        ensure(at > 0 || of_user, || "messages: first message must use the \"user\" role".to_owned())?;
        let mut results_end = false;
        for block in items(message, "content") {
            match (text(block, "type"), of_user) {
                ("tool_result", true) => {
                    ensure(!results_end, || "`tool_result` blocks must be first in the message".to_owned())?;
                    open.settle(text(block, "tool_use_id"))?;
                }
                ("tool_use", false) => open.open(text(block, "id"))?,
                ("thinking", false) => {
                    let known = text(block, "signature") == signature(text(block, "thinking"));
                    ensure(known, || format!("messages.{at}: Invalid `signature` in `thinking` block"))?;
                }
                ("text", _) => {
                    ensure(!text(block, "text").trim().is_empty(), || "messages: text content blocks must be non-empty".to_owned())?;
                    results_end = true;
                }
                ("image", true) => results_end = true,
                (kind, _) => return Err(invalid(format!("messages.{at}: {kind} blocks are not allowed in {}", message["role"]))),
            }
        }
        if of_user {
            open.all_settled()?;
        }
    }
    open.all_settled()
}

pub(super) fn events(answer: &Answer) -> Vec<Bytes> {
    let counts = answer.counts;
    let usage = json!({ "input_tokens": counts.input, "cache_creation_input_tokens": counts.cache_write,
        "cache_read_input_tokens": counts.cache_read, "output_tokens": 1, "service_tier": "standard" });
    let mut events = vec![named(&json!({ "type": "message_start", "message": { "id": "msg_stub", "type": "message", "role": "assistant",
        "model": MODEL, "content": [], "stop_reason": null, "stop_sequence": null, "usage": usage } }))];
    events.push(named(&json!({ "type": "ping" })));
    let mut index = 0;
    let mut block = |start: Value, deltas: Vec<Value>| {
        events.push(named(&json!({ "type": "content_block_start", "index": index, "content_block": start })));
        events.extend(deltas.iter().map(|delta| named(&json!({ "type": "content_block_delta", "index": index, "delta": delta }))));
        events.push(named(&json!({ "type": "content_block_stop", "index": index })));
        index += 1;
    };
    for part in &answer.parts {
        match part {
            Part::Text(pieces) => {
                let deltas = pieces.iter().map(|piece| json!({ "type": "text_delta", "text": piece })).collect();
                block(json!({ "type": "text", "text": "" }), deltas);
            }
            Part::Thinking(pieces) => {
                let mut deltas: Vec<Value> = pieces.iter().map(|piece| json!({ "type": "thinking_delta", "thinking": piece })).collect();
                deltas.push(json!({ "type": "signature_delta", "signature": signature(&pieces.concat()) }));
                block(json!({ "type": "thinking", "thinking": "", "signature": "" }), deltas);
            }
            Part::Calls(calls) => {
                for Call { id, name, arguments } in calls {
                    // The first delta is empty, as from the vendor.
                    let pieces = std::iter::once("").chain(arguments.iter().map(String::as_str));
                    let deltas = pieces.map(|piece| json!({ "type": "input_json_delta", "partial_json": piece })).collect();
                    block(json!({ "type": "tool_use", "id": id, "name": name, "input": {} }), deltas);
                }
            }
        }
    }
    let reason = match (answer.stop, answer.has_calls()) {
        (Stop::Done, true) => "tool_use",
        (Stop::Done, false) => "end_turn",
        (Stop::Length, _) => "max_tokens",
        (Stop::Filter, _) => "refusal",
    };
    let mut usage = json!({ "output_tokens": counts.output });
    if counts.reasoning > 0 {
        usage["output_tokens_details"] = json!({ "thinking_tokens": counts.reasoning });
    }
    events.push(named(&json!({ "type": "message_delta", "delta": { "stop_reason": reason, "stop_sequence": null }, "usage": usage })));
    events.push(named(&json!({ "type": "message_stop" })));
    events
}

/// Status, type and message.
fn words(failure: &Failure) -> (u16, &'static str, String) {
    let fixed = |status, kind, message: &str| (status, kind, message.to_owned());
    match failure {
        Failure::Unauthorized => fixed(401, "authentication_error", "invalid x-api-key"),
        Failure::Forbidden => fixed(403, "permission_error", "Your API key does not have permission to use the specified resource."),
        Failure::UnknownModel => fixed(404, "not_found_error", "model: other"),
        Failure::RateLimited(_) => fixed(429, "rate_limit_error", "This request would exceed your organization's rate limit."),
        Failure::QuotaExhausted => {
            let message =
                "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits.";
            fixed(400, "invalid_request_error", message)
        }
        Failure::ContextTooLong => fixed(400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"),
        Failure::Invalid(message) => fixed(400, "invalid_request_error", message),
        Failure::ServerError => fixed(500, "api_error", "Internal server error"),
        Failure::Overloaded => fixed(529, "overloaded_error", "Overloaded"),
    }
}

fn error(failure: &Failure) -> Value {
    let (_, kind, message) = words(failure);
    json!({ "type": "error", "error": { "type": kind, "message": message }, "request_id": "req_stub" })
}

pub(super) fn refuse(failure: &Failure) -> Refusal {
    Refusal::new(words(failure).0, error(failure)).with_retry_after(failure)
}

pub(super) fn failure_event(failure: &Failure) -> Bytes {
    named(&error(failure))
}
