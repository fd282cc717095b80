//! Amazon Bedrock's `ConverseStream`.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{KEY, MODEL, Refusal};
use crate::vendor::check::{OpenCalls, Schema, ensure, invalid, items, text};
use crate::vendor::event_stream::message;
use crate::vendor::server::Received;
use crate::vendor::{Answer, Call, Failure, Part, Stop, signature};

static SCHEMA: Schema = Schema::new(|| Schema::compile(include_str!("../schema/bedrock.json")));

pub(super) fn judge(request: &Received) -> Result<(), Failure> {
    // The vendor's own client sends a key of Bedrock over TLS alone, and signs otherwise; the
    // signature itself is not checked here.
    let authorization = request.header("authorization");
    let signed = authorization.starts_with(&format!("AWS4-HMAC-SHA256 Credential={KEY}/"));
    if authorization.strip_prefix("Bearer ") != Some(KEY) && !signed {
        return Err(Failure::Unauthorized);
    }
    let model = request.path.strip_prefix("/model/").and_then(|rest| rest.strip_suffix("/converse-stream"));
    let model = model.ok_or_else(|| invalid(format!("UnknownOperationException: {}", request.path)))?;
    if model != MODEL {
        return Err(Failure::UnknownModel);
    }
    SCHEMA.check(&request.body)?;
    conversation(&request.body)
}

/// Roles alternate, results follow their calls, and signed reasoning comes back as it was.
fn conversation(body: &Value) -> Result<(), Failure> {
    let mut open = OpenCalls::default();
    let mut last = "assistant";
    for message in items(body, "messages") {
        let role = text(message, "role");
        ensure(role != last, || "A conversation must alternate between user and assistant roles.".to_owned())?;
        last = role;
        for block in items(message, "content") {
            if let Some(call) = block.get("toolUse") {
                open.open(text(call, "toolUseId"))?;
            } else if let Some(result) = block.get("toolResult") {
                open.settle(text(result, "toolUseId"))?;
            } else if let Some(reasoning) = block["reasoningContent"].get("reasoningText") {
                let known = text(reasoning, "signature") == signature(text(reasoning, "text"));
                ensure(known, || "The model returned the following errors: Invalid `signature` in `thinking` block".to_owned())?;
            }
        }
        if role == "user" {
            open.all_settled()?;
        }
    }
    open.all_settled()
}

fn event(kind: &str, payload: &Value) -> Bytes {
    let headers = [(":event-type", kind), (":content-type", "application/json"), (":message-type", "event")];
    message(&headers, payload.to_string().as_bytes())
}

pub(super) fn events(answer: &Answer) -> Vec<Bytes> {
    let mut events = vec![event("messageStart", &json!({ "role": "assistant", "p": "abcd" }))];
    let mut index = 0;
    for part in &answer.parts {
        let delta = |at: usize, delta: Value| event("contentBlockDelta", &json!({ "contentBlockIndex": at, "delta": delta, "p": "abc" }));
        let stop = |at: usize| event("contentBlockStop", &json!({ "contentBlockIndex": at, "p": "abcdef" }));
        match part {
            // Only tool calls have a start.
            Part::Text(pieces) => events.extend(pieces.iter().map(|piece| delta(index, json!({ "text": piece })))),
            Part::Thinking(pieces) => {
                events.extend(pieces.iter().map(|piece| delta(index, json!({ "reasoningContent": { "text": piece } }))));
                events.push(delta(index, json!({ "reasoningContent": { "signature": signature(&pieces.concat()) } })));
            }
            Part::Calls(calls) => {
                for Call { id, name, arguments } in calls {
                    let start = json!({ "contentBlockIndex": index, "start": { "toolUse": { "toolUseId": id, "name": name } } });
                    events.push(event("contentBlockStart", &start));
                    events.extend(arguments.iter().map(|piece| delta(index, json!({ "toolUse": { "input": piece } }))));
                    events.push(stop(index));
                    index += 1;
                }
                continue;
            }
        }
        events.push(stop(index));
        index += 1;
    }
    let reason = match (answer.stop, answer.has_calls()) {
        (Stop::Done, true) => "tool_use",
        (Stop::Done, false) => "end_turn",
        (Stop::Length, _) => "max_tokens",
        (Stop::Filter, _) => "content_filtered",
    };
    events.push(event("messageStop", &json!({ "stopReason": reason, "p": "a" })));
    let counts = answer.counts;
    let total = counts.input + counts.cache_read + counts.cache_write + counts.output;
    let usage = json!({ "inputTokens": counts.input, "outputTokens": counts.output, "totalTokens": total,
        "cacheReadInputTokens": counts.cache_read, "cacheWriteInputTokens": counts.cache_write });
    events.push(event("metadata", &json!({ "metrics": { "latencyMs": 12 }, "usage": usage, "p": "abcde" })));
    events
}

/// Status, exception and message.
fn words(failure: &Failure) -> (u16, &'static str, String) {
    let fixed = |status, kind, message: &str| (status, kind, message.to_owned());
    match failure {
        Failure::Unauthorized => fixed(403, "UnrecognizedClientException", "The security token included in the request is invalid."),
        Failure::Forbidden => fixed(403, "AccessDeniedException", "You don't have access to the model with the specified model ID."),
        Failure::UnknownModel => fixed(404, "ResourceNotFoundException", "The model other could not be found."),
        Failure::RateLimited(_) => fixed(429, "ThrottlingException", "Too many requests, please wait before trying again."),
        Failure::QuotaExhausted => fixed(400, "ServiceQuotaExceededException", "Your request exceeds the service quota for your account."),
        Failure::ContextTooLong => {
            fixed(400, "ValidationException", "The model returned the following errors: Input is too long for requested model.")
        }
        Failure::Invalid(message) => fixed(400, "ValidationException", message),
        Failure::ServerError => fixed(500, "InternalServerException", "The system encountered an unexpected error during processing."),
        Failure::Overloaded => fixed(503, "ServiceUnavailableException", "Bedrock is unable to process your request."),
    }
}

pub(super) fn refuse(failure: &Failure) -> Refusal {
    let (status, kind, message) = words(failure);
    let mut refusal = Refusal::new(status, json!({ "message": message })).with_retry_after(failure);
    refusal.headers.push(("x-amzn-errortype", format!("{kind}:http://internal.amazon.com/coral/com.amazon.bedrock/")));
    refusal
}

pub(super) fn failure_event(failure: &Failure) -> Bytes {
    let (_, kind, text) = words(failure);
    // In a stream the exceptions are members of the event union, which begin in lower case.
    let kind = format!("{}{}", kind[..1].to_lowercase(), &kind[1..]);
    let headers = [(":exception-type", kind.as_str()), (":content-type", "application/json"), (":message-type", "exception")];
    message(&headers, json!({ "message": text }).to_string().as_bytes())
}
