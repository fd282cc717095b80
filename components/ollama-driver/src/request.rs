//! The request of `/api/chat`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use everwit_guest::driver::{Block, Message, Part, Request, Tool};
use everwit_guest::{Failure, Result, serde_json};
use serde_json::{Map, Value, json};

/// The body.
///
/// # Errors
/// What Ollama cannot do: tools that must be called, images that it would have to fetch.
pub(crate) fn body(request: &Request) -> Result<Value> {
    let options: Map<String, Value> = serde_json::from_str(&request.options)?;
    let mut body = json!({ "model": request.model, "messages": messages(request)?, "stream": true });
    let tools = match request.tool_choice.as_str() {
        "auto" => tools(&request.tools)?,
        "none" => Vec::new(),
        _ => return Err(Failure::invalid("invalid_request", "Ollama cannot be told that a tool must be called")),
    };
    if !tools.is_empty() {
        body["tools"] = tools.into();
    }
    if let Some(effort) = &request.effort {
        body["think"] = think(&request.model, effort);
    }
    if let Some(format) = &request.response_format {
        body["format"] = serde_json::from_str(&format.schema)?;
    }
    if let Some(keep_alive) = options.get("keep_alive") {
        body["keep_alive"] = keep_alive.clone();
    }
    let parameters = parameters(request, options.get("options"));
    if !parameters.is_empty() {
        body["options"] = parameters.into();
    }
    Ok(body)
}

/// The request's own values win over those of the options.
fn parameters(request: &Request, given: Option<&Value>) -> Map<String, Value> {
    let mut parameters = given.and_then(Value::as_object).cloned().unwrap_or_default();
    if let Some(temperature) = request.temperature {
        parameters.insert("temperature".into(), shortest(temperature));
    }
    if let Some(most) = request.max_output_tokens {
        parameters.insert("num_predict".into(), most.into());
    }
    if !request.stop.is_empty() {
        parameters.insert("stop".into(), request.stop.clone().into());
    }
    parameters
}

/// 0.7 as 0.7, not as the double that is nearest to the single.
fn shortest(number: f32) -> Value {
    number.to_string().parse::<f64>().map_or(Value::Null, Value::from)
}

/// Only one family of models knows levels; the others think or do not.
fn think(model: &str, effort: &str) -> Value {
    match effort {
        "none" => false.into(),
        "minimal" if model.starts_with("gpt-oss") => "low".into(),
        level if model.starts_with("gpt-oss") => level.into(),
        _ => true.into(),
    }
}

fn tools(tools: &[Tool]) -> Result<Vec<Value>> {
    let tool = |tool: &Tool| {
        let parameters: Value = serde_json::from_str(&tool.input_schema)?;
        let function = json!({ "name": tool.name, "description": tool.description, "parameters": parameters });
        Ok(json!({ "type": "function", "function": function }))
    };
    tools.iter().map(tool).collect()
}

fn messages(request: &Request) -> Result<Vec<Value>> {
    let mut messages = Vec::new();
    if let Some(instructions) = &request.instructions {
        messages.push(json!({ "role": "system", "content": instructions }));
    }
    for message in &request.messages {
        match message.role.as_str() {
            "tool" => messages.extend(results(message, &request.messages)),
            _ => messages.push(spoken(message)?),
        }
    }
    Ok(messages)
}

fn spoken(message: &Message) -> Result<Value> {
    let (mut texts, mut thoughts, mut images, mut calls) = (Vec::new(), String::new(), Vec::new(), Vec::new());
    for block in &message.blocks {
        match block {
            Block::Part(Part::Blob(blob)) if blob.media_type.starts_with("image/") => images.push(STANDARD.encode(&blob.data)),
            Block::Part(Part::Link(_)) => {
                return Err(Failure::invalid("invalid_request", "Ollama takes images inline, not by their address"));
            }
            Block::Part(part) => texts.push(text(part)),
            Block::Reasoning(reasoning) => thoughts.push_str(&reasoning.text),
            Block::ToolCall(call) => {
                let arguments: Value = serde_json::from_str(&call.arguments)?;
                // The server takes objects only; a model may have written something else.
                let arguments = if arguments.is_object() { arguments } else { json!({ "malformed": arguments }) };
                calls.push(json!({ "function": { "name": call.name, "arguments": arguments } }));
            }
            Block::ToolResult(_) | Block::Other(_) => {}
        }
    }
    let mut spoken = json!({ "role": message.role, "content": texts.join("\n") });
    let members: [(&str, Value, bool); 3] = [
        ("thinking", thoughts.clone().into(), thoughts.is_empty()),
        ("images", images.clone().into(), images.is_empty()),
        ("tool_calls", calls.clone().into(), calls.is_empty()),
    ];
    for (name, value, empty) in members {
        if !empty {
            spoken[name] = value;
        }
    }
    Ok(spoken)
}

/// Results name the tool, because calls have no ids here.
fn results<'a>(message: &'a Message, all: &'a [Message]) -> impl Iterator<Item = Value> + 'a {
    let name_of = |id: &str| {
        let calls = all.iter().flat_map(|message| &message.blocks);
        calls.filter_map(|block| if let Block::ToolCall(call) = block { Some(call) } else { None }).find(|call| call.id == id)
    };
    message.blocks.iter().filter_map(move |block| {
        let Block::ToolResult(result) = block else { return None };
        let content = result.parts.iter().map(text).collect::<Vec<_>>().join("\n");
        let content = if result.failed { format!("error: {content}") } else { content };
        let name = name_of(&result.id).map_or("", |call| call.name.as_str());
        Some(json!({ "role": "tool", "tool_name": name, "content": content }))
    })
}

fn text(part: &Part) -> String {
    match part {
        Part::Text(text) | Part::Data(text) => text.clone(),
        Part::Blob(blob) => format!("[{} with {} bytes]", blob.media_type, blob.data.len()),
        Part::Link(link) => link.uri.clone(),
        Part::Other(other) => other.body.clone(),
    }
}
