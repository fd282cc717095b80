//! Google's Gemini API.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{KEY, MODEL, Refusal, data};
use crate::vendor::check::{OpenCalls, Schema, ensure, invalid, items, text};
use crate::vendor::server::Received;
use crate::vendor::{Answer, Failure, Part, Stop, signature};

static SCHEMA: Schema = Schema::new(|| Schema::compile(include_str!("../schema/gemini.json")));

pub(super) fn judge(request: &Received) -> Result<(), Failure> {
    if request.query.contains("key=") {
        return Err(invalid("this stub takes no key in a URL"));
    }
    if request.header("x-goog-api-key") != KEY {
        return Err(Failure::Unauthorized);
    }
    let models = ["/v1/models/", "/v1beta/models/"].into_iter().find_map(|version| request.path.strip_prefix(version));
    let model = models.and_then(|rest| rest.strip_suffix(":streamGenerateContent"));
    let model = model.ok_or_else(|| invalid(format!("no method {} {}", request.method, request.path)))?;
    ensure(request.method == "POST" && request.query == "alt=sse", || "the stub streams events only: alt=sse".to_owned())?;
    if model != MODEL {
        return Err(Failure::UnknownModel);
    }
    let body = in_camel_case(&request.body);
    SCHEMA.check(&body)?;
    conversation(&body)
}

/// The vendor takes each name in two spellings, and its own client uses both. What users name, such
/// as arguments and the properties of schemas, stays.
fn in_camel_case(value: &Value) -> Value {
    match value {
        Value::Array(values) => values.iter().map(in_camel_case).collect(),
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| {
                let mut words = name.split('_').filter(|word| !word.is_empty());
                let first = words.next().unwrap_or_default().to_owned();
                let camel = words.fold(first, |name, word| name + &capitalised(word));
                let is_free = matches!(camel.as_str(), "args" | "response" | "parametersJsonSchema" | "responseJsonSchema");
                (camel, if is_free { value.clone() } else { in_camel_case(value) })
            };
            members.iter().map(member).collect()
        }
        other => other.clone(),
    }
}

fn capitalised(word: &str) -> String {
    let mut characters = word.chars();
    let first = characters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    first + characters.as_str()
}

/// Results follow the calls, and the first call of a step comes back with its signature.
fn conversation(body: &Value) -> Result<(), Failure> {
    let mut open = OpenCalls::default();
    for (at, content) in items(body, "contents").enumerate() {
        let of_model = content["role"] == "model";
        let mut first_call = true;
        for part in items(content, "parts") {
            let signed = part.get("thoughtSignature").map(|value| value.as_str().unwrap_or_default());
            if let Some(call) = part.get("functionCall") {
                ensure(of_model, || "functionCall in a turn of the user".to_owned())?;
                open.open(text(call, "id"))?;
                let expect = signature(text(call, "name"));
                ensure(!first_call || signed == Some(expect.as_str()), || {
                    format!("Function call `{}` in the {at}. content block is missing a thought_signature.", text(call, "name"))
                })?;
                first_call = false;
            } else if let Some(result) = part.get("functionResponse") {
                ensure(!of_model, || "functionResponse in a turn of the model".to_owned())?;
                open.settle(text(result, "id"))?;
            } else if let Some(signed) = signed {
                ensure(of_model && signed == signature(""), || "Thought signature is not valid.".to_owned())?;
            }
        }
        if !of_model {
            open.all_settled()?;
        }
    }
    open.all_settled()
}

pub(super) fn events(answer: &Answer) -> Vec<Bytes> {
    let counts = answer.counts;
    let prompt = counts.input + counts.cache_read;
    let mut usage = json!({ "promptTokenCount": prompt, "candidatesTokenCount": counts.output - counts.reasoning,
        "totalTokenCount": prompt + counts.output, "promptTokensDetails": [{ "modality": "TEXT", "tokenCount": prompt }] });
    if counts.cache_read > 0 {
        usage["cachedContentTokenCount"] = json!(counts.cache_read);
    }
    if counts.reasoning > 0 {
        usage["thoughtsTokenCount"] = json!(counts.reasoning);
    }
    let mut events = Vec::new();
    let mut push = |part: Value, reason: Option<&str>| {
        let mut candidate = json!({ "content": { "parts": [part], "role": "model" }, "index": 0 });
        let mut usage = usage.clone();
        match reason {
            Some(reason) => candidate["finishReason"] = json!(reason),
            // Until the end only the prompt is counted.
            None => drop(usage.as_object_mut().and_then(|usage| usage.remove("candidatesTokenCount"))),
        }
        events
            .push(data(&json!({ "candidates": [candidate], "usageMetadata": usage, "modelVersion": MODEL, "responseId": "gemini-stub" })));
    };
    for part in &answer.parts {
        match part {
            Part::Text(pieces) => pieces.iter().for_each(|piece| push(json!({ "text": piece }), None)),
            Part::Thinking(pieces) => pieces.iter().for_each(|piece| push(json!({ "text": piece, "thought": true }), None)),
            Part::Calls(calls) => {
                for (at, call) in calls.iter().enumerate() {
                    let arguments: Value = serde_json::from_str(&call.arguments.concat()).expect("the script's arguments are JSON");
                    let mut part = json!({ "functionCall": { "name": call.name, "args": arguments, "id": call.id } });
                    if at == 0 {
                        part["thoughtSignature"] = json!(signature(&call.name));
                    }
                    push(part, None);
                }
            }
        }
    }
    let reason = match answer.stop {
        Stop::Done => "STOP",
        Stop::Length => "MAX_TOKENS",
        Stop::Filter => "SAFETY",
    };
    let thought = answer.parts.iter().any(|part| matches!(part, Part::Thinking(_)));
    let last =
        if thought && !answer.has_calls() { json!({ "text": "", "thoughtSignature": signature("") }) } else { json!({ "text": "" }) };
    push(last, Some(reason));
    events
}

/// Code, status, reason of the details, and message.
fn words(failure: &Failure) -> (u16, &'static str, Option<&'static str>, String) {
    let fixed = |code, status, reason, message: &str| (code, status, reason, message.to_owned());
    match failure {
        Failure::Unauthorized => fixed(400, "INVALID_ARGUMENT", Some("API_KEY_INVALID"), "API key not valid. Please pass a valid API key."),
        Failure::Forbidden => fixed(403, "PERMISSION_DENIED", None, "Your API key doesn't have the required permissions."),
        Failure::UnknownModel => {
            fixed(404, "NOT_FOUND", None, "models/other is not found for API version v1beta, or is not supported for generateContent.")
        }
        Failure::RateLimited(_) => fixed(429, "RESOURCE_EXHAUSTED", None, "Resource has been exhausted (e.g. check quota)."),
        Failure::QuotaExhausted => {
            let message = "You exceeded your current quota, please check your plan and billing details. Quota exceeded for metric: \
                           generate_content_free_tier_requests, limit: 0";
            fixed(429, "RESOURCE_EXHAUSTED", None, message)
        }
        Failure::ContextTooLong => {
            fixed(400, "INVALID_ARGUMENT", None, "The input token count (1100000) exceeds the maximum number of tokens allowed (1048576).")
        }
        Failure::Invalid(message) => fixed(400, "INVALID_ARGUMENT", None, message),
        Failure::ServerError => fixed(500, "INTERNAL", None, "An internal error has occurred. Please retry."),
        Failure::Overloaded => fixed(503, "UNAVAILABLE", None, "The model is overloaded. Please try again later."),
    }
}

fn error(failure: &Failure) -> Value {
    let (code, status, reason, message) = words(failure);
    let mut details = Vec::new();
    if let Some(reason) = reason {
        details.push(json!({ "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com" }));
    }
    if let Failure::RateLimited(Some(seconds)) = failure {
        // This vendor says in the body when to try again.
        details.push(json!({ "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": format!("{seconds}s") }));
    }
    json!({ "error": { "code": code, "message": message, "status": status, "details": details } })
}

pub(super) fn refuse(failure: &Failure) -> Refusal {
    Refusal::new(words(failure).0, error(failure))
}

pub(super) fn failure_event(failure: &Failure) -> Bytes {
    data(&error(failure))
}
