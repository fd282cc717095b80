//! What goes wrong between us and a model.

use serde::{Deserialize, Serialize};

use crate::egress::{EgressError, EgressErrorKind};
use crate::error::ErrorKind;

/// Of a vendor's message, in bytes.
const MAX_VENDOR_MESSAGE_BYTES: usize = 2 << 10;

/// What went wrong between us and a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriverErrorKind {
    /// The configuration cannot work: no driver, no key, a wrong base URL.
    Configuration,
    /// The vendor does not accept the credentials.
    Authentication,
    /// Too many requests.
    RateLimited,
    /// The account has no credit or allowance left; another try does not help.
    QuotaExhausted,
    /// The vendor does not know the model.
    ModelNotAvailable,
    /// The conversation is larger than the model's context.
    ContextTooLong,
    /// The vendor refuses the request as wrong.
    InvalidRequest,
    /// No answer in time.
    Timeout,
    /// The answer broke off or is not what the protocol says.
    InvalidResponse,
    /// The answer is larger than one may be.
    AnswerTooLarge,
    /// The vendor has an outage.
    Unavailable,
    /// The turn was cancelled.
    Cancelled,
    /// A defect of the driver.
    Internal,
}

impl DriverErrorKind {
    /// Its text form, as in `turn.failed.error_code`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Authentication => "authentication",
            Self::RateLimited => "rate_limited",
            Self::QuotaExhausted => "quota_exhausted",
            Self::ModelNotAvailable => "model_not_available",
            Self::ContextTooLong => "context_too_long",
            Self::InvalidRequest => "invalid_request",
            Self::Timeout => "timeout",
            Self::InvalidResponse => "invalid_response",
            Self::AnswerTooLarge => "answer_too_large",
            Self::Unavailable => "unavailable",
            Self::Cancelled => "cancelled",
            Self::Internal => "internal",
        }
    }
}

impl DriverErrorKind {
    /// What it means, for whoever may know no more.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Configuration => "the model is not configured correctly",
            Self::Authentication => "the model provider does not accept the credentials",
            Self::RateLimited => "the model gets too many requests; try again later",
            Self::QuotaExhausted => "the account at the model provider has no credit left",
            Self::ModelNotAvailable => "the model is not available",
            Self::ContextTooLong => "the conversation is too long for the model",
            Self::InvalidRequest => "the model provider refuses the request",
            Self::Timeout => "the model did not answer in time",
            Self::InvalidResponse => "the answer of the model could not be read",
            Self::AnswerTooLarge => "the answer of the model is too large",
            Self::Unavailable => "the model provider is not available",
            Self::Cancelled => "the model call was cancelled",
            Self::Internal => "the driver of the model failed",
        }
    }
}

/// A failed completion.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}{}", vendor_words(.vendor_message))]
pub struct DriverError {
    /// Class.
    pub kind: DriverErrorKind,
    /// One sentence in our words, without credentials.
    pub message: String,
    /// What the vendor says, in its words: not to be trusted, and not for everybody's eyes.
    pub vendor_message: Option<String>,
    /// How long to wait before another try, in milliseconds, if the vendor said so.
    pub retry_after_ms: Option<u64>,
}

fn vendor_words(message: &Option<String>) -> String {
    message.as_ref().map(|message| format!("; the vendor says: {message}")).unwrap_or_default()
}

impl DriverError {
    /// An error without a wait.
    pub fn new(kind: DriverErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), vendor_message: None, retry_after_ms: None }
    }

    /// The error that a status other than 2xx means, with what the vendor says: its message, or
    /// the codes of its error object, as far as the codec can read them. Codecs that know more
    /// change the kind.
    pub fn from_status(status: u16, vendor_message: &str) -> Self {
        let kind = if says_quota_exhausted(vendor_message) {
            DriverErrorKind::QuotaExhausted
        } else {
            match status {
                401 | 403 => DriverErrorKind::Authentication,
                402 => DriverErrorKind::QuotaExhausted,
                404 => DriverErrorKind::ModelNotAvailable,
                413 => DriverErrorKind::ContextTooLong,
                429 => DriverErrorKind::RateLimited,
                // 409 is a conflict of two requests at the vendor.
                408 | 409 | 425 | 500 | 502..=599 => DriverErrorKind::Unavailable,
                400..=499 => DriverErrorKind::InvalidRequest,
                // A redirect, which is never followed, a success that is none, or 501.
                _ => DriverErrorKind::InvalidResponse,
            }
        };
        Self::new(kind, format!("the vendor answered with status {status}")).with_vendor_message(vendor_message)
    }

    /// With what the vendor says, cut to 2 KiB; blank means nothing.
    #[must_use]
    pub fn with_vendor_message(mut self, message: &str) -> Self {
        let message = message.trim();
        let end = message.floor_char_boundary(MAX_VENDOR_MESSAGE_BYTES);
        self.vendor_message = (!message.is_empty()).then(|| message[..end].to_owned());
        self
    }

    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self.kind {
            DriverErrorKind::RateLimited | DriverErrorKind::Timeout | DriverErrorKind::Unavailable | DriverErrorKind::InvalidResponse => {
                ErrorKind::Unavailable
            }
            DriverErrorKind::Authentication => ErrorKind::Denied,
            DriverErrorKind::QuotaExhausted | DriverErrorKind::ContextTooLong | DriverErrorKind::AnswerTooLarge => ErrorKind::Limit,
            DriverErrorKind::Configuration | DriverErrorKind::ModelNotAvailable | DriverErrorKind::InvalidRequest => ErrorKind::Invalid,
            DriverErrorKind::Cancelled => ErrorKind::Conflict,
            DriverErrorKind::Internal => ErrorKind::Internal,
        }
    }
}

/// Vendors use different statuses for an account without credit, 429 among them, where another
/// try would go on for nothing.
fn says_quota_exhausted(message: &str) -> bool {
    const WORDS: [&str; 8] = [
        "insufficient_quota",
        "quota_exceeded",
        "billing_hard_limit",
        "credit balance",
        "insufficient credit",
        "insufficient balance",
        "exceeded your current quota",
        "usage limit",
    ];
    let message = message.to_ascii_lowercase();
    WORDS.iter().any(|words| message.contains(words))
}

impl From<EgressError> for DriverError {
    fn from(error: EgressError) -> Self {
        let kind = match error.kind {
            EgressErrorKind::Denied | EgressErrorKind::Invalid => DriverErrorKind::Configuration,
            EgressErrorKind::Timeout => DriverErrorKind::Timeout,
            // The org has too many requests under way.
            EgressErrorKind::Limit if error.retry_after_ms.is_some() => DriverErrorKind::Unavailable,
            EgressErrorKind::Limit => DriverErrorKind::AnswerTooLarge,
            EgressErrorKind::Protocol => DriverErrorKind::InvalidResponse,
            EgressErrorKind::Cancelled => DriverErrorKind::Cancelled,
            EgressErrorKind::Dns | EgressErrorKind::Connect | EgressErrorKind::Tls => DriverErrorKind::Unavailable,
            EgressErrorKind::Internal => DriverErrorKind::Internal,
        };
        Self { retry_after_ms: error.retry_after_ms, ..Self::new(kind, error.message) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_and_the_words_of_the_vendor_make_a_kind() {
        let check = |status, words: &str, kind| assert_eq!(DriverError::from_status(status, words).kind, kind, "{status} {words}");
        check(401, "no such key", DriverErrorKind::Authentication);
        check(429, "slow down", DriverErrorKind::RateLimited);
        check(429, "You exceeded your current quota, please check your plan", DriverErrorKind::QuotaExhausted);
        check(400, "Your credit balance is too low", DriverErrorKind::QuotaExhausted);
        check(400, "temperature: out of range", DriverErrorKind::InvalidRequest);
        check(404, "", DriverErrorKind::ModelNotAvailable);
        check(500, "", DriverErrorKind::Unavailable);
        check(529, "overloaded", DriverErrorKind::Unavailable);
        check(302, "", DriverErrorKind::InvalidResponse);
    }

    #[test]
    fn the_words_of_the_vendor_are_kept_apart_and_short() {
        let error = DriverError::from_status(400, &format!(" {} ", "ä".repeat(MAX_VENDOR_MESSAGE_BYTES)));
        assert_eq!(error.message, "the vendor answered with status 400");
        assert_eq!(error.vendor_message.as_ref().map(String::len), Some(MAX_VENDOR_MESSAGE_BYTES));
        assert_eq!(DriverError::from_status(400, " ").to_string(), "the vendor answered with status 400");
        assert_eq!(DriverError::from_status(400, "no").to_string(), "the vendor answered with status 400; the vendor says: no");
    }
}
