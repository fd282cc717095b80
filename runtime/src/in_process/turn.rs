//! How a turn ended, read back from its events.

use crate::engine::TurnKey;
use crate::error::Error;
use crate::event::{Event, EventData, RequestedCall, TokenUsage};
use crate::id::TurnId;
use crate::limits::MAX_EVENTS_PER_PAGE;
use crate::store::{RuntimeBackends, TurnEnd};
use crate::turn::{Step, TurnState, insist, next, with_history};

/// What became of a turn.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TurnResult {
    /// The turn that answered: the message's own, or one that ran when the message came.
    pub turn_id: TurnId,
    /// Text of the agent's last message; empty if there is none.
    pub response: String,
    /// Model calls.
    pub iterations: u32,
    /// Settled tool calls, failed ones included.
    pub tool_calls_count: u32,
    /// Whether the turn came to its end: with an answer, or with its model calls used up.
    pub success: bool,
    /// Why it did not, as a sentence for the user.
    pub error: Option<String>,
    /// Why it ended, or that it waits.
    pub stop_reason: TurnStopReason,
    /// Tokens of all its model calls.
    pub usage: TokenUsage,
    /// Calls that somebody outside is to settle, in call order; none if the turn has ended.
    pub waiting_for: Vec<RequestedCall>,
}

/// Why a turn ended, or stands still.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TurnStopReason {
    /// The model answered.
    EndTurn,
    /// Its model calls were used up.
    MaxIterations,
    /// It could not be answered.
    Failure {
        /// Stable code, for example "rate_limited".
        code: String,
    },
    /// The platform gave it up.
    Sealed {
        /// "no_progress", "budget" (of time), "budget_exhausted", "storage_exhausted", "loop" or "internal_error".
        reason: String,
    },
    /// It was cancelled.
    Cancelled,
    /// It has not ended: it waits for the calls in [`TurnResult::waiting_for`].
    WaitingForToolResults,
    /// It has not ended: it waits at the soft limit of a budget until the session is resumed.
    Paused,
    /// Something else, in the word of `turn.completed`.
    Other(String),
}

/// Reads a turn from its input on, or the one into which it was merged. `input` is the sequence of
/// its input.
pub(super) async fn result(backends: &RuntimeBackends, key: TurnKey, input: u64) -> Result<TurnResult, Error> {
    let reading = read(backends, key, input).await?;
    let Some(turn) = reading.merged_into else { return reading.result() };
    let started = with_history(backends, key.org, key.session, |history| history.conversation().start_of(turn)).await?;
    let started = started.ok_or_else(|| Error::Internal(format!("{turn} took {} in, but has no input", key.turn)))?;
    read(backends, TurnKey { turn, ..key }, started).await?.result()
}

async fn read(backends: &RuntimeBackends, key: TurnKey, input: u64) -> Result<Reading, Error> {
    let state = TurnState::new(key.turn);
    let mut reading = Reading { state, response: String::new(), asked: Vec::new(), stop: None, merged_into: None };
    let mut after = input - 1;
    loop {
        let page = insist(|| backends.log.read_events(key.org, key.session, after, MAX_EVENTS_PER_PAGE)).await?;
        page.iter().for_each(|event| reading.take(event));
        match page.last().and_then(|event| event.sequence) {
            Some(last) if !reading.is_over() && page.len() == MAX_EVENTS_PER_PAGE => after = last,
            _ => return Ok(reading),
        }
    }
}

struct Reading {
    state: TurnState,
    response: String,
    /// The calls that somebody was asked about.
    asked: Vec<RequestedCall>,
    stop: Option<(TurnStopReason, Option<String>)>,
    merged_into: Option<TurnId>,
}

impl Reading {
    fn is_over(&self) -> bool {
        self.stop.is_some() || self.merged_into.is_some()
    }

    fn take(&mut self, event: &Event) {
        if self.is_over() {
            return;
        }
        self.state.fold(event);
        if event.context.turn_id != Some(self.state.turn_id()) {
            return;
        }
        self.stop = match &event.data {
            EventData::OutputMessageCompleted { message, .. } => {
                self.response = message.text();
                None
            }
            EventData::ToolCallRequested { tool_calls, .. } => {
                self.asked.extend_from_slice(tool_calls);
                None
            }
            EventData::TurnMerged { into_turn_id, .. } => {
                self.merged_into = Some(*into_turn_id);
                None
            }
            EventData::TurnCompleted { reason, .. } => Some((completed(reason), None)),
            EventData::TurnFailed { error, error_code, .. } => {
                Some((TurnStopReason::Failure { code: error_code.clone() }, Some(error.clone())))
            }
            EventData::TurnSealed { reason, detail, .. } => Some((TurnStopReason::Sealed { reason: reason.clone() }, Some(detail.clone()))),
            EventData::TurnCancelled { .. } => Some((TurnStopReason::Cancelled, Some("the turn was cancelled".to_owned()))),
            _ => None,
        };
    }

    fn result(self) -> Result<TurnResult, Error> {
        let state = self.state;
        let mut waiting_for = self.asked;
        if self.stop.is_none() && next(&state) == Step::Park {
            let open = state.unsettled_calls();
            waiting_for.retain(|asked| open.iter().any(|planned| planned.call.id == asked.tool_call.id && planned.waits_for.is_some()));
        } else {
            waiting_for.clear();
        }
        let paused = state.paused_by().first().map(|notice| (TurnStopReason::Paused, Some(notice.message.clone())));
        let waits = (!waiting_for.is_empty()).then_some((TurnStopReason::WaitingForToolResults, None)).or(paused);
        let Some((stop_reason, error)) = self.stop.or(waits) else {
            let left = format!("{} is left open, because the runtime shuts down or its store failed; recover takes it up", state.turn_id());
            return Err(Error::Unavailable(left));
        };
        Ok(TurnResult {
            turn_id: state.turn_id(),
            response: self.response,
            iterations: state.iterations(),
            tool_calls_count: state.settled_calls(),
            success: state.ended() == Some(TurnEnd::Completed),
            error,
            stop_reason,
            usage: state.usage(),
            waiting_for,
        })
    }
}

fn completed(reason: &str) -> TurnStopReason {
    match reason {
        "answered" => TurnStopReason::EndTurn,
        "max_iterations" => TurnStopReason::MaxIterations,
        other => TurnStopReason::Other(other.to_owned()),
    }
}
