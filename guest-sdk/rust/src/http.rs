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

use core::fmt;
use core::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::everwit::http::types as wit;
use crate::failure::millis;
use crate::{Failure, Result, host};

/// Most bytes that one read takes from the host.
const READ_BYTES: u32 = 256 * 1024;

/// Largest body that is read whole unless [`Response::limit`] says otherwise, in bytes.
pub const BODY_BYTES: usize = 8 * 1024 * 1024;

/// Longest excerpt of an error's body in a failure's message, in bytes.
const EXCERPT_BYTES: usize = 500;

/// What a query's names and values must escape: all but the unreserved characters of RFC 3986.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A request to be sent.
#[derive(Debug, Clone)]
#[must_use = "nothing is sent without `send`"]
pub struct Request {
    raw: wit::Request,
    /// What could not be turned into a body, reported by `send`.
    defect: Option<String>,
}

/// A response whose body is still to be read.
#[derive(Debug)]
pub struct Response {
    raw: host::http::Response,
    head: wit::Head,
    limit: usize,
}

/// One server-sent event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The `event` field, "message" if absent.
    pub event: String,
    /// The `data` lines, joined by newlines.
    pub data: String,
    /// The `id` field, empty if absent.
    pub id: String,
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

/// The server-sent events of a response.
#[derive(Debug)]
pub struct Events {
    raw: host::http::Response,
    done: bool,
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
        let pair = format!(
            "{}={}",
            utf8_percent_encode(name, QUERY),
            utf8_percent_encode(&value, QUERY)
        );
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
            return Err(Fault {
                kind: "invalid".into(),
                message,
                request_sent: false,
                retry_after: None,
            });
        }
        let raw = host::http::send(&self.raw)?;
        let head = raw.head();
        Ok(Response {
            raw,
            head,
            limit: BODY_BYTES,
        })
    }
}

impl Response {
    /// The status code.
    pub fn status(&self) -> u16 {
        self.head.status
    }

    /// The header fields in order, names in lower case.
    pub fn headers(&self) -> &[(String, String)] {
        &self.head.headers
    }

    /// The first header field of this name; the name's case does not matter.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.headers.iter();
        headers
            .find(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Sets how large a body may be to be read whole, in bytes; [`BODY_BYTES`] otherwise.
    #[must_use]
    pub fn limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    /// This response, if its status is 2xx.
    ///
    /// # Errors
    /// A failure of the kind that fits the status, with the beginning of the body in its
    /// message and the server's `retry-after` in seconds, if it sent one.
    pub fn successful(self) -> Result<Self> {
        let status = self.status();
        if (200..300).contains(&status) {
            return Ok(self);
        }
        let pause = self
            .header("retry-after")
            .and_then(|text| text.parse().ok());
        let body = self.limit(EXCERPT_BYTES).excerpt();
        let message = format!("the server answered {status}: {body}");
        let code = format!("http_{status}");
        let failure = match status {
            401 | 403 => Failure::denied(code, message),
            404 | 410 => Failure::not_found(code, message),
            408 | 504 => Failure::timeout(code, message),
            409 | 412 => Failure::conflict(code, message),
            429 => Failure::rate_limited(code, message),
            _ => Failure::upstream(code, message).retryable(status >= 500),
        };
        Err(match pause {
            Some(seconds) if failure.is_retryable() => failure.after(Duration::from_secs(seconds)),
            _ => failure,
        })
    }

    /// The next piece of the body, at most 256 KiB; `None` at its end.
    ///
    /// # Errors
    /// A [`Fault`].
    pub fn chunk(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        Ok(self.raw.read(READ_BYTES)?)
    }

    /// The whole body.
    ///
    /// # Errors
    /// A [`Fault`], of kind "limit" if the body is larger than allowed.
    pub fn bytes(mut self) -> Result<Vec<u8>, Fault> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk()? {
            if body.len() + chunk.len() > self.limit {
                return Err(Fault {
                    kind: "limit".into(),
                    message: format!("the body is larger than {} bytes", self.limit),
                    request_sent: true,
                    retry_after: None,
                });
            }
            if body.is_empty() {
                body = chunk;
            } else {
                body.extend_from_slice(&chunk);
            }
        }
        Ok(body)
    }

    /// The whole body as text; what is no UTF-8 is replaced.
    ///
    /// # Errors
    /// As [`Response::bytes`].
    pub fn text(self) -> Result<String, Fault> {
        let body = self.bytes()?;
        Ok(String::from_utf8(body)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    /// The whole body, read as JSON.
    ///
    /// # Errors
    /// As [`Response::bytes`]; and kind "upstream", code "unexpected_body" if it does not fit.
    pub fn json<T: DeserializeOwned>(self) -> Result<T> {
        let body = self.bytes()?;
        serde_json::from_slice(&body).map_err(|error| {
            Failure::upstream(
                "unexpected_body",
                format!("the server's answer is not as expected: {error}"),
            )
        })
    }

    /// The body as server-sent events.
    pub fn events(self) -> Events {
        Events {
            raw: self.raw,
            done: false,
        }
    }

    /// The body's beginning, as text; for messages.
    fn excerpt(mut self) -> String {
        let mut body = Vec::new();
        while body.len() < self.limit {
            match self.chunk() {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) | Err(_) => break,
            }
        }
        let mut text = String::from_utf8_lossy(&body).into_owned();
        text.truncate(text.floor_char_boundary(self.limit));
        text
    }
}

impl Iterator for Events {
    type Item = Result<Event, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        match self.raw.read_sse() {
            Ok(Some(event)) => Some(Ok(Event {
                event: event.event,
                data: event.data,
                id: event.id,
            })),
            Ok(None) => {
                self.done = true;
                None
            }
            Err(fault) => {
                self.done = true;
                Some(Err(fault.into()))
            }
        }
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
            "dns" | "connect" | "tls" | "protocol" => {
                Failure::upstream(code, fault.message).retryable(true)
            }
            _ => Failure::upstream(code, fault.message),
        };
        match fault.retry_after {
            Some(pause) => failure.after(pause),
            None => failure,
        }
    }
}
