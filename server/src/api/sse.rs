//! The event stream of a session: stored events gap-free and in order, live-only events between
//! them.
//!
//! Truth is the store, the bus only says when to look: a stored event that arrives out of turn,
//! or a listener that fell behind, makes the stream read the store. Nothing is buffered for a
//! reader that does not read.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{FromRequestParts, Path, State};
use axum::http::header::CACHE_CONTROL;
use axum::http::request::Parts;
use axum::http::{HeaderName, StatusCode};
use axum::response::sse::{Event as Frame, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use everwit_runtime::event::Event;
use everwit_runtime::id::{EventId, OrgId, SessionId};
use everwit_runtime::mutation::off;
use futures::{Stream, StreamExt as _, stream};
use jiff::Timestamp;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use utoipa::IntoParams;

use super::events::{Record, TypeFilter};
use super::extract::{FromParams, MAX_INTEGER, Params, Query};
use super::{App, resolve};
use crate::auth::Caller;
use crate::lifecycle::Phase;
use crate::problem::Problem;

/// Between two signs of life on a silent stream; proxies commonly cut after 30 to 60 seconds.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Longest life of one stream. Clients reconnect without loss; a revoked key ends by this.
const MAX_AGE: Duration = Duration::from_secs(15 * 60);
/// How long clients are told to wait before they reconnect, in milliseconds.
const RETRY_MS: u64 = 1_000;
/// The same when only this stream ends, not the server.
const CYCLE_RETRY_MS: u64 = 100;
/// Events that one read of the store gives the stream.
const CATCH_UP_EVENTS: usize = 256;
/// Streams of one session.
const MAX_STREAMS_PER_SESSION: usize = 16;
/// Streams of all sessions; leaves connections for everything else.
const MAX_STREAMS: usize = 768;

/// Which events, from where on.
#[derive(Debug, Default, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct StreamParams {
    /// Replay what came after this sequence first; 0 replays everything.
    after_sequence: Option<u64>,
    /// Replay what came after the event with this id first.
    #[param(value_type = Option<String>)]
    since_id: Option<EventId>,
    #[param(ignore)]
    filter: TypeFilter,
}

impl FromParams for StreamParams {
    fn from_params(params: &mut Params) -> Self {
        Self {
            after_sequence: params.number("after_sequence", 0, MAX_INTEGER),
            since_id: params.one("since_id", "the id of an event"),
            filter: TypeFilter::from_params(params),
        }
    }
}

/// The `Last-Event-ID` header.
pub(crate) struct LastEventId(Option<EventId>);

impl<S: Send + Sync> FromRequestParts<S> for LastEventId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get("last-event-id") else { return Ok(Self(None)) };
        let id = value.to_str().ok().and_then(|text| text.parse().ok());
        id.map(|id| Self(Some(id))).ok_or_else(|| Problem::bad_request("invalid_header", "Last-Event-ID must be the id of an event"))
    }
}

/// Stream events
///
/// Server-sent events: `connected` first, then each event with its type as the event name and
/// the event as JSON data. Stored events carry their id as `id`, so that a client resumes with
/// `Last-Event-ID`; live-only events carry none. Without a cursor the stream begins with what
/// happens next. `disconnecting` announces the end of a stream, with `retry_ms`.
#[utoipa::path(
    get,
    path = "/sessions/{session_id}/sse",
    tag = "events",
    operation_id = "stream_events",
    params(
        ("session_id" = String, Path, description = "Id"),
        (
            "Last-Event-ID" = Option<String>,
            Header,
            description = "Id of the last event that was seen; not together with since_id or after_sequence",
        ),
        StreamParams,
        TypeFilter,
    ),
    responses(
        (status = 200, content_type = "text/event-stream", body = Event),
        (status = 429, description = "Too many streams of the session"),
    ),
)]
pub(crate) async fn stream_events(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
    LastEventId(last): LastEventId,
    Query(params): Query<StreamParams>,
) -> Result<Response, Problem> {
    let session = resolve::session(&app, caller.org, &reference).await?.id;
    let slot = app.streams.take(session)?;
    let feed = Feed::open(app, slot, (caller.org, session), last, params).await?;
    Ok(respond(frames(feed)))
}

/// The frames with signs of life between them, and an end after [`MAX_AGE`].
fn respond(frames: impl Stream<Item = Frame> + Send + 'static) -> Response {
    let keep_alive = KeepAlive::new().interval(HEARTBEAT).text("hb");
    let headers = [(CACHE_CONTROL, "no-store, no-transform"), (HeaderName::from_static("x-accel-buffering"), "no")];
    (headers, Sse::new(aging(frames).map(Ok::<_, Infallible>)).keep_alive(keep_alive)).into_response()
}

fn aging(frames: impl Stream<Item = Frame> + Send + 'static) -> impl Stream<Item = Frame> + Send {
    let ends = Instant::now() + MAX_AGE;
    stream::unfold(Some(frames.boxed()), move |frames| async move {
        let mut frames = frames?;
        tokio::select! {
            frame = frames.next() => Some((frame?, Some(frames))),
            () = tokio::time::sleep_until(ends) => Some((farewell("connection_cycle", CYCLE_RETRY_MS), None)),
        }
    })
}

fn frames(feed: Feed) -> impl Stream<Item = Frame> {
    stream::unfold(Some(feed), |feed| async {
        let mut feed = feed?;
        let (frame, goes_on) = feed.next().await;
        Some((frame, goes_on.then_some(feed)))
    })
}

/// State of one stream.
struct Feed {
    app: App,
    slot: Slot,
    key: (OrgId, SessionId),
    filter: TypeFilter,
    bus: Receiver<Arc<Event>>,
    /// Up to where others have appended, as the bus tells.
    stored: Option<watch::Receiver<u64>>,
    /// Sequence of the last stored event that was delivered or filtered out.
    at: u64,
    /// Time of the last event that was read from the store: live-only events that the bus still
    /// holds from before are about what has been delivered.
    read_to: Timestamp,
    /// Whether the store may have more than the bus will tell.
    behind: bool,
    ready: VecDeque<Event>,
    greeted: bool,
}

impl Feed {
    async fn open(app: App, slot: Slot, key: (OrgId, SessionId), last: Option<EventId>, params: StreamParams) -> Result<Self, Problem> {
        // Listening begins before the position is read, so that nothing falls between the two.
        let (bus, stored) = listen(&app, key.1);
        let record = Record { app: &app, org: key.0, session: key.1 };
        let at = match (last, params.since_id, params.after_sequence) {
            (None, None, None) => record.end().await?,
            // A cursor beyond the end would hide everything up to it.
            (None, None, Some(sequence)) => sequence.min(record.end().await?),
            (Some(id), None, None) | (None, Some(id), None) => record.position_of(id).await?,
            _ => {
                let detail = "Last-Event-ID, since_id and after_sequence exclude each other";
                return Err(Problem::bad_request("exclusive", detail));
            }
        };
        Ok(Self {
            app: app.clone(),
            slot,
            key,
            filter: params.filter,
            bus,
            stored,
            at,
            read_to: Timestamp::MIN,
            behind: true,
            ready: VecDeque::new(),
            greeted: false,
        })
    }

    /// The next frame, and whether others may follow.
    async fn next(&mut self) -> (Frame, bool) {
        if !self.greeted {
            self.greeted = true;
            let data = format!("{{\"status\":\"connected\",\"sequence\":{}}}", self.at);
            return (Frame::default().event("connected").retry(Duration::from_millis(RETRY_MS)).data(data), true);
        }
        loop {
            while let Some(event) = self.ready.pop_front() {
                if self.filter.passes(event.data.name()) {
                    return (frame_of(&event), true);
                }
            }
            if self.behind {
                match self.read_store().await {
                    Ok(()) => continue,
                    Err(reason) => return (farewell(reason, RETRY_MS), false),
                }
            }
            tokio::select! {
                biased;
                () = self.app.lifecycle.reached(Phase::Draining) => return (farewell("shutdown", RETRY_MS), false),
                () = self.slot.ended.cancelled() => return (farewell("session_deleted", RETRY_MS), false),
                // What was sent live before others stored something is shown before that.
                received = self.bus.recv() => self.take(received),
                sequence = appended(&mut self.stored) => self.behind |= sequence > self.at,
            }
        }
    }

    async fn read_store(&mut self) -> Result<(), &'static str> {
        let record = Record { app: &self.app, org: self.key.0, session: self.key.1 };
        let events = record.read(self.at, CATCH_UP_EVENTS).await.map_err(|problem| {
            tracing::warn!(cause = problem.cause(), session = %self.key.1, "a stream ends because the store cannot be read");
            "unavailable"
        })?;
        self.behind = events.len() == CATCH_UP_EVENTS;
        if let Some(last) = events.last() {
            self.at = last.sequence.unwrap_or(self.at);
            self.read_to = last.ts;
        }
        self.ready.extend(events);
        Ok(())
    }

    fn take(&mut self, received: Result<Arc<Event>, RecvError>) {
        let event = match received {
            Ok(event) => event,
            Err(reason) => {
                if reason == RecvError::Closed {
                    (self.bus, self.stored) = listen(&self.app, self.key.1);
                }
                self.behind = true;
                return;
            }
        };
        match event.sequence {
            None if event.ts >= self.read_to => self.ready.push_back((*event).clone()),
            Some(sequence) if sequence == self.at + 1 => {
                self.at = sequence;
                self.ready.push_back((*event).clone());
            }
            Some(sequence) if sequence > self.at => self.behind = true,
            _ => {}
        }
    }
}

fn listen(app: &App, session: SessionId) -> (Receiver<Arc<Event>>, Option<watch::Receiver<u64>>) {
    let bus = app.stores.event_bus.subscribe(session);
    (bus, app.stores.event_bus.stored(session))
}

/// Returns once others have appended something further.
async fn appended(stored: &mut Option<watch::Receiver<u64>>) -> u64 {
    if let Some(stored) = stored
        && stored.changed().await.is_ok()
    {
        return *stored.borrow_and_update();
    }
    // The bus says by itself that it ends.
    std::future::pending().await
}

fn frame_of(event: &Event) -> Frame {
    let json = serde_json::to_string(event).expect("an event has only string keys");
    let frame = Frame::default().event(event.data.name()).data(json);
    if event.sequence.is_some() { frame.id(event.id.to_string()) } else { frame }
}

fn farewell(reason: &str, retry_ms: u64) -> Frame {
    Frame::default().event("disconnecting").data(format!("{{\"reason\":\"{reason}\",\"retry_ms\":{retry_ms}}}"))
}

/// Counts the open streams of each session.
#[derive(Clone, Default)]
pub(crate) struct Streams {
    open: Arc<Mutex<HashMap<SessionId, Open>>>,
}

/// The streams of one session.
#[derive(Default)]
struct Open {
    count: usize,
    /// Cancelled when the session is deleted.
    ended: CancellationToken,
}

/// The right to one stream; given back when dropped.
struct Slot {
    streams: Streams,
    session: SessionId,
    ended: CancellationToken,
}

impl Streams {
    fn take(&self, session: SessionId) -> Result<Slot, Problem> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, own) = (open.values().map(|open| open.count).sum::<usize>(), open.get(&session).map_or(0, |open| open.count));
        if (own >= MAX_STREAMS_PER_SESSION || all >= MAX_STREAMS) && !off("server.streams") {
            let detail =
                format!("{own} streams of this session and {all} in all are open; {MAX_STREAMS_PER_SESSION} and {MAX_STREAMS} can be");
            return Err(Problem::busy(StatusCode::TOO_MANY_REQUESTS, "too_many_streams", detail, 5));
        }
        let own = open.entry(session).or_default();
        own.count += 1;
        Ok(Slot { streams: self.clone(), session, ended: own.ended.clone() })
    }

    /// Ends the streams of a session that is no more.
    pub(crate) fn end(&self, session: SessionId) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = open.get(&session) {
            open.ended.cancel();
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut open = self.streams.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = open.get_mut(&self.session) {
            own.count -= 1;
            if own.count == 0 {
                open.remove(&self.session);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    /// Paused time moves on by itself when nothing else can happen.
    #[tokio::test(start_paused = true)]
    async fn a_silent_stream_shows_life_and_ends_in_time() {
        let begun = Instant::now();
        let mut body = respond(stream::pending()).into_body();
        let (mut beats, mut last) = (0, String::new());
        while let Some(frame) = body.frame().await {
            let bytes = frame.expect("a stream has no error").into_data().expect("a stream has no trailers");
            last = String::from_utf8(bytes.to_vec()).expect("UTF-8");
            if last.starts_with(':') {
                beats += 1;
                let drift = begun.elapsed().abs_diff(HEARTBEAT * beats);
                assert!(drift < Duration::from_millis(100), "beat {beats} came after {:?}", begun.elapsed());
            }
        }
        assert!(beats >= 59, "{beats} signs of life in {MAX_AGE:?}");
        assert!(last.contains("event: disconnecting") && last.contains("connection_cycle"), "{last}");
        assert!(begun.elapsed().abs_diff(MAX_AGE) < Duration::from_millis(100), "it ended after {:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_ends_by_itself_ends_at_once() {
        let begun = Instant::now();
        let body = respond(stream::iter([Frame::default().data("one")])).into_body().collect().await.expect("a body");
        assert_eq!((body.to_bytes().as_ref(), begun.elapsed()), (b"data: one\n\n".as_slice(), Duration::ZERO));
    }
}
