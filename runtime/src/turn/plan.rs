//! What a turn does next: a pure function of its state.

use super::call::PlannedCall;
use super::state::TurnState;
use super::stop::{SealReason, Stop};
use crate::event::CompactionReason;
use crate::id::{MessageId, TurnId};
use crate::mutation::off;
use crate::store::TurnEnd;

/// How often a turn is taken up without coming further before it is given up.
pub(super) const MAX_FRUITLESS_ATTEMPTS: u32 = 3;

/// The next step of a turn.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Record that it runs, and what it uses.
    Start,
    /// Call the model.
    Reason {
        /// Which model call of the turn, from 1.
        iteration: u32,
        /// Whether a dead process left this call behind.
        recovered: bool,
    },
    /// Take in a message that came meanwhile, with which its turn ends.
    Merge {
        /// That turn.
        turn: TurnId,
        /// The message.
        input: MessageId,
    },
    /// Tell the model that it repeats itself.
    Note {
        /// Equal steps in a row.
        repetitions: u32,
    },
    /// Replace the older part of the conversation by a summary.
    Compact {
        /// Why.
        reason: CompactionReason,
    },
    /// Claim and execute tool calls.
    Act {
        /// In call order; none of them was claimed.
        calls: Vec<PlannedCall>,
    },
    /// Settle tool calls that a dead process left behind: execute them again if that does no
    /// harm, and record the others as interrupted.
    Settle {
        /// In call order.
        calls: Vec<PlannedCall>,
    },
    /// Ask somebody outside about tool calls, and wait.
    Request {
        /// In call order; nobody was asked about them yet.
        calls: Vec<PlannedCall>,
    },
    /// Wait on: what was asked is not settled yet, or the session is not resumed.
    Park,
    /// Record the end, and settle what is open.
    Finish(Finish),
    /// Nothing: it has ended.
    Done(TurnEnd),
}

/// Why a turn ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finish {
    /// The model answered.
    Completed,
    /// The model calls are used up.
    MaxIterations,
    /// Before its answer.
    Stopped(Stop),
}

/// Plans the next step.
pub fn next(state: &TurnState) -> Step {
    if let Some(end) = state.ended() {
        return Step::Done(end);
    }
    if state.is_answered() {
        return Step::Finish(Finish::Completed);
    }
    if let Some(stop) = state.pending_stop() {
        return Step::Finish(Finish::Stopped(stop.clone()));
    }
    if state.fruitless_activations() > MAX_FRUITLESS_ATTEMPTS && !off("turn.fruitless_attempts") {
        return Step::Finish(Finish::Stopped(no_progress()));
    }
    if state.started_at().is_none() {
        return Step::Start;
    }
    begun(state)
}

/// Whether the first model call is what comes after the start of a turn.
pub(super) fn begins_with_reason(state: &TurnState) -> bool {
    matches!(begun(state), Step::Reason { recovered: false, .. })
}

/// Plans the next step of a turn that has begun and goes on.
fn begun(state: &TurnState) -> Step {
    if !state.paused_by().is_empty() {
        return if state.is_followed() { Step::Finish(Finish::Stopped(Stop::Superseded)) } else { Step::Park };
    }
    let (waiting, calls): (Vec<_>, Vec<_>) = state.unsettled_calls().into_iter().partition(|call| call.waits_for.is_some());
    // Approved calls are executed once nothing else is asked any more, so that a turn that is
    // overtaken has done nothing behind the back of whoever is asked.
    let asked = waiting.iter().any(|call| call.requested);
    if !calls.is_empty() && !asked {
        return if state.open_act().is_some() { Step::Settle { calls } } else { Step::Act { calls } };
    }
    if !waiting.is_empty() {
        return wait(state, waiting);
    }
    let iteration = state.iterations() + 1;
    if state.open_reason().is_some() {
        return Step::Reason { iteration, recovered: true };
    }
    if state.iterations() >= state.max_iterations() && !off("turn.iterations") {
        return Step::Finish(Finish::MaxIterations);
    }
    before_reason(state).unwrap_or(Step::Reason { iteration, recovered: false })
}

/// What comes before a further model call.
fn before_reason(state: &TurnState) -> Option<Step> {
    if let Some(repetitions) = state.repetition_to_stop()
        && !off("turn.circles")
    {
        let detail = format!("the model made the same calls with the same results {repetitions} times in a row");
        return Some(Step::Finish(Finish::Stopped(Stop::Sealed { reason: SealReason::Loop, detail })));
    }
    if let Some(repetitions) = state.repetition_to_note() {
        return Some(Step::Note { repetitions });
    }
    if let Some(reason) = state.compaction_due() {
        return Some(Step::Compact { reason });
    }
    // Last, so that a message that comes while a summary is written leaves the summary in place.
    let (turn, input) = state.follow_up()?;
    Some(Step::Merge { turn, input })
}

/// A user who writes on does not answer; whoever comes next must not wait behind a question that
/// nobody will answer.
fn wait(state: &TurnState, mut calls: Vec<PlannedCall>) -> Step {
    if state.is_followed() {
        return Step::Finish(Finish::Stopped(Stop::Superseded));
    }
    calls.retain(|call| !call.requested);
    if calls.is_empty() { Step::Park } else { Step::Request { calls } }
}

/// The end of a turn whose processes keep dying.
pub(super) fn no_progress() -> Stop {
    Stop::Sealed {
        reason: SealReason::NoProgress,
        detail: format!("the turn was taken up more than {MAX_FRUITLESS_ATTEMPTS} times without coming further"),
    }
}
