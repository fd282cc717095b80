//! Between the contract's types and the runtime's.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::bindings::everwit::types::common::Failure as WitFailure;
use super::bindings::everwit::types::content::{Blob, Link, Part};
use super::bindings::everwit::types::tools::{CallOutput, Effects as WitEffects, Tool};
use super::bindings::exports::everwit::capability::describe::{Description, Permissions as WitPermissions};
use super::trap::Stop;
use crate::capability::{Failure, StopKind, ToolOutput};
use crate::component::{ComponentDescription, Effects, FileAccess, HttpPermission, Permissions, SecretPermission, ToolDescription};
use crate::limits::{MAX_JSON_BYTES, MAX_JSON_DEPTH};
use crate::message::ContentPart;
use crate::mutation::off;

/// Bytes of a failure's code and kind that are kept.
const MAX_CODE_BYTES: usize = 64;
/// Bytes of a failure's message that are kept.
const MAX_FAILURE_BYTES: usize = 4 << 10;

/// Reads JSON text from a guest.
///
/// # Errors
/// One sentence that says what is wrong with `what`.
pub(super) fn json(what: &str, text: &str) -> Result<Value, String> {
    if text.len() > MAX_JSON_BYTES && !off("guest.json_bytes") {
        return Err(format!("{what} has {} bytes; {MAX_JSON_BYTES} are the most", text.len()));
    }
    let value: Value = serde_json::from_str(text).map_err(|error| format!("{what} is not JSON: {error}"))?;
    check_depth(what, &value)?;
    Ok(value)
}

/// Refuses values nested deeper than [`MAX_JSON_DEPTH`].
///
/// # Errors
/// One sentence.
pub(super) fn check_depth(what: &str, value: &Value) -> Result<(), String> {
    let mut open = vec![(value, 1)];
    while let Some((value, depth)) = open.pop() {
        if depth > MAX_JSON_DEPTH && !off("guest.json_depth") {
            return Err(format!("{what} is nested more than {MAX_JSON_DEPTH} levels deep"));
        }
        match value {
            Value::Array(items) => open.extend(items.iter().map(|item| (item, depth + 1))),
            Value::Object(members) => open.extend(members.values().map(|member| (member, depth + 1))),
            _ => {}
        }
    }
    Ok(())
}

fn protocol(message: String) -> Stop {
    Stop::new(StopKind::Protocol, message)
}

/// Bytes of one part.
pub(super) fn part_bytes(part: &Part) -> usize {
    match part {
        Part::Text(text) | Part::Data(text) => text.len(),
        Part::Blob(blob) => blob.media_type.len() + blob.data.len(),
        Part::Link(link) => link.uri.len() + link.name.len(),
        Part::Other(other) => other.kind.len() + other.body.len(),
    }
}

/// Content from a guest.
pub(super) fn parts(parts: Vec<Part>) -> Result<Vec<ContentPart>, Stop> {
    parts.into_iter().map(part).collect()
}

fn part(part: Part) -> Result<ContentPart, Stop> {
    Ok(match part {
        Part::Text(text) => ContentPart::Text { text },
        Part::Data(text) => ContentPart::Text { text: json("a data part", &text).map_err(protocol)?.to_string() },
        Part::Blob(blob) if blob.media_type.starts_with("image/") => {
            ContentPart::Image { url: None, base64: Some(STANDARD.encode(&blob.data)), media_type: Some(blob.media_type) }
        }
        Part::Blob(blob) => ContentPart::text(format!("[{} with {} bytes]", blob.media_type, blob.data.len())),
        Part::Link(link) => ContentPart::text(format!("[{}]({})", link.name, link.uri)),
        Part::Other(other) => {
            let body = json("an extension part", &other.body).map_err(protocol)?;
            ContentPart::text(format!("[{}] {body}", other.kind))
        }
    })
}

/// Bytes of a result.
pub(super) fn output_bytes(output: &CallOutput) -> usize {
    output.parts.iter().map(part_bytes).sum::<usize>() + output.structured.as_ref().map_or(0, String::len)
}

/// A result from a guest.
pub(super) fn output(output: CallOutput) -> Result<ToolOutput, Stop> {
    let structured = output.structured.map(|text| json("the structured result", &text)).transpose().map_err(protocol)?;
    Ok(ToolOutput { parts: parts(output.parts)?, structured })
}

/// A tool's own failure.
pub(super) fn failure(failure: WitFailure) -> Failure {
    let cut = |mut text: String, most: usize| {
        if off("guest.failure_bytes") {
            return text;
        }
        text.truncate(text.floor_char_boundary(most));
        text
    };
    Failure {
        kind: cut(failure.kind, MAX_CODE_BYTES),
        code: cut(failure.code, MAX_CODE_BYTES),
        message: cut(failure.message, MAX_FAILURE_BYTES),
        retryable: failure.retryable,
        retry_after_ms: failure.retry_after_ms,
    }
}

/// A result of another tool, for a guest.
pub(super) fn call_output(output: ToolOutput) -> CallOutput {
    let ToolOutput { parts, structured } = output;
    let structured = structured.map(|value| value.to_string());
    CallOutput { parts: parts.into_iter().map(wit_part).collect(), structured, extra: Vec::new() }
}

fn wit_part(part: ContentPart) -> Part {
    let image = |media_type: Option<String>| media_type.unwrap_or_else(|| "image/*".to_owned());
    match part {
        ContentPart::Text { text } => Part::Text(text),
        ContentPart::Image { base64: Some(text), media_type, .. } => match STANDARD.decode(&text) {
            Ok(data) => Part::Blob(Blob { media_type: image(media_type), data }),
            Err(_) => Part::Text(text),
        },
        ContentPart::Image { url: Some(uri), media_type, .. } => Part::Link(Link { uri, name: "image".to_owned(), media_type }),
        // Only a conversation has these.
        part => Part::Text(serde_json::to_value(&part).unwrap_or(Value::Null).to_string()),
    }
}

/// Another tool's failure, for a guest.
pub(super) fn wit_failure(failure: Failure) -> WitFailure {
    let Failure { kind, code, message, retryable, retry_after_ms } = failure;
    WitFailure { kind, code, message, retryable, retry_after_ms, extra: Vec::new() }
}

/// A description from a guest. All problems at once.
///
/// # Errors
/// One sentence for each piece of JSON or word that cannot be read.
pub(super) fn description(from: Description) -> Result<ComponentDescription, Vec<String>> {
    let mut problems = Vec::new();
    let config_schema = note(&mut problems, json("config-schema", &from.config_schema));
    let tools = from.tools.into_iter().map(|from| tool(from, &mut problems)).collect();
    let permissions = permissions(from.permissions, &mut problems);
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(ComponentDescription {
        id: from.id,
        title: from.title,
        version: from.version,
        summary: from.summary,
        instructions: from.instructions,
        config_schema,
        tools,
        driver: None,
        connection: None,
        dependencies: from.dependencies,
        features: from.features,
        permissions,
        extra: from.extra,
    })
}

fn note(problems: &mut Vec<String>, read: Result<Value, String>) -> Value {
    read.unwrap_or_else(|problem| {
        problems.push(problem);
        Value::Null
    })
}

fn tool(from: Tool, problems: &mut Vec<String>) -> ToolDescription {
    let input_schema = note(problems, json(&format!("input-schema of tool {:?}", from.name), &from.input_schema));
    let output_schema = from.output_schema.map(|text| note(problems, json(&format!("output-schema of tool {:?}", from.name), &text)));
    ToolDescription {
        name: from.name,
        title: from.title,
        description: from.description,
        input_schema,
        output_schema,
        effects: effects(from.effects),
        extra: from.extra,
    }
}

fn effects(from: WitEffects) -> Effects {
    Effects {
        read_only: from.contains(WitEffects::READ_ONLY),
        destructive: from.contains(WitEffects::DESTRUCTIVE),
        idempotent: from.contains(WitEffects::IDEMPOTENT),
        open_world: from.contains(WitEffects::OPEN_WORLD),
    }
}

fn permissions(from: WitPermissions, problems: &mut Vec<String>) -> Permissions {
    let files = match from.files.as_str() {
        "none" => FileAccess::None,
        "read" => FileAccess::Read,
        "write" => FileAccess::Write,
        other => {
            problems.push(format!("permissions.files is {other:?}; it must be \"none\", \"read\" or \"write\""));
            FileAccess::None
        }
    };
    Permissions {
        http: from
            .http
            .into_iter()
            .map(|http| HttpPermission { host: http.host, methods: http.methods, path_prefix: http.path_prefix, reason: http.reason })
            .collect(),
        secrets: from
            .secrets
            .into_iter()
            .map(|secret| SecretPermission {
                name: secret.name,
                title: secret.title,
                host: secret.host,
                place: secret.place,
                required: secret.required,
            })
            .collect(),
        files,
        kv: from.kv,
        tools: from.tools,
        extra: from.extra,
    }
}
