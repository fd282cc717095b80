//! OpenAI's Chat Completions, which most vendors speak in some way: what the drivers for it share.
//!
//! The end of an answer is the line `[DONE]`; token counts come after the reason why it ended.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::failure::{code_of, in_stream, refusal};
use super::options::{set, some_list, temperature};
use super::output::{Output, count, invalid, parse, text, usage_of_totals};
use super::transcript::{Image, Piece, Turn, call_id, turns};
use crate::driver::{ChatRequest, DriverError, Frame, OfferedTool, ResponseFormat, ResponseHead, ToolChoice};

/// What stands in the place of the last event.
const DONE: &str = "[DONE]";

/// What the drivers do differently.
#[derive(Default)]
pub(super) struct Style {
    /// Member for the limit of tokens.
    pub(super) max_tokens: &'static str,
    /// Whether text that the vendor is to cache is marked.
    pub(super) marks_cache: bool,
    /// Whether reasoning comes and goes as `reasoning_details`.
    pub(super) details: bool,
}

/// The body of a request without what is a driver's own.
pub(super) fn body(request: &ChatRequest, style: &Style) -> Result<Value, DriverError> {
    let mut messages = Vec::new();
    if !request.system_prompt.trim().is_empty() {
        messages.push(json!({ "role": "system", "content": request.system_prompt }));
    }
    for turn in turns(request)? {
        if turn.of_model { messages.push(of_model(&turn, style)) } else { of_user(&turn, &mut messages) }
    }
    if style.marks_cache {
        mark_cache(&mut messages);
    }
    let mut body = json!({ "model": request.model, "messages": messages, "stream": true, "stream_options": { "include_usage": true } });
    if let Some(tools) = some_list(request.tools.iter().map(tool).collect()) {
        body["tools"] = tools;
        body["tool_choice"] = match &request.tool_choice {
            ToolChoice::Auto => json!("auto"),
            ToolChoice::None => json!("none"),
            ToolChoice::Required => json!("required"),
            ToolChoice::Tool(name) => json!({ "type": "function", "function": { "name": name } }),
        };
    }
    set(&mut body, "temperature", temperature(request));
    set(&mut body, style.max_tokens, request.max_output_tokens);
    set(&mut body, "stop", some_list(request.stop.iter().map(|stop| json!(stop)).collect()));
    set(&mut body, "response_format", request.response_format.as_ref().map(response_format));
    Ok(body)
}

fn tool(tool: &OfferedTool) -> Value {
    json!({ "type": "function", "function": { "name": tool.name, "description": tool.description, "parameters": tool.input_schema } })
}

fn response_format(format: &ResponseFormat) -> Value {
    let ResponseFormat { name, schema, strict } = format;
    json!({ "type": "json_schema", "json_schema": { "name": name, "schema": schema, "strict": strict } })
}

/// The results of tools are messages of their own, and have no place for pictures; those follow in
/// the user's message.
fn of_user(turn: &Turn<'_>, messages: &mut Vec<Value>) {
    let mut pictures = Vec::new();
    let mut parts = Vec::new();
    for piece in &turn.pieces {
        match piece {
            Piece::Result(result) => {
                messages.push(json!({ "role": "tool", "tool_call_id": result.id, "content": result.told() }));
                pictures.extend(result.images.iter().map(image));
            }
            Piece::Note(text) => {
                flush(&mut parts, messages);
                messages.push(json!({ "role": "system", "content": text }));
            }
            Piece::Text(text) => parts.push(json!({ "type": "text", "text": text })),
            Piece::Image(picture) => parts.push(image(picture)),
            Piece::Call(_) | Piece::Reasoning { .. } => {}
        }
    }
    pictures.append(&mut parts);
    flush(&mut pictures, messages);
}

/// A message of the user; one of a single text in the short form, which every vendor knows.
fn flush(parts: &mut Vec<Value>, messages: &mut Vec<Value>) {
    let parts = std::mem::take(parts);
    match parts.as_slice() {
        [] => {}
        [only] if only["type"] == "text" => messages.push(json!({ "role": "user", "content": only["text"] })),
        _ => messages.push(json!({ "role": "user", "content": parts })),
    }
}

fn image(image: &Image<'_>) -> Value {
    json!({ "type": "image_url", "image_url": { "url": image.to_url() } })
}

fn of_model(turn: &Turn<'_>, style: &Style) -> Value {
    let mut texts = String::new();
    let mut calls = Vec::new();
    let mut details = Vec::new();
    for piece in &turn.pieces {
        match piece {
            Piece::Text(text) => texts.push_str(text),
            Piece::Call(call) => calls.push(json!({ "id": call_id(&call.id), "type": "function",
                "function": { "name": call.name, "arguments": Value::Object(call.arguments_object()).to_string() } })),
            Piece::Reasoning { opaque, .. } if style.details => {
                let list: Vec<Value> = serde_json::from_str(opaque).unwrap_or_default();
                details.extend(list);
            }
            _ => {}
        }
    }
    let content = if texts.is_empty() && !calls.is_empty() { Value::Null } else { json!(texts) };
    let mut message = json!({ "role": "assistant", "content": content });
    set(&mut message, "tool_calls", some_list(calls));
    set(&mut message, "reasoning_details", some_list(details));
    message
}

/// Marks the system prompt and the last text, up to which the next request will be the same.
fn mark_cache(messages: &mut [Value]) {
    let marked = |text: &Value| json!([{ "type": "text", "text": text, "cache_control": { "type": "ephemeral" } }]);
    let last = messages.iter().rposition(|message| message["content"].is_string() && message["role"] != "assistant");
    for at in [Some(0), last].into_iter().flatten() {
        if messages[at]["content"].is_string() {
            messages[at]["content"] = marked(&messages[at]["content"]);
        }
    }
}

/// An answer that is being read.
#[derive(Default)]
pub(super) struct Answer {
    finish: Option<String>,
    id: Option<String>,
    /// Ids of the calls so far, by their index.
    calls: HashMap<u64, String>,
    /// What has to come back of the reasoning so far.
    details: Vec<Value>,
}

impl Answer {
    pub(super) fn frame(&mut self, frame: &Frame, out: &mut Output) -> Result<(), DriverError> {
        let Frame::Sse(event) = frame else { return Err(invalid("the answer is no stream of events")) };
        let data = event.data.trim();
        if data == DONE {
            return self.end(out);
        }
        let chunk = parse(data.as_bytes())?;
        if let Some(error) = chunk.get("error").filter(|error| !error.is_null()) {
            let code = code_of(error, "code");
            return Err(in_stream(status_in(error), &code, text(error, "message")));
        }
        if let Some(id) = chunk["id"].as_str().filter(|id| !id.is_empty()) {
            self.id = Some(id.to_owned());
        }
        if let Some(usage) = chunk.get("usage").filter(|usage| usage.is_object()) {
            let (input, output) = (&usage["prompt_tokens_details"], &usage["completion_tokens_details"]);
            let (read, written) = (count(input, "cached_tokens"), count(input, "cache_write_tokens"));
            let reasoning = count(output, "reasoning_tokens");
            out.usage(usage_of_totals(count(usage, "prompt_tokens"), read, written, count(usage, "completion_tokens"), reasoning));
        }
        // One answer is asked for.
        let choice = &chunk["choices"][0];
        self.delta(&choice["delta"], out)?;
        if let Some(reason) = choice["finish_reason"].as_str() {
            self.finish = Some(reason.to_owned());
        }
        Ok(())
    }

    fn delta(&mut self, delta: &Value, out: &mut Output) -> Result<(), DriverError> {
        for name in ["reasoning_content", "reasoning"] {
            out.reasoning(text(delta, name));
        }
        for detail in delta["reasoning_details"].as_array().into_iter().flatten() {
            self.keep(detail);
        }
        let calls = delta["tool_calls"].as_array().into_iter().flatten();
        if !text(delta, "content").is_empty() || calls.clone().next().is_some() {
            self.sign(out);
        }
        out.text(text(delta, "content"));
        out.text(text(delta, "refusal"));
        for call in calls {
            self.call(call, out)?;
        }
        Ok(())
    }

    /// A piece of a call. Some vendors send whole calls that all have the index 0.
    fn call(&mut self, call: &Value, out: &mut Output) -> Result<(), DriverError> {
        let (place, id, function) = (count(call, "index"), text(call, "id"), &call["function"]);
        let known = self.calls.get(&place);
        if known.is_none_or(|known| !id.is_empty() && known != id) {
            out.end_call(place, None);
            out.start_call(place, id, text(function, "name"));
            self.calls.insert(place, id.to_owned());
        }
        match &function["arguments"] {
            Value::Object(whole) => out.arguments(place, &Value::Object(whole.clone()).to_string()),
            arguments => out.arguments(place, arguments.as_str().unwrap_or_default()),
        }
    }

    /// Pieces of one detail have the same index and type; the texts of its pieces belong together.
    fn keep(&mut self, detail: &Value) {
        let same = |kept: &&mut Value| ["index", "type", "id"].iter().all(|name| kept[*name] == detail[*name]);
        let Some(kept) = self.details.last_mut().filter(same) else {
            self.details.push(detail.clone());
            return;
        };
        for (name, value) in detail.as_object().into_iter().flatten() {
            match (name.as_str(), kept[name].as_str(), value.as_str()) {
                ("text" | "summary" | "data", Some(so_far), Some(piece)) => kept[name] = json!(format!("{so_far}{piece}")),
                _ if !value.is_null() => kept[name] = value.clone(),
                _ => {}
            }
        }
    }

    /// What has to come back closes the reasoning before it.
    fn sign(&mut self, out: &mut Output) {
        if !self.details.is_empty() {
            out.sign(Value::Array(std::mem::take(&mut self.details)).to_string());
        }
    }

    fn end(&mut self, out: &mut Output) -> Result<(), DriverError> {
        self.sign(out);
        out.end_all_calls();
        let reason = match self.finish.as_deref() {
            Some("stop") if out.has_calls() => "tool-calls",
            Some("tool_calls" | "function_call") => "tool-calls",
            Some("content_filter") => "content-filter",
            Some(reason) => reason,
            None => return Err(invalid("the answer ends without a reason")),
        };
        out.finish(reason, self.id.take())
    }
}

/// A status in an error of the stream, where the vendor repeats it as the code.
fn status_in(error: &Value) -> Option<u16> {
    let code = error["code"].as_u64().and_then(|code| u16::try_from(code).ok()).filter(|code| (400..600).contains(code));
    code.or_else(|| match (text(error, "code"), text(error, "type")) {
        ("rate_limit_exceeded", _) | (_, "rate_limit_exceeded") => Some(429),
        ("invalid_api_key", _) => Some(401),
        ("model_not_found", _) => Some(404),
        (_, "invalid_request_error") => Some(400),
        _ => None,
    })
}

/// What a refusal means. The error is an object, a list with one, or a text.
pub(super) fn refused(head: &ResponseHead, body: &Value) -> DriverError {
    let body = body.get(0).unwrap_or(body);
    let error = &body["error"];
    if let Some(message) = error.as_str() {
        return refusal(head, "", message);
    }
    let message = [error, body].into_iter().map(|object| text(object, "message")).find(|message| !message.is_empty());
    refusal(head, &code_of(error, "code"), message.unwrap_or_default())
}

/// Members that a driver passes on as they are.
pub(super) fn own_options(known: &[(&str, Value)]) -> Value {
    let common = [
        ("top_p", json!({ "type": "number", "minimum": 0, "maximum": 1 })),
        ("seed", json!({ "type": "integer" })),
        ("frequency_penalty", json!({ "type": "number", "minimum": -2, "maximum": 2 })),
        ("presence_penalty", json!({ "type": "number", "minimum": -2, "maximum": 2 })),
        ("parallel_tool_calls", json!({ "type": "boolean" })),
        ("user", json!({ "type": "string", "maxLength": 256 })),
    ];
    let all = common.iter().chain(known).map(|(name, schema)| ((*name).to_owned(), schema.clone()));
    Value::Object(all.collect::<Map<_, _>>())
}
