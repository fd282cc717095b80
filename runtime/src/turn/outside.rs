//! Results of tool calls that clients execute: what settles them, and has their turn go on.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

use super::history::with_history;
use super::state::{TurnState, millis};
use super::toolset::CLIENT_TOOLS_ID;
use crate::clock::Clock;
use crate::error::Error;
use crate::event::{Event, EventContext, EventData, NewEvent, RequestKind, ToolCompleted, ToolStatus};
use crate::id::{EventId, IdSource, OrgId, SessionId, TurnId};
use crate::limits::{MAX_EVENTS_PER_PAGE, MAX_TOOL_RESULT_BYTES};
use crate::message::ContentPart;
use crate::store::{RuntimeBackends, StoreError, StoreResult, TurnAnswer};

/// How often results are placed anew because the log went on meanwhile.
const MAX_ATTEMPTS: u32 = 8;

/// What a client says about one tool call.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientToolResult {
    /// Id of the call, as in `tool.call_requested`.
    pub tool_call_id: String,
    /// Its result, or a sentence about why there is none; at most 64 KiB as text. A result that is
    /// a string is shown to the model as it is, any other as JSON.
    pub outcome: Result<Value, String>,
}

/// Results that were stored.
#[derive(Debug, Clone, PartialEq)]
pub struct AcceptedResults {
    /// The turn that they belong to.
    pub turn_id: TurnId,
    /// Sequence of its input.
    pub input_sequence: u64,
    /// They, as events.
    pub events: Vec<Event>,
    /// Whether the turn waits for nothing any more, so that an engine is to run it.
    pub wakes_turn: bool,
}

/// Why no result was stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ToolResultsError {
    /// No turn of the session waits for a client.
    #[error("{0} waits for no tool results; its status says when it does")]
    NotWaiting(SessionId),
    /// There is no result at all.
    #[error("there is no tool result; send at least one")]
    Empty,
    /// The turn waits for other calls.
    #[error("{session} does not wait for {unknown:?}; it waits for {waiting:?}")]
    Unknown {
        /// The session.
        session: SessionId,
        /// The ids that it does not wait for, or that are there twice.
        unknown: Vec<String>,
        /// The ids that it waits for, in call order.
        waiting: Vec<String>,
    },
    /// A result is too long to be shown to a model.
    #[error("the result of {tool_call_id:?} has {bytes} bytes; at most {MAX_TOOL_RESULT_BYTES} are allowed: shorten it")]
    TooLong {
        /// Id of the call.
        tool_call_id: String,
        /// Length as text.
        bytes: usize,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<ToolResultsError> for Error {
    fn from(error: ToolResultsError) -> Self {
        match error {
            ToolResultsError::NotWaiting(_) => Self::Conflict(error.to_string()),
            ToolResultsError::Empty | ToolResultsError::Unknown { .. } => Self::Invalid(error.to_string()),
            ToolResultsError::TooLong { .. } => Self::Limit(error.to_string()),
            ToolResultsError::Store(error) => Self::Store(error),
        }
    }
}

/// Where results are stored.
pub struct ResultsDesk<'a> {
    /// The stores; their bus is told of what is stored.
    pub backends: &'a RuntimeBackends,
    /// Times of events.
    pub clock: &'a dyn Clock,
    /// Ids of events.
    pub ids: &'a dyn IdSource,
}

impl ResultsDesk<'_> {
    /// Stores results of client-side tool calls, all of them or none. Calls without a result go on
    /// waiting; after the last one the turn has to be given to an engine.
    ///
    /// # Errors
    /// See [`ToolResultsError`].
    pub async fn settle(&self, org: OrgId, session: SessionId, results: &[ClientToolResult]) -> Result<AcceptedResults, ToolResultsError> {
        check(results)?;
        let mut attempt = 1;
        loop {
            let waiting = self.waiting(org, session).await?.ok_or(ToolResultsError::NotWaiting(session))?;
            waiting.check_ids(session, results)?;
            let answer = self.answer(&waiting, results);
            let wakes_turn = answer.wakes_turn;
            match self.backends.log.answer_turn(org, session, answer).await {
                Ok(events) => {
                    events.iter().cloned().for_each(|event| self.backends.event_bus.emit(event));
                    return Ok(AcceptedResults {
                        turn_id: waiting.state.turn_id(),
                        input_sequence: waiting.input_sequence,
                        events,
                        wakes_turn,
                    });
                }
                Err(StoreError::NotFound { what: "waiting turn", .. }) => return Err(ToolResultsError::NotWaiting(session)),
                Err(StoreError::SequenceConflict { .. }) if attempt < MAX_ATTEMPTS => attempt += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The oldest open turn, if it waits for a client.
    async fn waiting(&self, org: OrgId, session: SessionId) -> StoreResult<Option<Waiting>> {
        let Some(&turn) = self.backends.log.open_turns(org, session).await?.first() else { return Ok(None) };
        let start = with_history(self.backends, org, session, |history| history.conversation().start_of(turn)).await?;
        let input_sequence = start.unwrap_or(1);
        let mut after = input_sequence - 1;
        let mut waiting = Waiting { state: TurnState::new(turn), input_sequence, requested: BTreeMap::new() };
        loop {
            let page = self.backends.log.read_events(org, session, after, MAX_EVENTS_PER_PAGE).await?;
            page.iter().for_each(|event| waiting.take(event));
            match page.last().and_then(|event| event.sequence) {
                Some(last) if page.len() == MAX_EVENTS_PER_PAGE => after = last,
                _ => return Ok((!waiting.client_calls().is_empty()).then_some(waiting)),
            }
        }
    }

    fn answer(&self, waiting: &Waiting, results: &[ClientToolResult]) -> TurnAnswer {
        let (state, now) = (&waiting.state, self.clock.now());
        let context = EventContext { turn_id: Some(state.turn_id()), input_message_id: state.input_message_id() };
        let event = |result: &ClientToolResult| {
            let data = EventData::ToolCompleted(waiting.completed(result, now));
            NewEvent { id: EventId::from_uuid(self.ids.next()), ts: now, context, data }
        };
        let open = state.unsettled_calls().into_iter().filter(|call| call.requested && call.waits_for.is_some()).count();
        TurnAnswer {
            turn_id: state.turn_id(),
            expected_sequence: state.last_sequence(),
            events: results.iter().map(event).collect(),
            wakes_turn: open == results.len(),
        }
    }
}

/// A turn, and when it asked for which calls.
struct Waiting {
    state: TurnState,
    input_sequence: u64,
    requested: BTreeMap<String, Timestamp>,
}

impl Waiting {
    fn take(&mut self, event: &Event) {
        self.state.fold(event);
        if let EventData::ToolCallRequested { tool_calls, .. } = &event.data
            && event.context.turn_id == Some(self.state.turn_id())
        {
            self.requested.extend(tool_calls.iter().map(|request| (request.tool_call.id.clone(), event.ts)));
        }
    }

    /// Ids and tools of the calls that a client has been asked for, in call order.
    fn client_calls(&self) -> Vec<(String, String)> {
        let calls = self.state.unsettled_calls().into_iter();
        let asked = calls.filter(|call| call.requested && call.waits_for == Some(RequestKind::ClientSide));
        asked.map(|planned| (planned.call.id, planned.call.name)).collect()
    }

    fn check_ids(&self, session: SessionId, results: &[ClientToolResult]) -> Result<(), ToolResultsError> {
        let waiting: Vec<String> = self.client_calls().into_iter().map(|(id, _)| id).collect();
        let mut left: BTreeSet<&str> = waiting.iter().map(String::as_str).collect();
        let ids = results.iter().map(|result| result.tool_call_id.as_str());
        let unknown: Vec<String> = ids.filter(|id| !left.remove(id)).map(str::to_owned).collect();
        if unknown.is_empty() { Ok(()) } else { Err(ToolResultsError::Unknown { session, unknown, waiting }) }
    }

    fn completed(&self, result: &ClientToolResult, now: Timestamp) -> ToolCompleted {
        let id = &result.tool_call_id;
        let tool_name = self.client_calls().into_iter().find(|(call, _)| call == id).map(|(_, name)| name).unwrap_or_default();
        let (success, error) = (result.outcome.is_ok(), result.outcome.as_ref().err().cloned());
        ToolCompleted {
            tool_call_id: id.clone(),
            tool_name,
            success,
            status: if success { ToolStatus::Success } else { ToolStatus::Error },
            result: result.outcome.iter().map(|value| ContentPart::text(text_of(value))).collect(),
            structured: result.outcome.as_ref().ok().filter(|value| !value.is_string()).cloned(),
            error_kind: error.is_some().then(|| "client".to_owned()),
            error,
            duration_ms: self.requested.get(id).map_or(0, |&asked| millis(asked, now)),
            capability_id: Some(CLIENT_TOOLS_ID.to_owned()),
            receipt: None,
        }
    }
}

fn check(results: &[ClientToolResult]) -> Result<(), ToolResultsError> {
    if results.is_empty() {
        return Err(ToolResultsError::Empty);
    }
    for ClientToolResult { tool_call_id, outcome } in results {
        let bytes = outcome.as_ref().map_or_else(String::len, |value| text_of(value).len());
        if bytes > MAX_TOOL_RESULT_BYTES {
            return Err(ToolResultsError::TooLong { tool_call_id: tool_call_id.clone(), bytes });
        }
    }
    Ok(())
}

/// A result as models see it.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
