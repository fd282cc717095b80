//! A response, read piece by piece under the caps of its call.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::ready;
use http::header::{DATE, HeaderMap, RETRY_AFTER};
use hyper::body::{Body, Incoming};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::pool::{Connected, Place, Pool};
use super::quota::Meter;
use super::wire::broken;
use super::{EgressError, EgressErrorKind, SseDecoder, SseEvent};
use crate::fail_point::fail_point;
use crate::mutation::off;

/// When a request has to be over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline(pub(super) Instant);

impl Deadline {
    /// Time until then.
    pub(super) fn left(self) -> Duration {
        if off("egress.deadline") { Duration::MAX } else { self.0.saturating_duration_since(Instant::now()) }
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

/// What a response needs to be read under the caps of its call.
pub(super) struct Caps {
    pub(super) meter: Meter,
    pub(super) deadline: Deadline,
    pub(super) idle: Duration,
    pub(super) _permit: OwnedSemaphorePermit,
}

/// What a response arrives on.
pub(super) struct Line {
    pub(super) connected: Connected,
    /// Where the connection goes once the response has been read.
    pub(super) home: Option<(Arc<Pool>, Place)>,
}

/// A response whose body is read piece by piece. Nothing is decompressed and no redirect
/// is followed. Dropping it before its end closes the connection.
pub struct EgressResponse {
    head: http::response::Parts,
    body: Incoming,
    /// None once the body has ended or failed.
    line: Option<Line>,
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
    pub(super) fn new(response: http::Response<Incoming>, line: Line, host: String, caps: Caps) -> Self {
        let (head, body) = response.into_parts();
        Self { head, body, line: Some(line), caps, host, pending: Bytes::new(), events: SseDecoder::default(), failed: None }
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
        let (Some(line), body) = (&mut self.line, &mut self.body) else { return Ok(None) };
        let data = poll_fn(|context| {
            line.connected.wire.drive(context);
            poll_data(body, context)
        });
        let data = match self.caps.deadline.within("the next piece of the response", self.caps.idle, data).await {
            Ok(None) => {
                fail_point!(GatewayEnded);
                self.end();
                return Ok(None);
            }
            Ok(Some(Ok(data))) => self.caps.meter.take(data.len()).map(|()| data),
            Ok(Some(Err(error))) => Err(broken(&error, &self.host)),
            Err(error) => Err(error),
        };
        data.map(Some).map_err(|error| self.fail(error))
    }

    fn end(&mut self) {
        if let Some(Line { connected, home: Some((pool, place)) }) = self.line.take() {
            pool.put(place, connected);
        }
    }

    fn fail(&mut self, error: EgressError) -> EgressError {
        let error = error.after_sending();
        self.pending = Bytes::new();
        self.line = None;
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
