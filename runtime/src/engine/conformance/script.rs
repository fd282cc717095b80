//! The work of the suite's turns: a handler that does what their messages say.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::clock::{Clock, SystemClock};
use crate::engine::{Next, Step, StepError, StepHandler, TurnKey};
use crate::error::Error;
use crate::event::{Event, EventContext, EventData, NewEvent};
use crate::id::{EventId, IdSource, OrgId, RandomIds, SessionId, TurnId};
use crate::limits::MAX_EVENTS_PER_PAGE;
use crate::store::{Append, Fence, KvScope, RuntimeBackends, StoreError, StoreResult, TurnEnd};
use crate::turn::TurnSignals;

/// How often a step that is held looks whether it may go on.
const LOOK: Duration = Duration::from_millis(10);
/// Longest wait of a word that names none. No case takes so long.
const LONG: Duration = Duration::from_secs(86_400);

/// Does one word of a turn's message a step. What it has done are notes in the session's log.
///
/// | word | does |
/// |---|---|
/// | `note` | nothing but its note |
/// | `hold` | waits within the step until [`release`] |
/// | `fail` | fails the first time |
/// | `pause:MS` | asks for a step after so many milliseconds |
/// | `wait`, `wait:MS` | asks for a step when there is a signal, at the latest after so long, until [`answer`] |
/// | `late` | looks for an answer, and only when it is released asks for a step when there is a signal |
pub struct Script {
    stores: RuntimeBackends,
    clock: Arc<dyn Clock>,
    ids: RandomIds,
}

/// What one session's handler and the case tell each other.
pub(super) fn scope(org: OrgId, session: SessionId) -> KvScope {
    KvScope { org, component: "conformance".to_owned(), bucket: session.to_string() }
}

pub(super) fn held(turn: TurnId) -> String {
    format!("held/{turn}")
}

pub(super) fn released(turn: TurnId) -> String {
    format!("released/{turn}")
}

pub(super) fn answered(turn: TurnId) -> String {
    format!("answered/{turn}")
}

fn begun(turn: TurnId, at: usize) -> String {
    format!("begun/{turn}/{at}")
}

/// The notes of a log, in order, with their turns.
pub(super) fn notes(events: &[Event]) -> Vec<(TurnId, String)> {
    let note = |event: &Event| match &event.data {
        EventData::LoopDetected { turn_id, note, .. } => Some((*turn_id, note.clone())),
        _ => None,
    };
    events.iter().filter_map(note).collect()
}

/// How a step of the script ends.
enum Did {
    /// The word, and with what note.
    Word(String),
    /// What has to come first.
    Not(Next),
}

impl Script {
    /// The script over a store.
    pub fn new(stores: RuntimeBackends) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        Self { stores, ids: RandomIds::new(clock.clone()), clock }
    }

    async fn run(&self, step: &Step) -> Result<Next, StepError> {
        let Step { key, claim, signals } = step;
        let events = self.stores.log.read_events(key.org, key.session, 0, MAX_EVENTS_PER_PAGE).await.map_err(failed)?;
        let text = events.iter().find_map(|event| match &event.data {
            EventData::InputMessage { message } if event.context.turn_id == Some(key.turn) => Some(message.text()),
            _ => None,
        });
        let text = text.ok_or_else(|| StepError::Fatal(Error::Internal(format!("{} has no input", key.turn))))?;
        let at = notes(&events).iter().filter(|(turn, _)| *turn == key.turn).count();
        if claim.cancel_requested || signals.cancel.is_cancelled() {
            return self.note(*key, claim.fence, "cancelled".to_owned(), Some(TurnEnd::Cancelled)).await;
        }
        let Some(word) = text.split_whitespace().nth(at) else {
            return self.note(*key, claim.fence, "end".to_owned(), Some(TurnEnd::Completed)).await;
        };
        match self.word(*key, at, word, signals).await.map_err(failed)? {
            Did::Word(note) if note == "cancelled" => self.note(*key, claim.fence, note, Some(TurnEnd::Cancelled)).await,
            Did::Word(note) => self.note(*key, claim.fence, note, None).await,
            Did::Not(next) => Ok(next),
        }
    }

    async fn word(&self, key: TurnKey, at: usize, word: &str, signals: &TurnSignals) -> StoreResult<Did> {
        let (name, limit) = word.split_once(':').unwrap_or((word, ""));
        let limit = limit.parse().map_or(LONG, Duration::from_millis);
        match name {
            "note" => Ok(Did::Word(word.to_owned())),
            "hold" => self.hold(key, word, signals).await,
            "fail" if self.age(key, at).await?.is_zero() => Err(StoreError::Unavailable("the script has it fail".to_owned())),
            "fail" => Ok(Did::Word(word.to_owned())),
            "pause" => {
                let left = limit.saturating_sub(self.age(key, at).await?);
                Ok(if left.is_zero() { Did::Word(word.to_owned()) } else { Did::Not(Next::After(left)) })
            }
            "wait" => {
                let left = limit.saturating_sub(self.age(key, at).await?);
                if self.has(key, &answered(key.turn)).await? {
                    return Ok(Did::Word("answered".to_owned()));
                }
                Ok(if left.is_zero() { Did::Word("timed-out".to_owned()) } else { Did::Not(Next::Signal { limit: left }) })
            }
            "late" => {
                if self.has(key, &answered(key.turn)).await? {
                    return Ok(Did::Word("answered".to_owned()));
                }
                self.hold(key, word, signals).await?;
                Ok(Did::Not(Next::Signal { limit: LONG }))
            }
            _ => Ok(Did::Word(format!("unknown word {word:?}"))),
        }
    }

    /// Tells that the step is held, and waits until it is released or told to stop.
    async fn hold(&self, key: TurnKey, word: &str, signals: &TurnSignals) -> StoreResult<Did> {
        self.stores.kv.put(&scope(key.org, key.session), &held(key.turn), Vec::new(), None).await?;
        while !self.has(key, &released(key.turn)).await? {
            tokio::select! {
                () = signals.cancel.cancelled() => return Ok(Did::Word("cancelled".to_owned())),
                () = signals.drain.cancelled() => return Ok(Did::Not(Next::Again)),
                () = tokio::time::sleep(LOOK) => {}
            }
        }
        Ok(Did::Word(word.to_owned()))
    }

    async fn has(&self, key: TurnKey, name: &str) -> StoreResult<bool> {
        Ok(self.stores.kv.get(&scope(key.org, key.session), name).await?.is_some())
    }

    /// How long ago a word was begun; nothing if it is begun now.
    async fn age(&self, key: TurnKey, at: usize) -> StoreResult<Duration> {
        let (scope, name, now) = (scope(key.org, key.session), begun(key.turn, at), self.clock.now().as_microsecond());
        let Some(entry) = self.stores.kv.get(&scope, &name).await? else {
            self.stores.kv.put(&scope, &name, now.to_le_bytes().to_vec(), Some(0)).await?;
            return Ok(Duration::ZERO);
        };
        let begun = entry.value.try_into().map(i64::from_le_bytes).map_err(|_| StoreError::Corrupt(format!("{name} is no time")))?;
        // At least something, so that the first time is told from the others.
        Ok(Duration::from_micros(u64::try_from(now - begun).unwrap_or_default().max(1)))
    }

    async fn note(&self, key: TurnKey, fence: Fence, note: String, end: Option<TurnEnd>) -> Result<Next, StepError> {
        let event = NewEvent {
            id: EventId::from_uuid(self.ids.next()),
            ts: self.clock.now(),
            context: EventContext { turn_id: Some(key.turn), input_message_id: None },
            data: EventData::LoopDetected { turn_id: key.turn, repetitions: 0, note },
        };
        let log = &self.stores.log;
        loop {
            let expected_sequence = log.last_sequence(key.org, key.session).await.map_err(failed)?;
            let (events, ends_turn) = (vec![event.clone()], end.map(|end| (key.turn, end)));
            let append = Append { expected_sequence, fence, events, ends_turn, parks_turn: None };
            match log.append(key.org, key.session, append).await {
                Ok(_) => return Ok(Next::Again),
                // A submission came in between.
                Err(StoreError::SequenceConflict { .. }) => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }
}

fn failed(error: StoreError) -> StepError {
    match error {
        StoreError::Fenced { .. } => StepError::Lost,
        error => {
            let error = Error::from(error);
            if error.is_retryable() { StepError::Retry(error) } else { StepError::Fatal(error) }
        }
    }
}

#[async_trait]
impl StepHandler for Script {
    async fn step(&self, step: Step) -> Result<Next, StepError> {
        self.run(&step).await
    }

    async fn idle(&self, _org: OrgId, _session: SessionId) -> Result<Next, Error> {
        // The script's turns are never parked in the store.
        Ok(Next::Done)
    }
}
