//! A reader of server-sent events, strict about their form.

use std::collections::VecDeque;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use reqwest::RequestBuilder;
use serde_json::Value;

/// How long the next frame may take: longer than anything that a test waits for, and shorter than the runner waits for a
/// test. Signs of life of the stream do not prolong it.
const FRAME_LIMIT: Duration = Duration::from_secs(60);
/// Frames that a failure shows, the latest ones.
const SHOWN_FRAMES: usize = 20;

/// One frame of a stream.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Frame {
    /// The `id` line.
    pub(crate) id: Option<String>,
    /// The `event` line.
    pub(crate) event: String,
    /// The `data` line, as JSON.
    pub(crate) data: Value,
}

impl Frame {
    /// Sequence of the event, if it is a stored one.
    pub(crate) fn sequence(&self) -> Option<u64> {
        self.data["sequence"].as_u64().filter(|_| self.id.is_some())
    }
}

/// An open stream.
pub(crate) struct EventStream {
    /// Status of the answer.
    pub(crate) status: u16,
    /// Headers of the answer.
    pub(crate) headers: reqwest::header::HeaderMap,
    bytes: BoxStream<'static, Vec<u8>>,
    pending: Vec<u8>,
    /// What came last, for failures.
    seen: VecDeque<String>,
}

impl EventStream {
    pub(crate) async fn open(request: RequestBuilder) -> Self {
        Self::of(request.send().await.expect("the server answers"))
    }

    /// None if the server does not answer.
    pub(crate) async fn try_open(request: RequestBuilder) -> Option<Self> {
        request.send().await.ok().map(Self::of)
    }

    /// That of an answer.
    pub(crate) fn of(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.bytes_stream().map(|piece| piece.map(|piece| piece.to_vec()).unwrap_or_default()).boxed();
        Self { status, headers, bytes, pending: Vec::new(), seen: VecDeque::new() }
    }

    /// The next frame; comments are skipped. None at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        self.next_towards("a frame").await
    }

    /// The next frame on the way to what a test waits for.
    async fn next_towards(&mut self, awaited: &str) -> Option<Frame> {
        let Ok(frame) = tokio::time::timeout(FRAME_LIMIT, self.read()).await else {
            panic!("waiting for {awaited}: nothing but signs of life for {} s, after {:?}", FRAME_LIMIT.as_secs(), self.seen);
        };
        if let Some(frame) = &frame {
            self.seen.truncate(SHOWN_FRAMES - 1);
            self.seen.push_front(format!("{} {}", frame.event, frame.data["sequence"]));
        }
        frame
    }

    async fn read(&mut self) -> Option<Frame> {
        loop {
            if let Some(end) = self.pending.windows(2).position(|two| two == b"\n\n") {
                let block: Vec<u8> = self.pending.drain(..end + 2).collect();
                match parse(str::from_utf8(&block[..end]).expect("the stream is UTF-8")) {
                    Some(frame) => return Some(frame),
                    None => continue,
                }
            }
            let piece = self.bytes.next().await?;
            self.pending.extend_from_slice(&piece);
        }
    }

    /// Frames up to and with the first event of a type.
    pub(crate) async fn until(&mut self, event: &str) -> Vec<Frame> {
        let mut frames = Vec::new();
        loop {
            let Some(frame) = self.next_towards(event).await else { panic!("the stream ended before {event}: {frames:#?}") };
            let found = frame.event == event;
            frames.push(frame);
            if found {
                return frames;
            }
        }
    }
}

fn parse(block: &str) -> Option<Frame> {
    let mut frame = Frame { id: None, event: String::new(), data: Value::Null };
    for line in block.lines() {
        let (name, value) = line.split_once(':').expect("a line has a colon");
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "id" => frame.id = Some(value.to_owned()),
            "event" => value.clone_into(&mut frame.event),
            "data" => frame.data = serde_json::from_str(value).expect("the data is JSON"),
            "retry" | "" => {}
            other => panic!("there is no field {other:?} in event streams"),
        }
    }
    (!frame.event.is_empty()).then_some(frame)
}
