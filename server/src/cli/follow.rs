//! The events of a session as they happen, without a gap when a connection is lost.

use std::time::Duration;

use everwit_runtime::egress::{EgressResponse, SseEvent};
use everwit_runtime::id::SessionId;
use serde_json::Value;

use super::client::Server;
use super::output::{Failure, note};

/// Pause before a lost connection is made again.
const PAUSE: Duration = Duration::from_secs(1);
/// Longest pause that a server can ask for.
const MAX_PAUSE: Duration = Duration::from_secs(10);
/// Tries in a row that bring no event, after which the server counts as gone.
const MAX_TRIES: u32 = 30;

/// Follows one session.
pub(super) struct Follower<'a> {
    server: &'a Server,
    session: SessionId,
    /// Sequence of the last stored event that was seen.
    at: u64,
    stream: Option<EgressResponse>,
    /// Tries since the last event, and what went wrong with the last one of them.
    tries: u32,
    loss: Option<Failure>,
}

impl<'a> Follower<'a> {
    /// Begins after the event with this sequence, or with what happens next.
    pub(super) async fn open(server: &'a Server, session: SessionId, after: Option<u64>) -> Result<Self, Failure> {
        let mut follower = Self { server, session, at: 0, stream: None, tries: 0, loss: None };
        let mut stream = follower.connect(after).await?;
        let greeting = stream.next_event().await.map_err(|error| server.lost(&error))?;
        let position = greeting.and_then(|greeting| parsed(&greeting)?["sequence"].as_u64());
        let position = after.or(position).ok_or_else(|| Failure::failed("the stream of events begins with no position"))?;
        (follower.at, follower.stream) = (position, Some(stream));
        Ok(follower)
    }

    /// The next event, as JSON. Dropping the future loses none.
    pub(super) async fn next(&mut self) -> Result<Value, Failure> {
        loop {
            let Some(stream) = &mut self.stream else {
                self.reconnect().await?;
                continue;
            };
            match stream.next_event().await {
                Ok(Some(frame)) if frame.event == "connected" => {}
                Ok(Some(frame)) if frame.event == "disconnecting" => {
                    let pause = parsed(&frame).and_then(|said| said["retry_ms"].as_u64()).map_or(PAUSE, Duration::from_millis);
                    self.stream = None;
                    tokio::time::sleep(pause.min(MAX_PAUSE)).await;
                }
                Ok(Some(frame)) => {
                    let event = parsed(&frame).ok_or_else(|| Failure::failed("the server sends an event that is no JSON"))?;
                    self.at = event["sequence"].as_u64().unwrap_or(self.at);
                    self.tries = 0;
                    return Ok(event);
                }
                Ok(None) => self.stream = None,
                Err(error) => (self.stream, self.loss) = (None, Some(self.server.lost(&error))),
            }
        }
    }

    async fn reconnect(&mut self) -> Result<(), Failure> {
        self.tries += 1;
        if self.tries > MAX_TRIES {
            return Err(self.loss.take().unwrap_or_else(|| Failure::failed("the server ends each stream of events before the first one")));
        }
        if self.tries > 1 {
            tokio::time::sleep(PAUSE).await;
        }
        match self.connect(Some(self.at)).await {
            Ok(stream) => self.stream = Some(stream),
            Err(failure) => {
                if self.tries == 1 {
                    note(&format!("{failure}; trying again"));
                }
                self.loss = Some(failure);
            }
        }
        Ok(())
    }

    async fn connect(&self, after: Option<u64>) -> Result<EgressResponse, Failure> {
        let cursor = after.map(|sequence| format!("?after_sequence={sequence}")).unwrap_or_default();
        self.server.stream(&format!("v1/sessions/{}/sse{cursor}", self.session)).await
    }
}

fn parsed(frame: &SseEvent) -> Option<Value> {
    serde_json::from_str(&frame.data).ok()
}
