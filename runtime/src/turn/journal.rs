//! A turn's hold on the log of its session: reads it once, appends to it as the owner, and keeps
//! the folded state current.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::backoff::store_waits;
use super::executor::TurnPlatform;
use super::history::History;
use super::history_cache::HistoryCache;
use super::plan::next;
use super::recorder::Recorder;
use super::state::{TurnState, millis};
use crate::bus::EventBus;
use crate::clock::Clock;
use crate::engine::TurnKey;
use crate::error::{Error, ErrorKind};
use crate::event::{Event, EventContext, EventData, NewEvent};
use crate::id::{EventId, IdSource, MessageId, TurnId};
use crate::limits::MAX_EVENTS_PER_PAGE;
use crate::store::{Append, Fence, ParkedFor, SessionLog, StoreError, StoreResult, TurnEnd};

/// How often one append follows a log that others add to. Only submissions do, and there are
/// never more than [`crate::limits::MAX_QUEUED_TURNS`] of them.
const MAX_CONFLICTS: u32 = crate::limits::MAX_QUEUED_TURNS as u32 + 1;

/// Why a step did not become part of the log.
#[derive(Debug)]
pub(super) enum Halt {
    /// Another owner has the session.
    Fenced,
    /// The log has events by now that change what is to be done.
    Overtaken,
    /// The store failed for good, or for too long.
    Failed(Error),
}

/// What becomes of the turn with an append.
#[derive(Debug, Clone, Copy, PartialEq)]
enum After {
    Open,
    Parked(ParkedFor),
    Ended(TurnEnd),
    /// It has the input of another turn, which ended with that.
    Merged(EventContext),
}

/// See the module.
pub(super) struct Journal {
    log: Arc<dyn SessionLog>,
    makers: Makers,
    key: TurnKey,
    fence: Fence,
    state: TurnState,
    /// When this run appended what has these times, as [`Clock::steady`] says: at most what one run of a turn appends.
    appended: BTreeMap<Timestamp, Duration>,
    cache: Arc<HistoryCache>,
    /// Present if an embedder keeps a copy of the messages.
    recorder: Option<Recorder>,
}

/// What events are made with, and where they are shown.
#[derive(Clone)]
struct Makers {
    bus: Arc<dyn EventBus>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
}

impl Journal {
    /// Reads the log behind what is known of it: from the session's turn before this one, or
    /// from the message store; from its start if nothing is known.
    pub(super) async fn open(platform: &TurnPlatform, key: TurnKey, fence: Fence) -> Result<Self, Halt> {
        let makers = Makers { bus: platform.backends.event_bus.clone(), clock: platform.clock.clone(), ids: platform.ids.clone() };
        let (cache, log) = (platform.backends.history_cache.clone(), platform.backends.log.clone());
        let (history, recorder) = match &platform.backends.message_store {
            None => (cache.take(key.org, key.session).unwrap_or_default(), None),
            Some(store) => {
                let kept = insist(|| store.load_messages(key.org, key.session)).await.map_err(halt)?;
                let recorder = Recorder::new(store.clone(), key, kept.through);
                (History::from_messages(kept), Some(recorder))
            }
        };
        let state = TurnState::resume(key.turn, history);
        let mut journal = Self { log, makers, key, fence, state, appended: BTreeMap::new(), cache, recorder };
        let is_from_start = journal.state.last_sequence() == 0;
        journal.read_on(|_| false).await?;
        if journal.state.input_message_id().is_none() && !is_from_start {
            // The store has taken account of the input, but does not return it.
            journal.state.rewind();
            journal.read_on(|_| false).await?;
        }
        Ok(journal)
    }

    pub(super) fn state(&self) -> &TurnState {
        &self.state
    }

    pub(super) fn state_mut(&mut self) -> &mut TurnState {
        &mut self.state
    }

    pub(super) fn now(&self) -> Timestamp {
        self.makers.clock.now()
    }

    /// For durations, see [`Clock::steady`].
    pub(super) fn steady(&self) -> Duration {
        self.makers.clock.steady()
    }

    /// Milliseconds since a moment of [`Self::steady`].
    pub(super) fn millis_of(&self, started: Duration) -> u64 {
        u64::try_from(self.steady().saturating_sub(started).as_millis()).unwrap_or(u64::MAX)
    }

    /// Milliseconds since an event of the log. What another process appended is told by the clocks of both, which may
    /// have been set.
    pub(super) fn millis_since(&self, event: Timestamp) -> u64 {
        match self.appended.get(&event) {
            Some(started) => self.millis_of(*started),
            None => millis(event, self.now()),
        }
    }

    /// Appends events in one transaction.
    pub(super) async fn append(&mut self, events: Vec<EventData>) -> Result<(), Halt> {
        self.store(events, After::Open, None).await
    }

    /// The same, together with the opening of the model call that follows; without it if a message came
    /// meanwhile, which the model is to be told first. [`TurnState::open_reason`] says which it was.
    pub(super) async fn append_and_open(&mut self, events: Vec<EventData>, opening: EventData) -> Result<(), Halt> {
        self.store(events, After::Open, Some(opening)).await
    }

    /// Appends events behind which the turn waits.
    pub(super) async fn append_park(&mut self, events: Vec<EventData>, waits_for: ParkedFor) -> Result<(), Halt> {
        self.store(events, After::Parked(waits_for), None).await
    }

    /// Appends the last events of the turn.
    pub(super) async fn append_end(&mut self, events: Vec<EventData>, end: TurnEnd) -> Result<(), Halt> {
        self.store(events, After::Ended(end), None).await
    }

    /// Appends that the input of a turn behind this one is part of this one now. If that turn is to
    /// stay one, because it is to be cancelled, all turns behind this one are left to themselves.
    pub(super) async fn append_merge(&mut self, turn: TurnId, input: MessageId) -> Result<(), Halt> {
        let merged = EventData::TurnMerged { turn_id: turn, into_turn_id: self.key.turn };
        let context = EventContext { turn_id: Some(turn), input_message_id: Some(input) };
        self.store(vec![merged], After::Merged(context), None).await
    }

    /// A way to tell listeners what is not stored.
    pub(super) fn live(&self) -> LiveEvents {
        LiveEvents { makers: self.makers.clone(), key: self.key, context: self.context() }
    }

    fn context(&self) -> EventContext {
        EventContext { turn_id: Some(self.key.turn), input_message_id: self.state.input_message_id() }
    }

    /// The ids of the events are made once, so that an append whose reply got lost is recognised
    /// in the log instead of being stored twice.
    async fn store(&mut self, data: Vec<EventData>, after: After, opening: Option<EventData>) -> Result<(), Halt> {
        let planned = next(&self.state);
        let context = if let After::Merged(context) = after { context } else { self.context() };
        let ts = self.now();
        self.appended.insert(ts, self.steady());
        let new = |data| NewEvent { id: EventId::from_uuid(self.makers.ids.next()), ts, context, data };
        let events: Vec<NewEvent> = data.into_iter().map(&new).collect();
        let mut opening = opening.map(new);
        let ends_turn = match after {
            After::Ended(end) => Some((self.key.turn, end)),
            After::Merged(of) => of.turn_id.map(|turn| (turn, TurnEnd::Merged)),
            After::Open | After::Parked(_) => None,
        };
        let parks_turn = if let After::Parked(waits_for) = after { Some((self.key.turn, waits_for)) } else { None };
        let mut waits = store_waits();
        let mut conflicts = 0;
        loop {
            if self.state.follow_up().is_some() {
                opening = None;
            }
            let expected_sequence = self.state.last_sequence();
            let events: Vec<NewEvent> = events.iter().chain(&opening).cloned().collect();
            let append = Append { expected_sequence, fence: self.fence, events: events.clone(), ends_turn, parks_turn };
            match self.log.append(self.key.org, self.key.session, append).await {
                Ok(stored) => {
                    stored.into_iter().for_each(|event| self.take(event, true));
                    self.record().await;
                    return Ok(());
                }
                Err(StoreError::Fenced { .. }) => return Err(Halt::Fenced),
                Err(StoreError::NotFound { what: "queued turn", .. }) => {
                    self.state.keep_apart();
                    return Ok(());
                }
                Err(StoreError::SequenceConflict { .. }) if conflicts < MAX_CONFLICTS => {
                    conflicts += 1;
                    if self.read_on(|event| events.iter().any(|own| own.id == event.id)).await? {
                        return Ok(());
                    }
                    if next(&self.state) != planned {
                        return Err(Halt::Overtaken);
                    }
                }
                Err(error) => pause(error, &mut waits).await?,
            }
        }
    }

    /// Folds what the log has behind the last known event. Events for which `own` holds are
    /// published, because nobody did yet; tells whether there were any.
    async fn read_on(&mut self, own: impl Fn(&Event) -> bool) -> Result<bool, Halt> {
        let mut found = false;
        loop {
            let after = self.state.last_sequence();
            let page = self.read_page(after).await?;
            let full = page.len() == MAX_EVENTS_PER_PAGE;
            for event in page {
                let is_own = own(&event);
                found |= is_own;
                self.take(event, is_own);
            }
            self.record().await;
            if !full {
                return Ok(found);
            }
        }
    }

    async fn read_page(&self, after: u64) -> Result<Vec<Event>, Halt> {
        insist(|| self.log.read_events(self.key.org, self.key.session, after, MAX_EVENTS_PER_PAGE)).await.map_err(halt)
    }

    fn take(&mut self, event: Event, publish: bool) {
        self.cache.note_folded(1);
        self.state.fold(&event);
        if let Some(recorder) = &mut self.recorder {
            recorder.note(&event);
        }
        if publish {
            self.makers.bus.emit(event);
        }
    }

    async fn record(&mut self) {
        if let Some(recorder) = &mut self.recorder {
            recorder.flush().await;
        }
    }
}

/// However a run ends, what it has folded is right up to its last event, and the session's next
/// turn reads on from there. A panic may have left an event half folded.
impl Drop for Journal {
    fn drop(&mut self) {
        if self.recorder.is_none() && !std::thread::panicking() {
            self.cache.put(self.key.org, self.key.session, self.state.take_history());
        }
    }
}

/// Publishes live-only events of one turn.
#[derive(Clone)]
pub(super) struct LiveEvents {
    makers: Makers,
    key: TurnKey,
    context: EventContext,
}

impl LiveEvents {
    pub(super) fn publish(&self, data: EventData) {
        let id = EventId::from_uuid(self.makers.ids.next());
        let event = NewEvent { id, ts: self.makers.clock.now(), context: self.context, data };
        self.makers.bus.emit(event.at(self.key.session, None));
    }
}

/// Repeats a store call while the store is not available, within [`store_waits`].
pub(crate) async fn insist<T, F>(mut call: impl FnMut() -> F) -> StoreResult<T>
where
    F: Future<Output = StoreResult<T>>,
{
    let mut waits = store_waits();
    loop {
        match call().await {
            Err(error) => wait(error, &mut waits).await?,
            done => return done,
        }
    }
}

async fn pause(error: StoreError, waits: &mut (impl Iterator<Item = Duration> + Send)) -> Result<(), Halt> {
    wait(error, waits).await.map_err(halt)
}

/// Waits before another try, or gives the error back if another try is pointless.
async fn wait(error: StoreError, waits: &mut (impl Iterator<Item = Duration> + Send)) -> StoreResult<()> {
    if error.kind() != ErrorKind::Unavailable {
        return Err(error);
    }
    let Some(pause) = waits.next() else { return Err(error) };
    tracing::warn!(%error, ?pause, "the store is not available; trying again");
    tokio::time::sleep(pause).await;
    Ok(())
}

pub(super) fn halt(error: StoreError) -> Halt {
    Halt::Failed(Error::Store(error))
}
