//! Outbound HTTP through the host's gateway.
//!
//! Hosts must be asked for in [`crate::capability!`] under `permissions: { http: [..] }`. The
//! gateway follows no redirect and sets `host` and `content-length` itself.
//!
//! ```
//! use everwit_guest::prelude::*;
//! use everwit_guest::{http, secrets};
//!
//! fn open_issues(repo: &str) -> Result<usize> {
//!     let key = secrets::open("tracker")?;
//!     let issues: Vec<serde_json::Value> = http::get("https://tracker.example.com/issues")
//!         .query("repo", repo)
//!         .header("authorization", format!("Bearer {}", key.token()))
//!         .send()?
//!         .successful()?
//!         .json()?;
//!     Ok(issues.len())
//! }
//! # use everwit_guest::testing;
//! # testing::bind_secret("tracker", "tracker.example.com header:authorization");
//! # testing::answer_http(|request| {
//! #     assert_eq!(request.url, "https://tracker.example.com/issues?repo=a%2Fb");
//! #     Ok(testing::HttpAnswer::ok("[{}, {}]"))
//! # });
//! # assert_eq!(open_issues("a/b").expect("answered"), 2);
//! ```

mod response;

use core::fmt;
use core::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use crate::bindings::everwit::http::types as wit;
use crate::failure::millis;
use crate::{Failure, Result, host};

pub use response::{BODY_BYTES, Event, Events, Response};

/// What a query's names and values must escape: all but the unreserved characters of RFC 3986.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A request to be sent.
#[derive(Debug, Clone)]
#[must_use = "nothing is sent without `send`"]
pub struct Request {
    raw: wit::Request,
    /// What could not be turned into a body, reported by `send`.
    defect: Option<String>,
}

/// Why a request has no (further) response. With `?` it becomes the tool's failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// "denied", "invalid", "dns", "connect", "tls", "timeout", "limit", "protocol",
    /// "cancelled" or "internal".
    pub kind: String,
    /// What happened and, for "denied", what to grant.
    pub message: String,
    /// Whether the request may have reached the server.
    pub request_sent: bool,
    /// How long to wait before the next try, if the server said so.
    pub retry_after: Option<Duration>,
}

/// Starts a GET request.
pub fn get(url: impl Into<String>) -> Request {
    request("GET", url)
}

/// Starts a POST request.
pub fn post(url: impl Into<String>) -> Request {
    request("POST", url)
}

/// Starts a request with any method, in upper case, to an absolute http or https URL.
pub fn request(method: impl Into<String>, url: impl Into<String>) -> Request {
    Request {
        raw: wit::Request {
            method: method.into(),
            url: url.into(),
            headers: Vec::new(),
            body: Vec::new(),
            timeout_ms: None,
            extra: Vec::new(),
        },
        defect: None,
    }
}

impl Request {
    /// Adds a header field. At most 64 fields and 32 KiB.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.raw.headers.push((name.into(), value.into()));
        self
    }

    /// Adds a parameter to the URL's query, escaped.
    pub fn query(mut self, name: &str, value: impl fmt::Display) -> Self {
        let value = value.to_string();
        let pair = format!("{}={}", utf8_percent_encode(name, QUERY), utf8_percent_encode(&value, QUERY));
        let url = &mut self.raw.url;
        // A fragment is never sent, and would swallow the query if that came after it.
        url.truncate(url.find('#').unwrap_or(url.len()));
        url.push(if url.contains('?') { '&' } else { '?' });
        url.push_str(&pair);
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.raw.body = body.into();
        self
    }

    /// Sets the body to a value as JSON, and the content type to match.
    pub fn json<T: Serialize + ?Sized>(mut self, value: &T) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => self.raw.body = body,
            Err(error) => self.defect = Some(format!("body has no JSON form: {error}")),
        }
        self.header("content-type", "application/json")
    }

    /// Limits this request's time; the call's own limit holds in any case. Up to 49 days, in
    /// steps of 1 ms.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.raw.timeout_ms = Some(u32::try_from(limit.as_millis()).unwrap_or(u32::MAX));
        self
    }

    /// Sends it and waits for the response's head.
    ///
    /// # Errors
    /// A [`Fault`]. Any status is a response, not a fault; see [`Response::successful`].
    pub fn send(self) -> Result<Response, Fault> {
        if let Some(message) = self.defect {
            return Err(Fault { kind: "invalid".into(), message, request_sent: false, retry_after: None });
        }
        Ok(Response::new(host::http::send(&self.raw)?))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)
    }
}

impl From<wit::Fault> for Fault {
    fn from(fault: wit::Fault) -> Self {
        Fault {
            kind: fault.kind,
            message: fault.message,
            request_sent: fault.request_sent,
            retry_after: fault.retry_after_ms.map(Duration::from_millis),
        }
    }
}

impl From<Fault> for wit::Fault {
    fn from(fault: Fault) -> Self {
        wit::Fault {
            kind: fault.kind,
            message: fault.message,
            request_sent: fault.request_sent,
            retry_after_ms: fault.retry_after.map(millis),
        }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        let code = format!("http_{}", fault.kind);
        let failure = match fault.kind.as_str() {
            "denied" => Failure::denied(code, fault.message),
            "timeout" => Failure::timeout(code, fault.message),
            "cancelled" => Failure::new("cancelled", code, fault.message),
            "invalid" | "internal" => Failure::internal(code, fault.message),
            "dns" | "connect" | "tls" | "protocol" => Failure::upstream(code, fault.message).retryable(true),
            _ => Failure::upstream(code, fault.message),
        };
        match fault.retry_after {
            Some(pause) => failure.after(pause),
            None => failure,
        }
    }
}
