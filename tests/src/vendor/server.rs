//! The server: takes a request, judges it, and plays the next reply.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use futures::StreamExt;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::reply::Content;
use super::{Chunks, End, Failure, Reply, Wire};

/// Largest request that a stub reads, in bytes.
const MAX_REQUEST_BYTES: usize = 32 << 20;

/// A vendor on a port of this machine, for as long as the value lives.
pub struct StubVendor {
    wire: Wire,
    address: SocketAddr,
    shared: Arc<Shared>,
    server: AbortHandle,
}

/// One request that arrived.
#[derive(Debug, Clone)]
pub struct Received {
    /// Method.
    pub method: String,
    /// Path.
    pub path: String,
    /// Query, without its question mark; empty if there is none.
    pub query: String,
    /// Header fields.
    pub headers: HeaderMap,
    /// Body; null if it is no JSON.
    pub body: Value,
}

impl Received {
    /// A header field as text; empty if it is missing or no text.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

#[derive(Default)]
struct Shared {
    replies: Mutex<VecDeque<Reply>>,
    received: Mutex<Vec<Received>>,
    hung_up: Notify,
}

impl StubVendor {
    /// Starts one.
    ///
    /// # Panics
    /// If loopback has no free port.
    pub async fn start(wire: Wire) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared::default());
        let app = Router::new().fallback(handle).with_state((wire, Arc::clone(&shared)));
        let server = tokio::spawn(async move { axum::serve(listener, app).await }).abort_handle();
        Self { wire, address, shared, server }
    }

    /// Its wire.
    pub fn wire(&self) -> Wire {
        self.wire
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its base URL, in the shape that the vendor documents.
    pub fn base_url(&self) -> String {
        self.wire.base_url(self.address)
    }

    /// Adds a reply to those that it plays, one for each right request.
    pub fn play(&self, reply: Reply) -> &Self {
        lock(&self.shared.replies).push_back(reply);
        self
    }

    /// The requests that arrived so far, wrong ones included.
    pub fn received(&self) -> Vec<Received> {
        lock(&self.shared.received).clone()
    }

    /// Replies that nobody has asked for yet.
    pub fn unplayed(&self) -> usize {
        lock(&self.shared.replies).len()
    }

    /// Resolves when a client hangs up before the end of a stream; also if one did already.
    pub async fn hung_up(&self) {
        self.shared.hung_up.notified().await;
    }
}

impl Drop for StubVendor {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn handle(State((wire, shared)): State<(Wire, Arc<Shared>)>, request: Request) -> Result<Response, Infallible> {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, MAX_REQUEST_BYTES).await.unwrap_or_default();
    let received = Received {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
        body: serde_json::from_slice(&body).unwrap_or_default(),
    };
    let judged = wire.judge(&received);
    lock(&shared.received).push(received);
    let reply = match judged {
        Err(failure) => Reply::failure(failure),
        Ok(()) => lock(&shared.replies).pop_front().unwrap_or_else(unscripted),
    };
    Ok(respond(wire, reply, &shared))
}

fn unscripted() -> Reply {
    Reply::failure(Failure::Invalid("the test has scripted no further reply".to_owned()))
}

fn respond(wire: Wire, reply: Reply, shared: &Arc<Shared>) -> Response {
    let Reply { content, chunks, events, end } = reply;
    let stream_headers = vec![("content-type", wire.stream_type().to_owned())];
    let (status, headers, mut body) = match content {
        Content::Answer(answer) => (StatusCode::OK, stream_headers, wire.events(&answer)),
        Content::FailingAnswer(answer, at, failure) => {
            let mut events = wire.events(&answer);
            events.truncate(at);
            events.push(wire.failure_event(&failure));
            (StatusCode::OK, stream_headers, events)
        }
        Content::Failure(failure) => {
            let refusal = wire.refuse(&failure);
            let status = StatusCode::from_u16(refusal.status).expect("failures have statuses of HTTP");
            let mut headers = refusal.headers;
            headers.push(("content-type", "application/json".to_owned()));
            (status, headers, vec![Bytes::from(refusal.body.to_string())])
        }
        Content::Raw { status, headers, body } => (status, headers, vec![body]),
    };
    body.truncate(events.unwrap_or(usize::MAX));
    let mut response = Response::new(stream(cut(body, chunks), end, shared));
    *response.status_mut() = status;
    for (name, value) in headers {
        response.headers_mut().append(name, value.parse().expect("the test gives a header field of HTTP"));
    }
    response
}

fn cut(events: Vec<Bytes>, chunks: Chunks) -> Vec<Bytes> {
    let size = match chunks {
        Chunks::Events => return events,
        Chunks::Bytes(size) => size.max(1),
        Chunks::One => usize::MAX,
    };
    let all: Bytes = events.concat().into();
    all.chunks(size).map(|chunk| all.slice_ref(chunk)).collect()
}

fn stream(chunks: Vec<Bytes>, end: End, shared: &Arc<Shared>) -> Body {
    let mut watch = Watch { shared: Arc::clone(shared), ended: false };
    let chunks = futures::stream::iter(chunks).map(Ok::<_, io::Error>);
    let last = futures::stream::once(async move {
        match end {
            End::Orderly => {
                watch.end();
                Ok(Bytes::new())
            }
            End::Broken => {
                watch.end();
                Err(io::Error::other("the script breaks the connection"))
            }
            End::Silent => std::future::pending().await,
        }
    });
    Body::from_stream(chunks.chain(last))
}

/// Notices that a body is dropped before its end.
struct Watch {
    shared: Arc<Shared>,
    ended: bool,
}

impl Watch {
    fn end(&mut self) {
        self.ended = true;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !self.ended {
            self.shared.hung_up.notify_one();
        }
    }
}
