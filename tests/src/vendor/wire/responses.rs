//! OpenAI's Responses API.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{KEY, MODEL, chat, named};
use crate::vendor::check::{OpenCalls, Schema, ensure, items, text};
use crate::vendor::server::Received;
use crate::vendor::{Answer, Call, Failure, Part, Stop, signature};

static SCHEMA: Schema = Schema::new(|| Schema::compile(include_str!("../schema/responses.json")));

pub(super) fn judge(request: &Received) -> Result<(), Failure> {
    if request.header("authorization").strip_prefix("Bearer ") != Some(KEY) {
        return Err(Failure::Unauthorized);
    }
    let right = request.method == "POST" && request.path == "/v1/responses" && request.query.is_empty();
    ensure(right, || format!("Invalid URL ({} {})", request.method, request.path))?;
    SCHEMA.check(&request.body)?;
    if request.body["model"] != MODEL {
        return Err(Failure::UnknownModel);
    }
    conversation(&request.body)
}

/// Results come after their calls; reasoning comes back as it was, followed by what it led to.
fn conversation(body: &Value) -> Result<(), Failure> {
    let mut open = OpenCalls::default();
    let mut reasoning = None;
    for item in items(body, "input") {
        match text(item, "type") {
            "function_call" => {
                open.open(text(item, "call_id"))?;
                let arguments = serde_json::from_str::<Value>(text(item, "arguments"));
                ensure(arguments.is_ok_and(|value| value.is_object()), || "arguments are no JSON object".to_owned())?;
                reasoning = None;
            }
            "function_call_output" => open.settle(text(item, "call_id"))?,
            "reasoning" => {
                let summary: String = items(item, "summary").map(|part| text(part, "text")).collect();
                let id = text(item, "id").to_owned();
                let known = text(item, "encrypted_content") == signature(&summary) && id == reasoning_id(&summary);
                ensure(known, || format!("The encrypted content for item {id} could not be verified."))?;
                reasoning = Some(id);
            }
            _ => {
                open.all_settled()?;
                let follows = reasoning.take().filter(|_| item["role"] == "user");
                ensure(follows.is_none(), || {
                    format!("Item '{}' of type 'reasoning' was provided without its required following item.", follows.unwrap_or_default())
                })?;
            }
        }
    }
    open.all_settled()
}

fn reasoning_id(summary: &str) -> String {
    format!("rs_{}", signature(summary))
}

pub(super) fn events(answer: &Answer) -> Vec<Bytes> {
    let mut stream = Stream::default();
    stream.push(json!({ "type": "response.created", "response": response("in_progress", &[], &Value::Null) }));
    stream.push(json!({ "type": "response.in_progress", "response": response("in_progress", &[], &Value::Null) }));
    for part in &answer.parts {
        match part {
            Part::Text(pieces) => stream.message(pieces),
            Part::Thinking(pieces) => stream.reasoning(pieces),
            Part::Calls(calls) => stream.calls(calls),
        }
    }
    let counts = answer.counts;
    let input = counts.input + counts.cache_read + counts.cache_write;
    let usage = json!({ "input_tokens": input, "output_tokens": counts.output, "total_tokens": input + counts.output,
        "input_tokens_details": { "cached_tokens": counts.cache_read, "cache_write_tokens": counts.cache_write },
        "output_tokens_details": { "reasoning_tokens": counts.reasoning } });
    let (kind, status, reason) = match answer.stop {
        Stop::Done => ("response.completed", "completed", None),
        Stop::Length => ("response.incomplete", "incomplete", Some("max_output_tokens")),
        Stop::Filter => ("response.incomplete", "incomplete", Some("content_filter")),
    };
    let mut last = response(status, &stream.items, &usage);
    last["incomplete_details"] = reason.map_or(Value::Null, |reason| json!({ "reason": reason }));
    stream.push(json!({ "type": kind, "response": last }));
    stream.events
}

fn response(status: &str, output: &[Value], usage: &Value) -> Value {
    json!({ "id": "resp_stub", "object": "response", "created_at": 1_700_000_000, "status": status, "error": null,
        "incomplete_details": null, "instructions": null, "max_output_tokens": null, "model": MODEL, "output": output,
        "parallel_tool_calls": true, "previous_response_id": null, "reasoning": { "effort": null, "summary": null }, "store": false,
        "temperature": 1.0, "text": { "format": { "type": "text" } }, "tool_choice": "auto", "tools": [], "top_p": 1.0,
        "truncation": "disabled", "usage": usage, "user": null, "metadata": {} })
}

/// The events so far, numbered, and the items that they completed.
#[derive(Default)]
struct Stream {
    events: Vec<Bytes>,
    items: Vec<Value>,
}

impl Stream {
    fn push(&mut self, mut event: Value) {
        event["sequence_number"] = json!(self.events.len());
        self.events.push(named(&event));
    }

    fn added(&mut self, at: usize, item: &Value) {
        self.push(json!({ "type": "response.output_item.added", "output_index": at, "item": item }));
    }

    fn done(&mut self, at: usize, item: Value) {
        self.push(json!({ "type": "response.output_item.done", "output_index": at, "item": item }));
        self.items.push(item);
    }

    fn message(&mut self, pieces: &[String]) {
        let at = self.items.len();
        let id = format!("msg_{at}");
        let item = |status: &str, content: Value| json!({ "type": "message", "id": id, "status": status, "role": "assistant", "content": content });
        let part = |text: &str| json!({ "type": "output_text", "text": text, "annotations": [], "logprobs": [] });
        let whole = pieces.concat();
        self.added(at, &item("in_progress", json!([])));
        let place = |mut event: Value| {
            for (name, value) in [("item_id", json!(id)), ("output_index", json!(at)), ("content_index", json!(0))] {
                event[name] = value;
            }
            event
        };
        self.push(place(json!({ "type": "response.content_part.added", "part": part("") })));
        for piece in pieces {
            self.push(place(json!({ "type": "response.output_text.delta", "delta": piece, "logprobs": [], "obfuscation": "x" })));
        }
        self.push(place(json!({ "type": "response.output_text.done", "text": whole, "logprobs": [] })));
        self.push(place(json!({ "type": "response.content_part.done", "part": part(&whole) })));
        self.done(at, item("completed", json!([part(&whole)])));
    }

    fn reasoning(&mut self, pieces: &[String]) {
        let at = self.items.len();
        let whole = pieces.concat();
        let id = reasoning_id(&whole);
        let part = |text: &str| json!({ "type": "summary_text", "text": text });
        let place = |mut event: Value| {
            for (name, value) in [("item_id", json!(id)), ("output_index", json!(at)), ("summary_index", json!(0))] {
                event[name] = value;
            }
            event
        };
        self.added(at, &json!({ "type": "reasoning", "id": id, "summary": [], "encrypted_content": "unfinished" }));
        self.push(place(json!({ "type": "response.reasoning_summary_part.added", "part": part("") })));
        for piece in pieces {
            self.push(place(json!({ "type": "response.reasoning_summary_text.delta", "delta": piece })));
        }
        self.push(place(json!({ "type": "response.reasoning_summary_text.done", "text": whole })));
        self.push(place(json!({ "type": "response.reasoning_summary_part.done", "part": part(&whole) })));
        self.done(at, json!({ "type": "reasoning", "id": id, "summary": [part(&whole)], "encrypted_content": signature(&whole) }));
    }

    /// The calls' arguments interleave.
    fn calls(&mut self, calls: &[Call]) {
        let first = self.items.len();
        let item = |call: &Call, status: &str, arguments: &str| {
            json!({ "type": "function_call", "id": format!("fc_{}", call.id), "call_id": call.id, "name": call.name,
                "arguments": arguments, "status": status })
        };
        for (at, call) in calls.iter().enumerate() {
            self.added(first + at, &item(call, "in_progress", ""));
        }
        let longest = calls.iter().map(|call| call.arguments.len()).max().unwrap_or_default();
        for piece in 0..longest {
            for (at, call) in calls.iter().enumerate() {
                if let Some(delta) = call.arguments.get(piece) {
                    self.push(json!({ "type": "response.function_call_arguments.delta", "item_id": format!("fc_{}", call.id),
                        "output_index": first + at, "delta": delta }));
                }
            }
        }
        for (at, call) in calls.iter().enumerate() {
            let arguments = call.arguments.concat();
            self.push(json!({ "type": "response.function_call_arguments.done", "item_id": format!("fc_{}", call.id),
                "output_index": first + at, "name": call.name, "arguments": arguments }));
            self.done(first + at, item(call, "completed", &arguments));
        }
    }
}

/// What fails once the model runs is `response.failed`; the rest is an `error` of the stream.
pub(super) fn failure_event(failure: &Failure) -> Bytes {
    let error = chat::error(failure);
    let code = match failure {
        Failure::ServerError | Failure::Overloaded => {
            let mut response = response("failed", &[], &Value::Null);
            response["error"] = json!({ "code": "server_error", "message": error["message"] });
            return named(&json!({ "type": "response.failed", "response": response, "sequence_number": 99 }));
        }
        _ => &error["code"],
    };
    named(&json!({ "type": "error", "code": code, "message": error["message"], "param": null, "sequence_number": 99 }))
}
