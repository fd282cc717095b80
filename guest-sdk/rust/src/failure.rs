//! Expected failures, as values.

use core::fmt;
use core::time::Duration;
use std::borrow::Cow;

use crate::bindings::everwit::types::common;

/// Longest message that the contract allows, in bytes.
const MESSAGE_BYTES: usize = 4 * 1024;

/// Longest code that the contract allows, in bytes.
const CODE_BYTES: usize = 64;

/// The result of a tool, and of everything in this crate that can fail with a [`Failure`].
pub type Result<T, E = Failure> = core::result::Result<T, E>;

/// An expected failure of a call.
///
/// It goes back to whoever called, often a model: say what was wrong and what would work.
/// Each constructor stands for one of the contract's kinds and takes a code, which programs
/// can rely on, and a message, which people and models read.
///
/// The operator `?` turns every standard error into a failure of kind "internal" and keeps
/// the texts of its causes. The errors of this crate's modules become the kind that they are.
///
/// ```
/// use everwit_guest::Failure;
///
/// let failure = Failure::invalid("unknown_column", "no column `prize`; there are: price, name");
/// assert_eq!(failure.kind(), "invalid-arguments");
/// assert!(!failure.is_retryable());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    kind: Cow<'static, str>,
    code: String,
    message: String,
    retryable: bool,
    retry_after: Option<Duration>,
}

impl Failure {
    /// A failure of any kind; the vocabulary is open, and a receiver treats what it does not
    /// know as "internal". Prefer the constructors that name a known kind.
    ///
    /// `code` is snake_case and kept to 64 bytes, `message` is one sentence, kept to 4 KiB.
    pub fn new(kind: impl Into<Cow<'static, str>>, code: impl Into<String>, message: impl Into<String>) -> Self {
        let (mut code, mut message) = (code.into(), message.into());
        truncate(&mut code, CODE_BYTES);
        truncate(&mut message, MESSAGE_BYTES);
        Failure { kind: kind.into(), code, message, retryable: false, retry_after: None }
    }

    /// The arguments are wrong; say which one, and what is allowed.
    pub fn invalid(code: impl Into<String>, message: impl Into<String>) -> Self {
        Failure::new("invalid-arguments", code, message)
    }

    /// What was asked for does not exist.
    pub fn not_found(code: impl Into<String>, message: impl Into<String>) -> Self {
        Failure::new("not-found", code, message)
    }

    /// Not allowed; say what would have to be granted.
    pub fn denied(code: impl Into<String>, message: impl Into<String>) -> Self {
        Failure::new("denied", code, message)
    }

    /// Too many calls for now. Retryable; add [`Failure::after`] if the pause is known.
    pub fn rate_limited(code: impl Into<String>, message: impl Into<String>) -> Self {
        Failure::new("rate-limited", code, message).retryable(true)
    }

    /// A service behind this capability failed or answered what cannot be used.
    pub fn upstream(code: impl Into<String>, message: impl Into<String>) -> Self {
        Failure::new("upstream", code, message)
    }

    /// Something took too long. Retryable.
    pub fn timeout(code: impl Into<String>, message: impl Into<String>) -> Self {
        Failure::new("timeout", code, message).retryable(true)
    }

    /// Somebody else changed the thing meanwhile.
    pub fn conflict(code: impl Into<String>, message: impl Into<String>) -> Self {
        Failure::new("conflict", code, message)
    }

    /// A fault of this capability itself.
    pub fn internal(code: impl Into<String>, message: impl Into<String>) -> Self {
        Failure::new("internal", code, message)
    }

    /// Sets whether the same call can succeed later without a change of its arguments.
    #[must_use]
    pub fn retryable(mut self, retryable: bool) -> Self {
        self.retryable = retryable;
        self
    }

    /// Makes it retryable and says how long to wait first; below 1 ms is rounded down.
    #[must_use]
    pub fn after(mut self, pause: Duration) -> Self {
        self.retryable = true;
        self.retry_after = Some(pause);
        self
    }

    /// The class of failure, for example "not-found".
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The stable code.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// The sentence for whoever called.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Whether the same call can succeed later.
    pub fn is_retryable(&self) -> bool {
        self.retryable
    }

    /// How long to wait before the next try, if known.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.kind, self.code, self.message)
    }
}

// `Failure` is no `std::error::Error` itself: that is what allows this conversion.
impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            // Many errors already end with their cause's text.
            if !message.ends_with(&cause_text) {
                message.push_str(": ");
                message.push_str(&cause_text);
            }
            source = cause.source();
        }
        Failure::internal("unexpected_error", message)
    }
}

impl From<Failure> for common::Failure {
    fn from(failure: Failure) -> Self {
        common::Failure {
            kind: failure.kind.into_owned(),
            code: failure.code,
            message: failure.message,
            retryable: failure.retryable,
            retry_after_ms: failure.retry_after.map(millis),
            extra: Vec::new(),
        }
    }
}

impl Failure {
    /// What another tool says. No `From`: the contract's failure is a standard error as well.
    pub(crate) fn from_wit(failure: common::Failure) -> Self {
        let told = Failure::new(failure.kind, failure.code, failure.message).retryable(failure.retryable);
        Failure { retry_after: failure.retry_after_ms.map(Duration::from_millis), ..told }
    }
}

/// Whole milliseconds; a duration beyond the range of 584 million years is cut to it.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Cuts `text` to at most `bytes`, at a character boundary, and marks the cut.
fn truncate(text: &mut String, bytes: usize) {
    const MARK: &str = "…";
    if text.len() > bytes {
        text.truncate(text.floor_char_boundary(bytes - MARK.len()));
        text.push_str(MARK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Outer(std::num::ParseIntError);

    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("bad quantity")
        }
    }

    impl std::error::Error for Outer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn standard_errors_become_internal_with_their_causes() {
        fn parse() -> Result<i32> {
            Ok("x".parse::<i32>().map_err(Outer)?)
        }
        let failure = parse().expect_err("x is no number");
        assert_eq!(failure.kind(), "internal");
        assert_eq!(failure.message(), "bad quantity: invalid digit found in string");
    }

    #[test]
    fn long_texts_are_cut_at_a_character_boundary() {
        let failure = Failure::invalid("c".repeat(100), "ä".repeat(5000));
        assert_eq!(failure.code().len(), CODE_BYTES);
        assert!(failure.message().len() <= MESSAGE_BYTES);
        assert!(failure.message().ends_with("ä…"));
    }

    #[test]
    fn a_pause_makes_a_failure_retryable() {
        let failure = Failure::upstream("busy", "try later").after(Duration::from_secs(2));
        let raw = common::Failure::from(failure);
        assert!(raw.retryable);
        assert_eq!(raw.retry_after_ms, Some(2000));
    }
}
