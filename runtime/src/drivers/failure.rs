//! What refusals of vendors mean.

use serde_json::Value;

use super::output::text;
use crate::driver::{DriverError, DriverErrorKind, ResponseHead};

/// The words by which vendors say that a conversation does not fit, in lower case.
const CONTEXT_WORDS: [&str; 8] = [
    "context_length_exceeded",
    "maximum context length",
    "prompt is too long",
    "input is too long",
    "exceeds the maximum number of tokens",
    "exceed context limit",
    "exceeds the context window",
    "too many input tokens",
];

/// A refusal with an error object: its code and its message.
pub(super) fn refusal(head: &ResponseHead, code: &str, message: &str) -> DriverError {
    if code.is_empty() && message.is_empty() && head.status == 404 {
        // A vendor that knows the place says which model it does not know.
        let message = "there is nothing at this address; check the base URL of the provider";
        return DriverError::new(DriverErrorKind::Configuration, message);
    }
    with_words(DriverError::from_status(head.status, &words(code, message)), code, message)
}

/// A failure inside an answer, which has a status of its own at some vendors.
pub(super) fn in_stream(status: Option<u16>, code: &str, message: &str) -> DriverError {
    let mut error = DriverError::from_status(status.unwrap_or(500), &words(code, message));
    "the vendor broke the answer off with an error".clone_into(&mut error.message);
    with_words(error, code, message)
}

fn with_words(error: DriverError, code: &str, message: &str) -> DriverError {
    let lower = words(code, message).to_ascii_lowercase();
    if CONTEXT_WORDS.iter().any(|words| lower.contains(words)) {
        return DriverError { kind: DriverErrorKind::ContextTooLong, ..error };
    }
    error
}

/// What the vendor says: its message, and its code unless the message has it.
fn words(code: &str, message: &str) -> String {
    match (code, message) {
        ("", message) => message.to_owned(),
        (code, "") => code.to_owned(),
        (code, message) if message.contains(code) => message.to_owned(),
        (code, message) => format!("{message} ({code})"),
    }
}

/// A member that is text or a number, as text.
pub(super) fn code_of(value: &Value, name: &str) -> String {
    value[name].as_u64().map_or_else(|| text(value, name).to_owned(), |number| number.to_string())
}
