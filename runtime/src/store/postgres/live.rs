//! Live-only events for listeners in other processes: each is told to whoever listens to the database, in the order of
//! their emission, as far as the database keeps up. Best effort: what does not fit is dropped, and a turn never waits.
//!
//! Nobody learns by it whose session it is: a stream is opened only for callers of the session's org, and a bus delivers
//! by session.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::bus::{EventBus, EventEmitter};
use crate::event::{Event, EventData};
use crate::id::SessionId;

/// Where live events are told.
pub(super) const CHANNEL: &str = "everwit_live";
/// Bytes of one notification; the database takes 7,999.
const MAX_PAYLOAD_BYTES: usize = 7_900;
/// Bytes of text in one delta: as JSON, even of characters that JSON writes as six, it fits a notification beside its envelope.
const MAX_DELTA_BYTES: usize = 1_024;
/// Events that wait to be told; further ones are dropped.
const MAX_WAITING: usize = 1_024;
/// Events that are told together, at most: those that came while the ones before them were told.
const MAX_TOGETHER: usize = 64;
/// Pause before a lost connection is made again. What comes meanwhile is dropped.
const RECONNECT: Duration = Duration::from_secs(1);
/// How long one notification may take.
const LIMIT: Duration = Duration::from_secs(2);

/// A bus that also tells other processes what is live.
pub(super) struct RelayingBus {
    inner: Arc<dyn EventBus>,
    sender: mpsc::Sender<Event>,
    _telling: AbortOnDropHandle<()>,
}

impl RelayingBus {
    /// `teller` is told the process id of the connection that tells, for those who do not want to hear themselves.
    pub(super) fn new(inner: Arc<dyn EventBus>, options: PgConnectOptions, teller: Arc<AtomicU32>) -> Self {
        let (sender, receiver) = mpsc::channel(MAX_WAITING);
        // They are no part of what a turn does to the database.
        let telling = TaskTracker::new().spawn(tell(receiver, options.disable_statement_logging(), teller));
        Self { inner, sender, _telling: AbortOnDropHandle::new(telling) }
    }
}

impl EventEmitter for RelayingBus {
    fn emit(&self, event: Event) {
        if event.sequence.is_none() {
            for part in parts(&event) {
                // Nobody waits for a database that does not keep up.
                let _dropped = self.sender.try_send(part);
            }
        }
        self.inner.emit(event);
    }
}

impl EventBus for RelayingBus {
    fn subscribe(&self, session_id: SessionId) -> broadcast::Receiver<Arc<Event>> {
        self.inner.subscribe(session_id)
    }

    fn stored(&self, session_id: SessionId) -> Option<watch::Receiver<u64>> {
        self.inner.stored(session_id)
    }

    fn appended_elsewhere(&self, session_id: SessionId, sequence: u64) {
        self.inner.appended_elsewhere(session_id, sequence);
    }

    fn missed(&self) {
        self.inner.missed();
    }

    fn collected_events(&self) -> Vec<Event> {
        self.inner.collected_events()
    }
}

/// The event, or a long delta as several shorter ones.
fn parts(event: &Event) -> Vec<Event> {
    let (text, begin) = match &event.data {
        EventData::OutputMessageDelta { delta, offset, .. } | EventData::ReasonThinkingDelta { delta, offset, .. } => (delta, *offset),
        _ => return vec![event.clone()],
    };
    let (mut parts, mut rest, mut at) = (Vec::new(), text.as_str(), begin);
    while !rest.is_empty() {
        let (piece, further) = rest.split_at(rest.floor_char_boundary(MAX_DELTA_BYTES));
        let mut part = event.clone();
        if let EventData::OutputMessageDelta { delta, offset, .. } | EventData::ReasonThinkingDelta { delta, offset, .. } = &mut part.data {
            (*delta, *offset) = (piece.to_owned(), at);
        }
        parts.push(part);
        (rest, at) = (further, at + piece.len() as u64);
    }
    parts
}

/// Notifications of these events, one event a line. One that fits none is left out.
fn payloads(events: &[Event]) -> Vec<String> {
    let mut payloads: Vec<String> = Vec::new();
    for event in events {
        let Ok(line) = serde_json::to_string(event) else { continue };
        if line.len() > MAX_PAYLOAD_BYTES {
            continue;
        }
        match payloads.last_mut().filter(|last| last.len() + 1 + line.len() <= MAX_PAYLOAD_BYTES) {
            Some(last) => {
                last.push('\n');
                last.push_str(&line);
            }
            None => payloads.push(line),
        }
    }
    payloads
}

/// The live-only events of a notification. What is none, or pretends to be stored, is left out.
pub(super) fn parse(payload: &str) -> Vec<Event> {
    let events = payload.lines().filter_map(|line| serde_json::from_str::<Event>(line).ok());
    events.filter(|event| event.sequence.is_none()).collect()
}

async fn tell(mut receiver: mpsc::Receiver<Event>, options: PgConnectOptions, teller: Arc<AtomicU32>) {
    let (mut connection, mut events) = (None, Vec::new());
    while receiver.recv_many(&mut events, MAX_TOGETHER).await > 0 {
        let told = tokio::time::timeout(LIMIT, notify(&mut connection, &options, &teller, &payloads(&events))).await;
        events.clear();
        let error = match told {
            Ok(Ok(())) => continue,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("it took more than {LIMIT:?}"),
        };
        tracing::warn!(error, pause = ?RECONNECT, "live events could not be told to other processes; some are lost to their streams");
        connection = None;
        tokio::time::sleep(RECONNECT).await;
        while receiver.try_recv().is_ok() {}
    }
}

async fn notify(
    connection: &mut Option<PgConnection>,
    options: &PgConnectOptions,
    teller: &AtomicU32,
    payloads: &[String],
) -> sqlx::Result<()> {
    let connection = match connection {
        Some(connection) => connection,
        None => {
            let mut made = PgConnection::connect_with(options).await?;
            let id: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut made).await?;
            teller.store(id.unsigned_abs(), Ordering::Release);
            connection.insert(made)
        }
    };
    for payload in payloads {
        sqlx::query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(payload).execute(&mut *connection).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use uuid::Uuid;

    use super::*;
    use crate::event::EventContext;
    use crate::id::{EventId, MessageId, TurnId};

    fn delta(text: &str, offset: u64) -> Event {
        let nil = Uuid::nil();
        let (turn_id, message_id) = (TurnId::from_uuid(nil), MessageId::from_uuid(nil));
        Event {
            id: EventId::from_uuid(nil),
            ts: Timestamp::UNIX_EPOCH,
            session_id: SessionId::from_uuid(nil),
            sequence: None,
            context: EventContext::default(),
            data: EventData::OutputMessageDelta { turn_id, message_id, delta: text.to_owned(), offset },
        }
    }

    #[test]
    fn deltas_of_any_length_and_text_arrive_whole_in_notifications_that_the_database_takes() {
        for text in ["a", "Größe 日本", "\u{1}", "\"\\"] {
            let long = text.repeat(9_000 / text.len() + 1);
            let events: Vec<Event> = [delta(&long, 0), delta("end", long.len() as u64)].iter().flat_map(parts).collect();
            let payloads = payloads(&events);
            assert!(payloads.len() > 1 && payloads.iter().all(|payload| payload.len() <= MAX_PAYLOAD_BYTES));
            let mut heard = String::new();
            for event in payloads.iter().flat_map(|payload| parse(payload)) {
                let EventData::OutputMessageDelta { delta, offset, .. } = event.data else { panic!("{event:?}") };
                assert_eq!(offset, heard.len() as u64, "offsets tell of no gap");
                heard.push_str(&delta);
            }
            assert_eq!(heard, format!("{long}end"));
        }
    }

    #[test]
    fn what_is_stored_or_is_no_event_is_not_heard() {
        let stored = serde_json::to_string(&Event { sequence: Some(1), ..delta("a", 0) }).unwrap();
        assert!(parse(&format!("{stored}\nnothing\n{{}}")).is_empty());
    }
}
