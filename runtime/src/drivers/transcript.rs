//! The conversation in the shape that vendors have in common: turns of the user's side and of the
//! model, which alternate.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::driver::{ChatRequest, DriverError, DriverErrorKind};
use crate::message::{ContentPart, Message, Role, ToolCall};

/// Longest id of a call that all vendors take, in bytes.
const MAX_CALL_ID_BYTES: usize = 64;

/// What one side says until the other one speaks.
pub(super) struct Turn<'m> {
    /// Whether it is the model.
    pub(super) of_model: bool,
    /// Not empty; the results of tools come first.
    pub(super) pieces: Vec<Piece<'m>>,
}

/// A piece of what is said.
pub(super) enum Piece<'m> {
    Text(&'m str),
    Image(Image<'m>),
    /// A word of the platform in the middle of the conversation.
    Note(&'m str),
    Result(ToolResult<'m>),
    Call(&'m ToolCall),
    /// Reasoning that has to come back.
    Reasoning {
        text: &'m str,
        opaque: &'m str,
    },
}

/// The outcome of a call.
pub(super) struct ToolResult<'m> {
    /// Id of the call, as it was sent.
    pub(super) id: Cow<'m, str>,
    /// Name of the tool; empty if its call is not in the conversation any more.
    pub(super) name: &'m str,
    pub(super) failed: bool,
    pub(super) text: Cow<'m, str>,
    pub(super) images: Vec<Image<'m>>,
}

/// A picture.
pub(super) enum Image<'m> {
    Inline { media_type: &'m str, base64: &'m str },
    Url(&'m str),
}

/// The turns of a request's conversation. The first one is of the user's side.
///
/// # Errors
/// `InvalidRequest` if there is nothing to answer, or a picture without a source.
pub(super) fn turns(request: &ChatRequest) -> Result<Vec<Turn<'_>>, DriverError> {
    let names = call_names(request);
    let mut turns: Vec<Turn<'_>> = Vec::new();
    for message in &request.messages {
        let of_model = message.role == Role::Agent;
        let pieces = pieces(message, &names)?;
        if pieces.is_empty() {
            continue;
        }
        if turns.is_empty() && of_model {
            turns.push(Turn { of_model: false, pieces: vec![Piece::Note("The conversation goes on from here.")] });
        }
        match turns.last_mut() {
            Some(last) if last.of_model == of_model => last.pieces.extend(pieces),
            _ => turns.push(Turn { of_model, pieces }),
        }
    }
    for turn in &mut turns {
        turn.pieces.sort_by_key(|piece| !turn.of_model && !matches!(piece, Piece::Result(_)));
    }
    if turns.is_empty() {
        return Err(invalid("there is no message to answer"));
    }
    Ok(turns)
}

/// Names of tools by the ids of their calls.
fn call_names(request: &ChatRequest) -> HashMap<&str, &str> {
    let calls = request.messages.iter().flat_map(|message| message.tool_calls());
    calls.map(|call| (call.id.as_str(), call.name.as_str())).collect()
}

fn pieces<'m>(message: &'m Message, names: &HashMap<&str, &'m str>) -> Result<Vec<Piece<'m>>, DriverError> {
    let mut pieces = Vec::new();
    for part in &message.content {
        match part {
            // Some vendors refuse a conversation with a blank text anywhere.
            ContentPart::Text { text } if text.trim().is_empty() => {}
            ContentPart::Text { text } if message.role == Role::System => pieces.push(Piece::Note(text)),
            ContentPart::Text { text } => pieces.push(Piece::Text(text)),
            ContentPart::Image { url, base64, media_type } => {
                let image = image(url.as_deref(), base64.as_deref(), media_type.as_deref())?;
                match pieces.last_mut() {
                    Some(Piece::Result(result)) if message.role == Role::ToolResult => result.images.push(image),
                    _ => pieces.push(Piece::Image(image)),
                }
            }
            ContentPart::Reasoning { text, opaque: Some(opaque) } => pieces.push(Piece::Reasoning { text, opaque: &opaque.data }),
            // Reasoning that no vendor has signed means nothing to one.
            ContentPart::Reasoning { opaque: None, .. } => {}
            ContentPart::ToolCall(call) => pieces.push(Piece::Call(call)),
            ContentPart::ToolResult { tool_call_id, result, error } => {
                let text = match (error, result) {
                    (Some(error), _) => Cow::Borrowed(error.as_str()),
                    (None, Some(Value::String(text))) => Cow::Borrowed(text.as_str()),
                    (None, Some(value)) => Cow::Owned(value.to_string()),
                    (None, None) => Cow::Borrowed(""),
                };
                let name = names.get(tool_call_id.as_str()).copied().unwrap_or_default();
                let id = call_id(tool_call_id);
                pieces.push(Piece::Result(ToolResult { id, name, failed: error.is_some(), text, images: Vec::new() }));
            }
        }
    }
    Ok(pieces)
}

/// The id of a call in letters and of a length that all vendors take: a conversation can go on at
/// another vendor than the one that made the id.
pub(super) fn call_id(id: &str) -> Cow<'_, str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if !id.is_empty() && id.len() <= MAX_CALL_ID_BYTES && id.bytes().all(plain) {
        return Cow::Borrowed(id);
    }
    let digest = Sha256::digest(id);
    Cow::Owned(digest[..16].iter().fold("call_".to_owned(), |id, byte| id + &format!("{byte:02x}")))
}

fn image<'m>(url: Option<&'m str>, base64: Option<&'m str>, media_type: Option<&'m str>) -> Result<Image<'m>, DriverError> {
    if let Some(base64) = base64.filter(|base64| !base64.is_empty()) {
        let media_type = media_type.or_else(|| media_type_of(base64)).ok_or_else(|| invalid("an image has no media type"))?;
        return Ok(Image::Inline { media_type, base64 });
    }
    let url = url.ok_or_else(|| invalid("an image has neither bytes nor a URL"))?;
    if let Some((media_type, base64)) = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,")) {
        return Ok(Image::Inline { media_type, base64 });
    }
    Ok(Image::Url(url))
}

/// What the first bytes of a picture say, in base64.
fn media_type_of(base64: &str) -> Option<&'static str> {
    const BEGINNINGS: [(&str, &str); 4] =
        [("iVBORw0KGgo", "image/png"), ("/9j/", "image/jpeg"), ("R0lGOD", "image/gif"), ("UklGR", "image/webp")];
    BEGINNINGS.into_iter().find_map(|(beginning, media_type)| base64.starts_with(beginning).then_some(media_type))
}

impl Image<'_> {
    /// As one URL, with the bytes in it if they are inline.
    pub(super) fn to_url(&self) -> String {
        match self {
            Self::Inline { media_type, base64 } => format!("data:{media_type};base64,{base64}"),
            Self::Url(url) => (*url).to_owned(),
        }
    }
}

/// A word of the platform, for vendors who have none but users and models in a conversation.
pub(super) fn note(text: &str) -> String {
    format!("<system-note>\n{text}\n</system-note>")
}

impl ToolResult<'_> {
    /// The text, with a word before it if the call failed, for vendors who have no place for that.
    pub(super) fn told(&self) -> String {
        if self.failed { format!("error: {}", self.text) } else { self.text.to_string() }
    }
}

pub(super) fn invalid(message: &str) -> DriverError {
    DriverError::new(DriverErrorKind::InvalidRequest, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_calls_are_kept_where_all_vendors_take_them() {
        assert_eq!(call_id("toolu_01-A"), "toolu_01-A");
        for odd in ["", "call:1", "ä", &"x".repeat(65)] {
            let id = call_id(odd);
            assert!(id.starts_with("call_") && id.len() == 37 && id == call_id(odd), "{id}");
        }
        assert_ne!(call_id("a:b"), call_id("a.b"));
    }

    #[test]
    fn pictures_have_a_media_type() {
        let shown = |url, base64, media_type| image(url, base64, media_type).map(|image| image.to_url()).map_err(|error| error.kind);
        assert_eq!(shown(None, Some("/9j/4AAQ"), None), Ok("data:image/jpeg;base64,/9j/4AAQ".to_owned()));
        assert_eq!(shown(Some("data:image/png;base64,AA"), None, None), Ok("data:image/png;base64,AA".to_owned()));
        assert_eq!(shown(Some("https://a.test/x.png"), None, None), Ok("https://a.test/x.png".to_owned()));
        assert_eq!(shown(None, Some("AAAA"), None), Err(DriverErrorKind::InvalidRequest));
        assert_eq!(shown(None, None, Some("image/png")), Err(DriverErrorKind::InvalidRequest));
    }
}
