//! One request and its response over one connection.
//!
//! The connection is polled by whoever waits for the response, not by a task of its own: dropping
//! the response, or the future that waits for it, closes the socket.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::ready;
use http::header::{DATE, HeaderMap, RETRY_AFTER};
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::quota::Meter;
use super::{ByteStream, EgressError, EgressErrorKind, SseDecoder, SseEvent};

/// Status line and header fields of a response, in bytes; its trailers count apart.
pub const MAX_RESPONSE_HEAD_BYTES: usize = 64 << 10;
/// Header fields of a response.
pub const MAX_RESPONSE_FIELDS: usize = 128;

/// When a request has to be over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline(pub(super) Instant);

impl Deadline {
    /// Time until then.
    pub(super) fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Waits for `future`, at most `limit` and never beyond the deadline.
    pub(super) async fn within<F: Future>(self, what: &str, limit: Duration, future: F) -> Result<F::Output, EgressError> {
        let left = self.left();
        // A future that is always ready would otherwise never notice.
        if left.is_zero() {
            return Err(EgressError::new(EgressErrorKind::Timeout, format!("no time is left for {what}")));
        }
        let limit = limit.min(left);
        tokio::time::timeout(limit, future).await.map_err(|_| EgressError::timeout(what, limit))
    }
}

type Connection = http1::Connection<TokioIo<Box<dyn ByteStream>>, Full<Bytes>>;

/// A connection that carries one request; none once it is closed.
struct Wire {
    connection: Option<Pin<Box<Connection>>>,
    // Dropped early, it would tell the connection that nobody waits any more.
    _sender: http1::SendRequest<Full<Bytes>>,
}

impl Wire {
    /// Moves bytes. An error of the connection also arrives at whoever waits for the response.
    fn drive(&mut self, context: &mut Context<'_>) {
        if let Some(connection) = &mut self.connection
            && connection.as_mut().poll(context).is_ready()
        {
            self.connection = None;
        }
    }
}

/// Sends a request and waits for the head of its response.
///
/// # Errors
/// `limit` for too large a head, `protocol` for anything else.
pub(super) async fn exchange(
    stream: Box<dyn ByteStream>,
    request: http::Request<Full<Bytes>>,
    host: &str,
) -> Result<Exchanged, EgressError> {
    // The defaults refuse HTTP/0.9, folded lines and spaces before colons.
    let (mut sender, connection) = http1::Builder::new()
        .max_headers(MAX_RESPONSE_FIELDS)
        .max_header_size(MAX_RESPONSE_HEAD_BYTES)
        .max_buf_size(MAX_RESPONSE_HEAD_BYTES)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| broken(&error, host))?;
    let mut response = Box::pin(sender.send_request(request));
    let mut wire = Wire { connection: Some(Box::pin(connection)), _sender: sender };
    let response = poll_fn(|context| {
        wire.drive(context);
        response.as_mut().poll(context)
    })
    .await
    .map_err(|error| broken(&error, host))?;
    if response.status().is_informational() {
        return Err(EgressError::new(EgressErrorKind::Protocol, format!("{host} switches to another protocol")).after_sending());
    }
    Ok(Exchanged { wire, response })
}

/// A response whose head has arrived.
pub(super) struct Exchanged {
    wire: Wire,
    response: http::Response<Incoming>,
}

/// What a response needs to be read under the caps of its call.
pub(super) struct Caps {
    pub(super) meter: Meter,
    pub(super) deadline: Deadline,
    pub(super) idle: Duration,
    pub(super) _permit: OwnedSemaphorePermit,
}

/// A response whose body is read piece by piece. Nothing is decompressed and no redirect
/// is followed. Dropping it closes the connection.
pub struct EgressResponse {
    head: http::response::Parts,
    body: Incoming,
    wire: Wire,
    caps: Caps,
    host: String,
    pending: Bytes,
    events: SseDecoder,
    failed: Option<EgressError>,
}

impl fmt::Debug for EgressResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EgressResponse").field("status", &self.status()).field("host", &self.host).finish_non_exhaustive()
    }
}

impl EgressResponse {
    pub(super) fn new(exchanged: Exchanged, host: String, caps: Caps) -> Self {
        let Exchanged { wire, response } = exchanged;
        let (head, body) = response.into_parts();
        Self { head, body, wire, caps, host, pending: Bytes::new(), events: SseDecoder::default(), failed: None }
    }

    /// Status code.
    pub fn status(&self) -> u16 {
        self.head.status.as_u16()
    }

    /// Header fields; names in lower case.
    pub fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// How long the server asks to wait before the next try, in milliseconds: given in seconds, or
    /// as a time, which counts from the response's own `Date`. None without either.
    pub fn retry_after_ms(&self) -> Option<u64> {
        let field = |name| self.headers().get(name)?.to_str().ok();
        retry_after_ms(field(RETRY_AFTER), field(DATE))
    }

    /// The next piece of the body, of 1 to `max` bytes; none at its end. Not to be mixed with
    /// [`Self::next_event`].
    ///
    /// # Errors
    /// `timeout`, `limit` or `protocol`; the same one again once it has failed.
    pub async fn chunk(&mut self, max: usize) -> Result<Option<Bytes>, EgressError> {
        if self.pending.is_empty() {
            match self.receive().await? {
                Some(data) => self.pending = data,
                None => return Ok(None),
            }
        }
        let size = self.pending.len().min(max.max(1));
        Ok(Some(self.pending.split_to(size)))
    }

    /// The next server-sent event; none at the end. Not to be mixed with [`Self::chunk`].
    ///
    /// # Errors
    /// As for [`Self::chunk`]; `limit` for an event that is too large.
    pub async fn next_event(&mut self) -> Result<Option<SseEvent>, EgressError> {
        loop {
            match self.events.next(&mut self.pending) {
                Ok(Some(event)) => return Ok(Some(event)),
                Ok(None) => {}
                Err(error) => return Err(self.fail(EgressError::limit(error.to_string()))),
            }
            match self.receive().await? {
                Some(data) => self.pending = data,
                None => return Ok(None),
            }
        }
    }

    async fn receive(&mut self) -> Result<Option<Bytes>, EgressError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let (wire, body) = (&mut self.wire, &mut self.body);
        let data = poll_fn(|context| {
            wire.drive(context);
            poll_data(body, context)
        });
        let data = match self.caps.deadline.within("the next piece of the response", self.caps.idle, data).await {
            Ok(None) => return Ok(None),
            Ok(Some(Ok(data))) => self.caps.meter.take(data.len()).map(|()| data),
            Ok(Some(Err(error))) => Err(broken(&error, &self.host)),
            Err(error) => Err(error),
        };
        data.map(Some).map_err(|error| self.fail(error))
    }

    fn fail(&mut self, error: EgressError) -> EgressError {
        let error = error.after_sending();
        self.pending = Bytes::new();
        self.wire.connection = None;
        self.failed = Some(error.clone());
        error
    }
}

/// The next data of a body; trailers are dropped.
fn poll_data(body: &mut Incoming, context: &mut Context<'_>) -> Poll<Option<hyper::Result<Bytes>>> {
    loop {
        match ready!(Pin::new(&mut *body).poll_frame(context)) {
            None => return Poll::Ready(None),
            Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) if !data.is_empty() => return Poll::Ready(Some(Ok(data))),
                _ => {}
            },
        }
    }
}

/// What hyper calls a head beyond the limits. Its predicate for that is compiled only along with its
/// server, which a runtime has no use for.
const HEAD_TOO_LARGE: &str = "message head is too large";

/// In our words: what hyper says may repeat what the server sent.
fn broken(error: &hyper::Error, host: &str) -> EgressError {
    let error = if error.is_parse() && error.to_string() == HEAD_TOO_LARGE {
        EgressError::limit(format!(
            "the head of the response of {host} has more than {MAX_RESPONSE_HEAD_BYTES} bytes or {MAX_RESPONSE_FIELDS} fields"
        ))
    } else if error.is_parse() {
        EgressError::new(EgressErrorKind::Protocol, format!("the answer of {host} is not HTTP/1.1"))
    } else {
        EgressError::new(EgressErrorKind::Protocol, format!("the connection to {host} broke before the response was complete"))
    };
    error.after_sending()
}

/// As [`EgressResponse::retry_after_ms`], for the fields `Retry-After` and `Date` of a response.
pub(crate) fn retry_after_ms(retry_after: Option<&str>, date: Option<&str>) -> Option<u64> {
    let value = retry_after?.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(seconds.saturating_mul(1_000));
    }
    // By the server's clock, because ours may be another.
    let (until, now) = (httpdate::parse_http_date(value).ok()?, httpdate::parse_http_date(date?.trim()).ok()?);
    let wait = until.duration_since(now).unwrap_or_default();
    u64::try_from(wait.as_millis()).ok()
}
