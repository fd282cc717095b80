//! What people and clients say about the tool calls that a turn waits for: results, answers and
//! approvals. It is stored as events, and the turn goes on when nothing is missing any more.

mod approval;
mod connection;
mod expiry;
mod result;
mod resume;

pub use approval::{ApprovalVerdict, MAX_APPROVAL_REASON_BYTES, ToolApproval};
pub use result::ClientToolResult;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::call::PlannedCall;
use super::history::with_history;
use super::state::TurnState;
use crate::capability::{AnswerProblem, CapabilitySource};
use crate::clock::Clock;
use crate::error::Error;
use crate::event::{Event, EventContext, EventData, NewEvent, RequestKind};
use crate::id::{EventId, IdSource, OrgId, SessionId, TurnId};
use crate::limits::MAX_EVENTS_PER_PAGE;
use crate::store::{RuntimeBackends, StoreError, StoreResult, TurnAnswer};

/// How often something is placed anew because the log went on meanwhile.
const MAX_ATTEMPTS: u32 = 8;

/// What was stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Accepted {
    /// The turn that it belongs to.
    pub turn_id: TurnId,
    /// Sequence of that turn's input.
    pub input_sequence: u64,
    /// The stored events.
    pub events: Vec<Event>,
    /// Whether the turn waits for nothing any more, so that an engine is to run it.
    pub wakes_turn: bool,
}

/// Why nothing was stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutsideError {
    /// No turn of the session waits for such.
    #[error("{session} waits for no {what}; its status says when it waits, and tool.call_requested for what")]
    NotWaiting {
        /// The session.
        session: SessionId,
        /// "tool results" or "approvals".
        what: &'static str,
    },
    /// No turn of the session is paused.
    #[error("{session} is not paused; its status says when it is, and budget.paused at which budget")]
    NotPaused {
        /// The session.
        session: SessionId,
    },
    /// The list is empty.
    #[error("the list of {what} is empty; send at least one")]
    Empty {
        /// "tool results" or "approvals".
        what: &'static str,
    },
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
    /// A text is too long to be kept and shown to a model.
    #[error("what is said about {tool_call_id:?} has {bytes} bytes; at most {limit} are allowed: shorten it")]
    TooLong {
        /// Id of the call.
        tool_call_id: String,
        /// Length as text.
        bytes: usize,
        /// Most bytes.
        limit: usize,
    },
    /// Answers do not fit what was asked.
    #[error("answers do not fit what was asked: {}", listed(.problems))]
    Unacceptable {
        /// What is wrong, each with the id of its call.
        problems: Vec<(String, AnswerProblem)>,
    },
    /// A capability that was to check an answer could not be found.
    #[error(transparent)]
    Capability(Box<Error>),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn listed(problems: &[(String, AnswerProblem)]) -> String {
    let one = |(id, problem): &(String, AnswerProblem)| format!("{id}{}: {}", problem.place, problem.problem);
    problems.iter().map(one).collect::<Vec<_>>().join("; ")
}

impl From<OutsideError> for Error {
    fn from(error: OutsideError) -> Self {
        match error {
            OutsideError::NotWaiting { .. } | OutsideError::NotPaused { .. } => Self::Conflict(error.to_string()),
            OutsideError::Empty { .. } | OutsideError::Unknown { .. } | OutsideError::Unacceptable { .. } => {
                Self::Invalid(error.to_string())
            }
            OutsideError::Capability(error) => *error,
            OutsideError::TooLong { .. } => Self::Limit(error.to_string()),
            OutsideError::Store(error) => Self::Store(error),
        }
    }
}

/// Where results, answers and approvals are handed in.
pub struct OutsideDesk<'a> {
    /// The stores; their bus is told of what is stored.
    pub backends: &'a RuntimeBackends,
    /// Where the capabilities are found whose tools ask people.
    pub capabilities: &'a dyn CapabilitySource,
    /// Times of events.
    pub clock: &'a dyn Clock,
    /// Ids of events.
    pub ids: &'a dyn IdSource,
}

/// Something that is said about one call.
trait Statement {
    /// What a list of them is called.
    const WHAT: &'static str;

    /// Whether it is about calls that wait for this.
    fn suits(kind: RequestKind) -> bool;

    /// Id of the call.
    fn call_id(&self) -> &str;

    /// Checks it without knowing the call.
    fn check(&self) -> Result<(), OutsideError>;

    /// What a person answers to a question.
    fn answer(&self) -> Option<&Value> {
        None
    }

    /// It as events.
    fn events(&self, asked: &Asked, now: Timestamp) -> Vec<EventData>;
}

/// A call that somebody was asked about.
struct Asked {
    planned: PlannedCall,
    request: Request,
}

/// How somebody was asked.
#[derive(Clone, Default)]
struct Request {
    at: Timestamp,
    expires_at: Option<Timestamp>,
    capability_id: Option<String>,
}

impl OutsideDesk<'_> {
    /// Stores results of client-side tools and answers to questions, all of them or none. Calls
    /// without one go on waiting; after the last one the turn has to be given to an engine.
    ///
    /// # Errors
    /// See [`OutsideError`].
    pub async fn settle(&self, org: OrgId, session: SessionId, results: &[ClientToolResult]) -> Result<Accepted, OutsideError> {
        self.place(org, session, results).await
    }

    /// Stores decisions about calls that wait for an approval, all of them or none. An allowed call
    /// is executed exactly as it was requested, without another model call; a refused one is settled
    /// with a sentence for the model. Calls without a decision go on waiting; after the last one
    /// the turn has to be given to an engine.
    ///
    /// # Errors
    /// See [`OutsideError`].
    pub async fn decide(&self, org: OrgId, session: SessionId, approvals: &[ToolApproval]) -> Result<Accepted, OutsideError> {
        self.place(org, session, approvals).await
    }

    async fn place<S: Statement>(&self, org: OrgId, session: SessionId, statements: &[S]) -> Result<Accepted, OutsideError> {
        let what = S::WHAT;
        if statements.is_empty() {
            return Err(OutsideError::Empty { what });
        }
        statements.iter().try_for_each(Statement::check)?;
        let mut attempt = 1;
        loop {
            let not_waiting = || OutsideError::NotWaiting { session, what };
            let waiting = self.waiting(org, session).await?.ok_or_else(not_waiting)?;
            let calls = waiting.match_up(session, statements)?;
            self.check_answers(org, &waiting.state, statements, &calls).await?;
            let answer = self.answer(&waiting, session, statements, &calls);
            let wakes_turn = answer.wakes_turn;
            match self.backends.log.answer_turn(org, session, answer).await {
                Ok(events) => {
                    events.iter().cloned().for_each(|event| self.backends.event_bus.emit(event));
                    let (turn_id, input_sequence) = (waiting.state.turn_id(), waiting.input_sequence);
                    return Ok(Accepted { turn_id, input_sequence, events, wakes_turn });
                }
                Err(StoreError::NotFound { what: "waiting turn", .. }) => return Err(not_waiting()),
                Err(StoreError::SequenceConflict { .. }) if attempt < MAX_ATTEMPTS => attempt += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The oldest open turn, as far as its log goes. Earlier events of the session count as well,
    /// because they may have decided about calls of this turn.
    async fn waiting(&self, org: OrgId, session: SessionId) -> StoreResult<Option<Waiting>> {
        let Some(&turn) = self.backends.log.open_turns(org, session).await?.first() else { return Ok(None) };
        let (history, input_sequence) =
            with_history(self.backends, org, session, |history| (history.clone(), history.conversation().start_of(turn).unwrap_or(1)))
                .await?;
        let mut waiting = Waiting { state: TurnState::resume(turn, history), input_sequence, requested: BTreeMap::new() };
        let mut after = input_sequence - 1;
        loop {
            let page = self.backends.log.read_events(org, session, after, MAX_EVENTS_PER_PAGE).await?;
            self.backends.history_cache.note_folded(page.len());
            page.iter().for_each(|event| waiting.take(event));
            match page.last().and_then(|event| event.sequence) {
                Some(last) if page.len() == MAX_EVENTS_PER_PAGE => after = last,
                _ => return Ok(Some(waiting)),
            }
        }
    }

    /// Holds answers to questions against what was asked, as far as the capabilities that asked are
    /// still there.
    async fn check_answers<S: Statement>(
        &self,
        org: OrgId,
        state: &TurnState,
        statements: &[S],
        calls: &[Asked],
    ) -> Result<(), OutsideError> {
        let mut problems = Vec::new();
        for (statement, asked) in statements.iter().zip(calls) {
            let (Some(answer), Some(RequestKind::Question)) = (statement.answer(), asked.planned.waits_for) else { continue };
            let Some(id) = &asked.request.capability_id else { continue };
            let pin = state.pins().unwrap_or_default().iter().find(|pin| pin.id.eq_ignore_ascii_case(id));
            let found = match pin {
                Some(pin) => self.capabilities.find_pinned(org, pin).await,
                None => self.capabilities.find(org, id).await,
            };
            let Some(capability) = found.map_err(|error| OutsideError::Capability(Box::new(error)))? else { continue };
            let call = &asked.planned.call;
            let wrong = capability.check_answer(&call.name, &call.arguments, answer).err().unwrap_or_default();
            problems.extend(wrong.into_iter().map(|problem| (call.id.clone(), problem)));
        }
        if problems.is_empty() { Ok(()) } else { Err(OutsideError::Unacceptable { problems }) }
    }

    fn answer<S: Statement>(&self, waiting: &Waiting, session: SessionId, statements: &[S], calls: &[Asked]) -> TurnAnswer {
        let (state, now) = (&waiting.state, self.clock.now());
        let said = statements.iter().zip(calls).flat_map(|(statement, asked)| statement.events(asked, now));
        let events = self.events_of(state, said);
        TurnAnswer {
            turn_id: state.turn_id(),
            expected_sequence: state.last_sequence(),
            wakes_turn: waiting.is_over_after(session, &events),
            events,
        }
    }
}

impl OutsideDesk<'_> {
    /// What happens now, as events of a turn.
    fn events_of(&self, state: &TurnState, data: impl Iterator<Item = EventData>) -> Vec<NewEvent> {
        let ts = self.clock.now();
        let context = EventContext { turn_id: Some(state.turn_id()), input_message_id: state.input_message_id() };
        data.map(|data| NewEvent { id: EventId::from_uuid(self.ids.next()), ts, context, data }).collect()
    }
}

/// A turn, and when it asked about which calls.
struct Waiting {
    state: TurnState,
    input_sequence: u64,
    requested: BTreeMap<String, Request>,
}

impl Waiting {
    fn take(&mut self, event: &Event) {
        self.state.fold(event);
        if let EventData::ToolCallRequested { tool_calls, expires_at, .. } = &event.data
            && event.context.turn_id == Some(self.state.turn_id())
        {
            let request =
                |capability_id: &Option<String>| Request { at: event.ts, expires_at: *expires_at, capability_id: capability_id.clone() };
            self.requested.extend(tool_calls.iter().map(|asked| (asked.tool_call.id.clone(), request(&asked.capability_id))));
        }
    }

    /// The call of each statement.
    fn match_up<S: Statement>(&self, session: SessionId, statements: &[S]) -> Result<Vec<Asked>, OutsideError> {
        let mut asked: Vec<PlannedCall> = self.state.unsettled_calls();
        asked.retain(|call| call.requested && call.waits_for.is_some_and(S::suits));
        if asked.is_empty() {
            return Err(OutsideError::NotWaiting { session, what: S::WHAT });
        }
        let waiting: Vec<String> = asked.iter().map(|planned| planned.call.id.clone()).collect();
        let (mut calls, mut unknown) = (Vec::new(), Vec::new());
        for statement in statements {
            match asked.iter().position(|planned| planned.call.id == statement.call_id()) {
                Some(at) => {
                    let planned = asked.swap_remove(at);
                    let request = self.requested.get(&planned.call.id).cloned().unwrap_or_default();
                    calls.push(Asked { planned, request });
                }
                None => unknown.push(statement.call_id().to_owned()),
            }
        }
        if unknown.is_empty() { Ok(calls) } else { Err(OutsideError::Unknown { session, unknown, waiting }) }
    }

    /// Whether nothing is asked any more once these events are stored.
    fn is_over_after(&self, session: SessionId, events: &[NewEvent]) -> bool {
        let mut state = self.state.clone();
        for (event, sequence) in events.iter().cloned().zip(state.last_sequence() + 1..) {
            state.fold(&event.at(session, Some(sequence)));
        }
        !state.unsettled_calls().iter().any(|call| call.requested && call.waits_for.is_some())
    }
}
