//! The last events of a turn. Nothing stays open behind them: no model call, and no tool call
//! without a result, because models refuse conversations with unanswered calls.

use super::call::PlannedCall;
use super::executor::Run;
use super::plan::Finish;
use super::state::TurnState;
use super::stop::{SealReason, Stop};
use crate::event::{EventData, TokenUsage, ToolCompleted, ToolStatus};
use crate::id::MessageId;
use crate::store::TurnEnd;

impl Run<'_> {
    /// The events that end the turn.
    pub(super) fn ending(&self, finish: Finish) -> (Vec<EventData>, TurnEnd) {
        let state = self.journal.state();
        let mut events = if state.started_at().is_none() { self.starting(Vec::new(), None) } else { Vec::new() };
        if let Finish::Stopped(stop) = &finish {
            events.extend(self.closing_reason(describe(stop)));
            events.extend(self.closing_act(stop));
        }
        events.extend(self.exhausted.clone().map(EventData::BudgetExhausted));
        let (ended, end) = self.ended(finish);
        events.push(ended);
        events.push(EventData::SessionIdled { turn_id: self.key.turn });
        (events, end)
    }

    /// The events that end the turn behind an answer that asks for no tool and is not folded yet.
    pub(super) fn ending_with(&self, answer: &[EventData]) -> [EventData; 2] {
        let mut state = Totals::of(self.journal.state());
        for event in answer {
            match event {
                EventData::LlmGeneration { usage, .. } => state.usage += *usage,
                EventData::OutputMessageCompleted { message, .. } => {
                    state.iterations += 1;
                    state.final_message_id = Some(message.id);
                }
                _ => {}
            }
        }
        [self.completed("answered", state), EventData::SessionIdled { turn_id: self.key.turn }]
    }

    /// The end of a model call that was not made.
    pub(super) fn closing_reason(&self, error: &str) -> Option<EventData> {
        let started = self.journal.state().open_reason()?;
        Some(EventData::ReasonCompleted {
            success: false,
            text_preview: None,
            has_tool_calls: false,
            tool_call_count: 0,
            error: Some(error.to_owned()),
            duration_ms: self.journal.millis_since(started),
            usage: Default::default(),
        })
    }

    fn closing_act(&self, stop: &Stop) -> Vec<EventData> {
        let state = self.journal.state();
        let open = state.unsettled_calls();
        let mut events: Vec<EventData> = open.iter().map(|call| EventData::ToolCompleted(abandoned(call, stop))).collect();
        if let Some(started) = state.open_act() {
            let (success_count, errors) = state.call_counts();
            let error_count = errors + u32::try_from(open.len()).unwrap_or(u32::MAX);
            events.push(EventData::ActCompleted { success_count, error_count, duration_ms: self.journal.millis_since(started) });
        }
        events
    }

    fn ended(&self, finish: Finish) -> (EventData, TurnEnd) {
        let (turn_id, usage) = (self.key.turn, self.journal.state().usage());
        match finish {
            Finish::Completed => (self.completed("answered", Totals::of(self.journal.state())), TurnEnd::Completed),
            Finish::MaxIterations => (self.completed("max_iterations", Totals::of(self.journal.state())), TurnEnd::Completed),
            Finish::Stopped(Stop::Superseded) => (self.completed("superseded", Totals::of(self.journal.state())), TurnEnd::Completed),
            Finish::Stopped(Stop::Cancelled) => (EventData::TurnCancelled { turn_id, usage }, TurnEnd::Cancelled),
            Finish::Stopped(Stop::Failed { error_code, error }) => {
                (EventData::TurnFailed { turn_id, error, error_code, usage }, TurnEnd::Failed)
            }
            Finish::Stopped(Stop::Sealed { reason, detail }) => {
                (EventData::TurnSealed { turn_id, reason: reason.as_str().to_owned(), detail }, TurnEnd::Sealed)
            }
        }
    }

    fn completed(&self, reason: &str, totals: Totals) -> EventData {
        let state = self.journal.state();
        EventData::TurnCompleted {
            turn_id: self.key.turn,
            iterations: totals.iterations,
            tool_call_count: state.settled_calls(),
            reason: reason.to_owned(),
            final_message_id: totals.final_message_id,
            duration_ms: state.started_at().map_or(0, |started| self.journal.millis_since(started)),
            usage: totals.usage,
        }
    }
}

/// What an answer adds to.
struct Totals {
    iterations: u32,
    final_message_id: Option<MessageId>,
    usage: TokenUsage,
}

impl Totals {
    fn of(state: &TurnState) -> Self {
        Self { iterations: state.iterations(), final_message_id: state.final_message_id(), usage: state.usage() }
    }
}

fn describe(stop: &Stop) -> &str {
    match stop {
        Stop::Cancelled => "the turn was cancelled",
        Stop::Superseded => "the user sent a new message instead of settling the call",
        Stop::Failed { error, .. } => error,
        Stop::Sealed { detail, .. } => detail,
    }
}

/// The result of a call that gets no result any more.
pub(super) fn abandoned(call: &PlannedCall, stop: &Stop) -> ToolCompleted {
    let (status, kind) = match stop {
        Stop::Cancelled => (ToolStatus::Cancelled, "cancelled"),
        Stop::Superseded => (ToolStatus::Cancelled, "superseded"),
        Stop::Sealed { reason: SealReason::Budget, .. } => (ToolStatus::Timeout, "deadline"),
        Stop::Failed { .. } | Stop::Sealed { .. } => (ToolStatus::Interrupted, "interrupted"),
    };
    unsuccessful(call, status, kind, format!("{}; {}", describe(stop), fate_of(call)))
}

/// What is known of the effect of a call that gets no result.
pub(super) fn fate_of(call: &PlannedCall) -> &'static str {
    if call.claimed { "its outcome is uncertain: it may or may not have had its effect" } else { "the tool was not called" }
}

/// The result of a claimed call whose process died and that must not be repeated.
pub(super) fn interrupted(call: &PlannedCall) -> ToolCompleted {
    let error = "interrupted: the process ended while the tool was running, and the call is not safe to repeat; \
                 its outcome is uncertain: it may or may not have had its effect";
    unsuccessful(call, ToolStatus::Interrupted, "interrupted", error.to_owned())
}

/// A result without a result.
pub(super) fn unsuccessful(call: &PlannedCall, status: ToolStatus, kind: &str, error: String) -> ToolCompleted {
    ToolCompleted {
        tool_call_id: call.call.id.clone(),
        tool_name: call.call.name.clone(),
        success: false,
        status,
        result: Vec::new(),
        structured: None,
        error: Some(error),
        error_kind: Some(kind.to_owned()),
        duration_ms: 0,
        capability_id: None,
        receipt: None,
    }
}
