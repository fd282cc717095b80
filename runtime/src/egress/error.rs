//! Why a request has no (further) response.

use std::time::Duration;

use crate::component::GrantError;
use crate::error::ErrorKind;

/// Class of an [`EgressError`]; the fault kinds of `everwit:http`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EgressErrorKind {
    /// Not granted, or an address that is never reachable.
    Denied,
    /// The request is wrong and will stay wrong.
    Invalid,
    /// The name does not resolve.
    Dns,
    /// No connection.
    Connect,
    /// No trusted connection.
    Tls,
    /// Too slow.
    Timeout,
    /// A cap was reached.
    Limit,
    /// The server does not speak HTTP, or broke off.
    Protocol,
    /// The caller ended it. The gateway itself is cancelled by dropping its future.
    Cancelled,
    /// A defect, or this host is not set up for it.
    Internal,
}

impl EgressErrorKind {
    /// Its text form, as in the `fault` of `everwit:http`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Invalid => "invalid",
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Limit => "limit",
            Self::Protocol => "protocol",
            Self::Cancelled => "cancelled",
            Self::Internal => "internal",
        }
    }
}

/// Why a request has no (further) response. The message holds no header value, query or body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EgressError {
    /// Class.
    pub kind: EgressErrorKind,
    /// One sentence; for a denial it says what to grant.
    pub message: String,
    /// Whether the request may have reached the server.
    pub request_sent: bool,
    /// How long to wait before the next try, in milliseconds, if that helps.
    pub retry_after_ms: Option<u64>,
}

impl EgressError {
    /// An error of a request that was not sent.
    pub fn new(kind: EgressErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), request_sent: false, retry_after_ms: None }
    }

    /// The same error of a request that may have reached the server.
    #[must_use]
    pub fn after_sending(self) -> Self {
        Self { request_sent: true, ..self }
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(EgressErrorKind::Invalid, message)
    }

    pub(super) fn limit(message: impl Into<String>) -> Self {
        Self::new(EgressErrorKind::Limit, message)
    }

    pub(super) fn timeout(what: &str, limit: Duration) -> Self {
        Self::new(EgressErrorKind::Timeout, format!("{what} took longer than {} ms", limit.as_millis()))
    }

    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self.kind {
            EgressErrorKind::Denied => ErrorKind::Denied,
            EgressErrorKind::Invalid => ErrorKind::Invalid,
            EgressErrorKind::Limit => ErrorKind::Limit,
            EgressErrorKind::Cancelled => ErrorKind::Conflict,
            EgressErrorKind::Internal => ErrorKind::Internal,
            EgressErrorKind::Dns
            | EgressErrorKind::Connect
            | EgressErrorKind::Tls
            | EgressErrorKind::Timeout
            | EgressErrorKind::Protocol => ErrorKind::Unavailable,
        }
    }
}

impl From<GrantError> for EgressError {
    fn from(error: GrantError) -> Self {
        Self::new(EgressErrorKind::Denied, error.to_string())
    }
}
