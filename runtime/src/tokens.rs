//! The one estimate of how many tokens a text takes. Vendors count differently, and their
//! tokenizers are large; an estimate by bytes is within about a third of them for prose and
//! code, and is the same for all models and on all machines.

use crate::driver::OfferedTool;
use crate::message::{ContentPart, Message};

/// Bytes of UTF-8 that are taken for one token.
pub const BYTES_PER_TOKEN: usize = 4;
/// Bytes that an image is taken for, whatever its size: about 1,000 tokens, which is what
/// vendors charge for a picture of a megapixel.
pub const IMAGE_BYTES: usize = 4_000;

/// The estimate for so many bytes, rounded up.
pub fn estimate_tokens(bytes: usize) -> u64 {
    bytes.div_ceil(BYTES_PER_TOKEN) as u64
}

/// What of a message counts: texts, reasoning with its opaque values, names and arguments of calls, results and errors, and
/// [`IMAGE_BYTES`] for each image.
pub fn message_bytes(message: &Message) -> usize {
    message.content.iter().map(part_bytes).sum()
}

/// What of a tool counts: name, description and the compact JSON of its schema.
pub fn tool_bytes(tool: &OfferedTool) -> usize {
    tool.name.len() + tool.description.len() + tool.input_schema.to_string().len()
}

/// What of a part of a message counts.
pub(crate) fn part_bytes(part: &ContentPart) -> usize {
    match part {
        ContentPart::Text { text } => text.len(),
        ContentPart::Image { .. } => IMAGE_BYTES,
        ContentPart::Reasoning { text, opaque } => text.len() + opaque.as_ref().map_or(0, |opaque| opaque.data.len()),
        ContentPart::ToolCall(call) => call.id.len() + call.name.len() + call.arguments.to_string().len(),
        ContentPart::ToolResult { tool_call_id, result, error } => {
            let result = result.as_ref().map_or(0, |result| match result {
                serde_json::Value::String(text) => text.len(),
                other => other.to_string().len(),
            });
            tool_call_id.len() + result + error.as_ref().map_or(0, String::len)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::id::MessageId;
    use crate::message::{Role, ToolCall};

    #[test]
    fn four_bytes_are_a_token_rounded_up() {
        let estimates = [0, 1, 4, 5, 4_000].map(estimate_tokens);
        assert_eq!(estimates, [0, 1, 1, 2, 1_000]);
    }

    #[test]
    fn every_part_of_a_message_counts() {
        let check = |part: ContentPart, bytes: usize| {
            let id = MessageId::from_uuid(uuid::Uuid::nil());
            let (metadata, created_at) = (Default::default(), jiff::Timestamp::UNIX_EPOCH);
            let message = Message { id, role: Role::User, content: vec![part.clone(), part], metadata, controls: None, created_at };
            assert_eq!(message_bytes(&message), 2 * bytes);
        };
        check(ContentPart::text("größe"), 7);
        check(ContentPart::Image { url: Some("https://a.example".to_owned()), base64: None, media_type: None }, IMAGE_BYTES);
        check(ContentPart::ToolCall(ToolCall::new("c1", "look", json!({"a": 1}))), 2 + 4 + 7);
        let result = |result, error: Option<&str>| ContentPart::ToolResult {
            tool_call_id: "c1".to_owned(),
            result,
            error: error.map(str::to_owned),
        };
        check(result(Some(json!("text")), None), 2 + 4);
        check(result(Some(json!({"a": 1})), None), 2 + 7);
        check(result(None, Some("no")), 2 + 2);
    }
}
