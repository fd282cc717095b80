//! The request of `/responses`. Nothing is stored at the gateway, so that each request carries the
//! conversation, and reasoning comes and goes in its encrypted form.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use everwit_guest::driver::{Block, Message, Part, Request, Tool};
use everwit_guest::{Result, serde_json};
use serde_json::{Map, Value, json};

/// The body.
///
/// # Errors
/// If JSON of the request cannot be read.
pub(crate) fn body(request: &Request) -> Result<Value> {
    let options: Map<String, Value> = serde_json::from_str(&request.options)?;
    let mut input = Vec::new();
    for message in &request.messages {
        input.extend(items(message));
    }
    let mut body = json!({
        "model": request.model,
        "instructions": request.instructions.as_deref().unwrap_or(""),
        "input": input,
        "stream": true,
        "store": false,
        "include": ["reasoning.encrypted_content"],
    });
    if !request.tools.is_empty() {
        body["tools"] = request.tools.iter().map(tool).collect::<Result<Vec<_>>>()?.into();
        body["tool_choice"] = match request.tool_choice.strip_prefix("tool:") {
            Some(name) => json!({ "type": "function", "name": name }),
            None => request.tool_choice.as_str().into(),
        };
        body["parallel_tool_calls"] = true.into();
    }
    if let Some(effort) = &request.effort {
        body["reasoning"] = json!({ "effort": effort, "summary": "auto" });
    }
    if let Some(most) = request.max_output_tokens {
        body["max_output_tokens"] = most.into();
    }
    if let Some(key) = &request.prompt_cache_key {
        body["prompt_cache_key"] = key.as_str().into();
    }
    if let Some(verbosity) = options.get("verbosity") {
        body["text"]["verbosity"] = verbosity.clone();
    }
    if let Some(format) = &request.response_format {
        let schema: Value = serde_json::from_str(&format.schema)?;
        body["text"]["format"] = json!({ "type": "json_schema", "name": format.name, "schema": schema, "strict": format.strict });
    }
    Ok(body)
}

fn tool(tool: &Tool) -> Result<Value> {
    let parameters: Value = serde_json::from_str(&tool.input_schema)?;
    Ok(json!({ "type": "function", "name": tool.name, "description": tool.description, "parameters": parameters, "strict": false }))
}

/// Texts and images of a message are one item; calls, results and reasoning are items of their own.
fn items(message: &Message) -> Vec<Value> {
    let (mut items, mut content) = (Vec::new(), Vec::new());
    let kind = if message.role == "assistant" { "output_text" } else { "input_text" };
    for block in &message.blocks {
        let item = match block {
            Block::Part(part) => {
                content.push(part_of(part, kind));
                continue;
            }
            Block::ToolCall(call) => {
                // A JSON string is what the model wrote in place of an object.
                let arguments = serde_json::from_str::<String>(&call.arguments).unwrap_or_else(|_| call.arguments.clone());
                json!({ "type": "function_call", "call_id": call.id, "name": call.name, "arguments": arguments })
            }
            Block::ToolResult(result) => {
                let output = result.parts.iter().map(text).collect::<Vec<_>>().join("\n");
                json!({ "type": "function_call_output", "call_id": result.id, "output": output })
            }
            Block::Reasoning(reasoning) => match reasoning.opaque.as_deref().and_then(|item| serde_json::from_str(item).ok()) {
                Some(item) => item,
                // A summary alone means nothing to the model.
                None => continue,
            },
            Block::Other(_) => continue,
        };
        flush(&mut items, &mut content, &message.role);
        items.push(item);
    }
    flush(&mut items, &mut content, &message.role);
    items
}

fn flush(items: &mut Vec<Value>, content: &mut Vec<Value>, role: &str) {
    if !content.is_empty() {
        items.push(json!({ "type": "message", "role": role, "content": std::mem::take(content) }));
    }
}

fn part_of(part: &Part, kind: &str) -> Value {
    match part {
        Part::Blob(blob) if blob.media_type.starts_with("image/") => {
            json!({ "type": "input_image", "image_url": format!("data:{};base64,{}", blob.media_type, STANDARD.encode(&blob.data)) })
        }
        Part::Link(link) if link.media_type.as_deref().is_some_and(|media_type| media_type.starts_with("image/")) => {
            json!({ "type": "input_image", "image_url": link.uri })
        }
        part => json!({ "type": kind, "text": text(part) }),
    }
}

fn text(part: &Part) -> String {
    match part {
        Part::Text(text) | Part::Data(text) => text.clone(),
        Part::Blob(blob) => format!("[{} with {} bytes]", blob.media_type, blob.data.len()),
        Part::Link(link) => link.uri.clone(),
        Part::Other(other) => other.body.clone(),
    }
}
