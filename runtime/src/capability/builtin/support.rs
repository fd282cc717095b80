//! What the built-in tools share: arguments as types, and errors that tell a model what to do.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::capability::{CallError, Failure, ToolOutput};
use crate::error::ErrorKind;
use crate::store::StoreError;

/// JSON text of one result; what is larger is cut where the tool knows how, before the turn's own
/// limit cuts it blindly.
pub(super) const MAX_RESULT_BYTES: usize = 48 << 10;

/// A failure of a tool that its caller can do something about.
pub(super) fn failed(kind: &str, code: &str, message: impl Into<String>) -> CallError {
    CallError::Failed(Failure::new(kind, code, message))
}

/// The arguments of a call. They are valid against the schema already; this is for what a schema
/// cannot say.
pub(super) fn arguments<T: DeserializeOwned>(arguments: Value) -> Result<T, CallError> {
    serde_json::from_value(arguments).map_err(|error| failed("invalid-arguments", "invalid_arguments", error.to_string()))
}

/// A result as JSON.
pub(super) fn json_output(value: &impl Serialize) -> Result<ToolOutput, CallError> {
    serde_json::to_value(value).map(ToolOutput::json).map_err(|error| {
        tracing::error!(%error, "the result of a built-in tool is no JSON");
        failed("internal", "internal", "the result cannot be written; this is a defect of the platform")
    })
}

/// Bytes that a text takes as a JSON string, its quotes included.
pub(super) fn json_bytes(text: &str) -> usize {
    let escaped = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 8 | 12 => 2,
        0..0x20 => 6,
        _ => 1,
    };
    2 + text.bytes().map(escaped).sum::<usize>()
}

/// The longest start of a text that takes at most so many bytes as a JSON string.
pub(super) fn json_cut(text: &str, most: usize) -> &str {
    if json_bytes(text) <= most {
        return text;
    }
    let mut left = most.saturating_sub(2);
    for (at, character) in text.char_indices() {
        let size = json_bytes(character.encode_utf8(&mut [0; 4])) - 2;
        if size > left {
            return &text[..at];
        }
        left -= size;
    }
    text
}

/// What a model is told about an error of a store. Outages and defects stay in the log.
pub(super) fn store_failure(error: StoreError) -> CallError {
    let (kind, code) = match error.kind() {
        ErrorKind::NotFound => ("not-found", "not_found"),
        ErrorKind::Conflict => ("conflict", "conflict"),
        ErrorKind::Invalid => ("invalid-arguments", "invalid"),
        ErrorKind::Limit => ("limit", "limit"),
        ErrorKind::Denied => ("denied", "denied"),
        ErrorKind::Unavailable => {
            tracing::warn!(%error, "a store did not answer a built-in tool");
            let failure = Failure::new("unavailable", "store_unavailable", "the store is not available right now; try again later");
            return CallError::Failed(Failure { retryable: true, ..failure });
        }
        ErrorKind::Internal => {
            tracing::error!(%error, "a store failed a built-in tool");
            return failed("internal", "internal", "the stored data cannot be read; this is a defect of the platform");
        }
    };
    failed(kind, code, error.to_string())
}
