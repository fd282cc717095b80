//! How a scripted answer is delivered.

use axum::http::StatusCode;
use bytes::Bytes;

use super::{Answer, Failure};

/// One response of a stub vendor.
#[derive(Debug, Clone)]
pub struct Reply {
    pub(super) content: Content,
    pub(super) chunks: Chunks,
    /// How many events of the stream are sent; none means all.
    pub(super) events: Option<usize>,
    pub(super) end: End,
}

/// What a reply consists of.
#[derive(Debug, Clone)]
pub(super) enum Content {
    Answer(Answer),
    /// The answer breaks off with this failure inside the stream, after so many of its events.
    FailingAnswer(Answer, usize, Failure),
    Failure(Failure),
    Raw {
        status: StatusCode,
        headers: Vec<(&'static str, String)>,
        body: Bytes,
    },
}

/// How the body is cut into chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chunks {
    /// One chunk for each event of the stream.
    Events,
    /// So many bytes each, without regard to events or characters.
    Bytes(usize),
    /// Everything at once.
    One,
}

/// What happens after the last chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The body ends as HTTP says, even if the vendor's own end is missing.
    Orderly,
    /// The connection breaks in the middle of the body.
    Broken,
    /// Nothing more comes, and the connection stays open.
    Silent,
}

impl Reply {
    /// A complete answer, an event a chunk.
    pub fn answer(answer: Answer) -> Self {
        Self::of(Content::Answer(answer))
    }

    /// A refusal, as the vendor words it.
    pub fn failure(failure: Failure) -> Self {
        Self::of(Content::Failure(failure))
    }

    /// An answer that fails inside the stream after `events` of its events.
    pub fn failing(answer: Answer, events: usize, failure: Failure) -> Self {
        Self::of(Content::FailingAnswer(answer, events, failure))
    }

    /// Something that is no vendor's answer.
    ///
    /// # Panics
    /// If the status is none of HTTP.
    pub fn raw(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        let status = StatusCode::from_u16(status).expect("the test gives a status of HTTP");
        Self::of(Content::Raw { status, headers: vec![("content-type", content_type.to_owned())], body: body.into() })
    }

    fn of(content: Content) -> Self {
        Self { content, chunks: Chunks::Events, events: None, end: End::Orderly }
    }

    /// Cuts the body into other chunks.
    #[must_use]
    pub fn chunks(mut self, chunks: Chunks) -> Self {
        self.chunks = chunks;
        self
    }

    /// Sends only the first `events` of the stream's events, and then ends so.
    #[must_use]
    pub fn cut(mut self, events: usize, end: End) -> Self {
        self.events = Some(events);
        self.end = end;
        self
    }
}
