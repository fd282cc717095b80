//! Reading a response.

use core::time::Duration;

use serde::de::DeserializeOwned;

use super::Fault;
use crate::bindings::everwit::http::types as wit;
use crate::{Failure, Result, host};

/// Most bytes that one read takes from the host.
const READ_BYTES: u32 = 256 * 1024;

/// Largest body that is read whole unless [`Response::limit`] says otherwise, in bytes.
pub const BODY_BYTES: usize = 8 * 1024 * 1024;

/// Longest excerpt of an error's body in a failure's message, in bytes.
const EXCERPT_BYTES: usize = 500;

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

/// The server-sent events of a response.
#[derive(Debug)]
pub struct Events {
    raw: host::http::Response,
    done: bool,
}

impl Response {
    pub(super) fn new(raw: host::http::Response) -> Self {
        Response { head: raw.head(), raw, limit: BODY_BYTES }
    }

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
        headers.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// How long the server asks to wait before the next try: `retry-after`, whether in seconds or
    /// as a time.
    pub fn retry_after(&self) -> Option<Duration> {
        self.head.retry_after_ms.map(Duration::from_millis)
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
    /// message and the wait that the server asks for, if it does.
    pub fn successful(self) -> Result<Self> {
        let status = self.status();
        if (200..300).contains(&status) {
            return Ok(self);
        }
        let pause = self.retry_after();
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
            Some(pause) if failure.is_retryable() => failure.after(pause),
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
        Ok(String::from_utf8(body).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    /// The whole body, read as JSON.
    ///
    /// # Errors
    /// As [`Response::bytes`]; and kind "upstream", code "unexpected_body" if it does not fit.
    pub fn json<T: DeserializeOwned>(self) -> Result<T> {
        let body = self.bytes()?;
        serde_json::from_slice(&body)
            .map_err(|error| Failure::upstream("unexpected_body", format!("the server's answer is not as expected: {error}")))
    }

    /// The body as server-sent events.
    pub fn events(self) -> Events {
        Events { raw: self.raw, done: false }
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
            Ok(Some(event)) => Some(Ok(Event { event: event.event, data: event.data, id: event.id })),
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
