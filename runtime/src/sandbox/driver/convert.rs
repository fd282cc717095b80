//! Between the contract's types of a completion and the runtime's.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::component::{ComponentDescription, CredentialPlace, DriverDescription, DriverModel, Permissions};
use crate::driver::{
    ChatRequest, CodecRequest, DriverError, DriverErrorKind, DriverId, Framing, ModelInfo, OfferedTool, ResponseHead, ToolChoice,
};
use crate::egress::{SseEvent, retry_after_ms};
use crate::message::{ContentPart, Message, Opaque, Role};
use crate::sandbox::bindings::everwit::http::types as http;
use crate::sandbox::bindings::everwit::types::chat as wit;
use crate::sandbox::bindings::everwit::types::common::Failure;
use crate::sandbox::bindings::everwit::types::content::{Blob, Link, Part};
use crate::sandbox::bindings::everwit::types::tools::{Effects, Tool};
use crate::sandbox::bindings::exports::everwit::driver::codec::Framing as WitFraming;
use crate::sandbox::bindings::exports::everwit::driver::meta::Description;
use crate::sandbox::convert as shared;

/// Bytes of a vendor's model name or title.
const MAX_MODEL_NAME_BYTES: usize = 256;

/// A request as a guest gets it; `driver` is the id under which opaque values are its own.
pub(super) fn request(from: &ChatRequest, driver: &DriverId) -> wit::Request {
    wit::Request {
        model: from.model.clone(),
        instructions: (!from.system_prompt.is_empty()).then(|| from.system_prompt.clone()),
        messages: from.messages.iter().map(|from| message(from)).collect(),
        tools: from.tools.iter().map(tool).collect(),
        tool_choice: match &from.tool_choice {
            ToolChoice::Auto => "auto".to_owned(),
            ToolChoice::None => "none".to_owned(),
            ToolChoice::Required => "required".to_owned(),
            ToolChoice::Tool(name) => format!("tool:{name}"),
        },
        temperature: from.temperature,
        max_output_tokens: from.max_output_tokens,
        stop: from.stop.clone(),
        effort: from.reasoning_effort.clone(),
        response_format: from.response_format.as_ref().map(|format| wit::ResponseFormat {
            name: format.name.clone(),
            schema: format.schema.to_string(),
            strict: format.strict,
        }),
        prompt_cache_key: from.prompt_cache.as_ref().map(|cache| cache.key.clone()),
        metadata: from.metadata.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        options: Value::Object(from.options_of(driver)).to_string(),
        extra: Vec::new(),
    }
}

/// About how much of a request a guest has to read, in bytes.
pub(super) fn request_bytes(request: &wit::Request) -> usize {
    let of_block = |block: &wit::Block| match block {
        wit::Block::Part(part) => shared::part_bytes(part),
        wit::Block::ToolCall(call) => call.arguments.len(),
        wit::Block::ToolResult(result) => result.parts.iter().map(shared::part_bytes).sum(),
        wit::Block::Reasoning(reasoning) => reasoning.text.len() + reasoning.opaque.as_ref().map_or(0, String::len),
        wit::Block::Other(other) => other.body.len(),
    };
    let blocks = request.messages.iter().flat_map(|message| &message.blocks).map(of_block).sum::<usize>();
    let tools = request.tools.iter().map(|tool| tool.description.len() + tool.input_schema.len()).sum::<usize>();
    blocks + tools + request.instructions.as_ref().map_or(0, String::len) + request.options.len()
}

fn message(from: &Message) -> wit::Message {
    let role = match from.role {
        Role::System => "system",
        Role::User => "user",
        Role::Agent => "assistant",
        Role::ToolResult => "tool",
    };
    wit::Message { role: role.to_owned(), blocks: from.content.iter().map(block).collect(), extra: Vec::new() }
}

fn block(from: &ContentPart) -> wit::Block {
    let data = |opaque: &Option<Opaque>| opaque.as_ref().map(|opaque| opaque.data.clone());
    match from {
        ContentPart::Text { text } => wit::Block::Part(Part::Text(text.clone())),
        ContentPart::Image { url, base64, media_type } => wit::Block::Part(image(url.as_deref(), base64.as_deref(), media_type.as_deref())),
        ContentPart::Reasoning { text, opaque } => wit::Block::Reasoning(wit::Reasoning { text: text.clone(), opaque: data(opaque) }),
        ContentPart::ToolCall(call) => wit::Block::ToolCall(wit::ToolCall {
            id: call.id.clone(),
            name: call.name.clone(),
            arguments: call.arguments.to_string(),
            opaque: data(&call.opaque),
        }),
        ContentPart::ToolResult { tool_call_id, result, error } => {
            let part = match (error, result) {
                (Some(error), _) => Part::Text(error.clone()),
                (None, Some(Value::String(text))) => Part::Text(text.clone()),
                (None, result) => Part::Data(result.as_ref().unwrap_or(&Value::Null).to_string()),
            };
            wit::Block::ToolResult(wit::ToolResult { id: tool_call_id.clone(), failed: error.is_some(), parts: vec![part] })
        }
    }
}

fn image(url: Option<&str>, base64: Option<&str>, media_type: Option<&str>) -> Part {
    let media_type = media_type.unwrap_or("image/png").to_owned();
    match (base64.map(|text| STANDARD.decode(text)), url) {
        (Some(Ok(data)), _) => Part::Blob(Blob { media_type, data }),
        (_, Some(url)) => Part::Link(Link { uri: url.to_owned(), name: "image".to_owned(), media_type: Some(media_type) }),
        (_, None) => Part::Text("[an image that cannot be read]".to_owned()),
    }
}

fn tool(from: &OfferedTool) -> Tool {
    Tool {
        name: from.name.clone(),
        title: String::new(),
        description: from.description.clone(),
        input_schema: from.input_schema.to_string(),
        output_schema: None,
        effects: Effects::empty(),
        extra: Vec::new(),
    }
}

/// Bytes of an event's text.
pub(super) fn event_bytes(event: &wit::Event) -> usize {
    /// What an event costs beside its text, so that empty ones are not free.
    const OVERHEAD: usize = 16;
    OVERHEAD
        + match event {
            wit::Event::Text(text) => text.len(),
            wit::Event::Reasoning(reasoning) => reasoning.text.len() + reasoning.opaque.as_ref().map_or(0, String::len),
            wit::Event::ToolCallStart(start) => start.id.len() + start.name.len(),
            wit::Event::ToolCallDelta(delta) => delta.arguments.len(),
            wit::Event::ToolCallEnd(end) => end.opaque.as_ref().map_or(0, String::len),
            wit::Event::Usage(_) => 0,
            wit::Event::Finish(finish) => finish.reason.len() + finish.response_id.as_ref().map_or(0, String::len),
            wit::Event::Other(other) => other.kind.len() + other.body.len(),
        }
}

pub(in crate::sandbox) fn http_request(from: http::Request) -> CodecRequest {
    CodecRequest { method: from.method, url: from.url, headers: from.headers, body: from.body.into() }
}

pub(super) fn head(from: &ResponseHead) -> http::Head {
    let field = |name| from.headers.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str());
    let retry_after_ms = retry_after_ms(field("retry-after"), field("date"));
    http::Head { status: from.status, headers: from.headers.clone(), retry_after_ms }
}

pub(super) fn sse(from: SseEvent) -> http::Sse {
    http::Sse { event: from.event, data: from.data, id: from.id }
}

pub(super) fn framing(from: WitFraming) -> Framing {
    match from {
        WitFraming::Sse => Framing::Sse,
        WitFraming::JsonLines => Framing::JsonLines,
        WitFraming::Whole => Framing::Whole,
        WitFraming::Bytes => Framing::Bytes,
    }
}

/// A failure that the guest returned. Its code says what it means to the turn if it is one of the
/// runtime's own words; otherwise its kind does.
pub(super) fn failure(from: Failure) -> DriverError {
    let from = shared::failure(from);
    let kind = match (from.code.as_str(), from.kind.as_str()) {
        ("configuration", _) => DriverErrorKind::Configuration,
        ("quota_exhausted", _) => DriverErrorKind::QuotaExhausted,
        ("authentication", _) | (_, "denied") => DriverErrorKind::Authentication,
        ("rate_limited", _) | (_, "rate-limited") => DriverErrorKind::RateLimited,
        ("model_not_available", _) | (_, "not-found") => DriverErrorKind::ModelNotAvailable,
        ("context_too_long", _) => DriverErrorKind::ContextTooLong,
        ("unavailable", _) => DriverErrorKind::Unavailable,
        ("invalid_response", _) => DriverErrorKind::InvalidResponse,
        ("invalid_request", _) | (_, "invalid-arguments") => DriverErrorKind::InvalidRequest,
        (_, "timeout") => DriverErrorKind::Timeout,
        (_, "upstream") if from.retryable => DriverErrorKind::Unavailable,
        (_, "upstream") => DriverErrorKind::InvalidResponse,
        _ => DriverErrorKind::Internal,
    };
    let message = format!("the driver reports {}", kind.as_str());
    DriverError { vendor_message: Some(from.message), retry_after_ms: from.retry_after_ms, ..DriverError::new(kind, message) }
}

/// A model out of a list.
///
/// # Errors
/// What is wrong with it.
pub(super) fn model_info(from: wit::ModelInfo) -> Result<ModelInfo, String> {
    if from.id.is_empty() || from.id.len() > MAX_MODEL_NAME_BYTES || from.title.len() > MAX_MODEL_NAME_BYTES {
        return Err(format!("a model's name and title have at most {MAX_MODEL_NAME_BYTES} bytes, and the name is not empty"));
    }
    let wit::ModelInfo { id, title, context_tokens, output_tokens, features, .. } = from;
    Ok(ModelInfo { id, title, context_tokens, output_tokens, features })
}

/// A description from a guest. All problems at once.
///
/// # Errors
/// One sentence for each piece of JSON that cannot be read.
pub(in crate::sandbox) fn description(from: Description) -> Result<ComponentDescription, Vec<String>> {
    let config_schema = shared::json("options-schema", &from.options_schema).map_err(|problem| vec![problem])?;
    let credential = |from: crate::sandbox::bindings::exports::everwit::driver::meta::Credential| CredentialPlace {
        name: from.name,
        title: from.title,
        place: from.place,
        required: from.required,
    };
    let model = |from: wit::ModelInfo| DriverModel {
        id: from.id,
        title: from.title,
        context_tokens: from.context_tokens,
        output_tokens: from.output_tokens,
        features: from.features,
        extra: from.extra,
    };
    let driver = DriverDescription {
        credentials: from.credentials.into_iter().map(credential).collect(),
        default_base_url: from.default_base_url,
        models: from.models.into_iter().map(model).collect(),
    };
    Ok(ComponentDescription {
        id: from.id,
        title: from.title,
        version: from.version,
        summary: from.summary,
        instructions: None,
        config_schema,
        tools: Vec::new(),
        driver: Some(driver),
        connection: None,
        dependencies: Vec::new(),
        features: Vec::new(),
        permissions: Permissions::default(),
        extra: from.extra,
    })
}
