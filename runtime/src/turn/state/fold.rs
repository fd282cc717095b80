//! How each event changes what is known of a turn.

use jiff::Timestamp;

use super::TurnState;
use crate::event::{CompactionReason, Event, EventData, RequestKind, RequestedCall, TokenUsage, ToolCompleted};
use crate::message::{Message, ToolCall};
use crate::store::TurnEnd;
use crate::turn::call::CallState;
use crate::turn::repetition::digest_of;

impl TurnState {
    /// Takes the next event of the session in, whatever turn it belongs to.
    pub fn fold(&mut self, event: &Event) {
        self.last_sequence = event.sequence.unwrap_or(self.last_sequence);
        if let Some(position) = self.history.add(event)
            && self.history.conversation().is_visible(position, self.turn_id)
        {
            self.message_sequence = self.last_sequence;
        }
        if event.context.turn_id == Some(self.turn_id) {
            self.fold_own(event);
        } else if self.input_message_id.is_some()
            && matches!(event.data, EventData::TurnMerged { into_turn_id, .. } if into_turn_id == self.turn_id)
        {
            self.merged += 1;
        }
    }

    fn fold_own(&mut self, event: &Event) {
        self.fold_progress(event);
        match &event.data {
            EventData::InputMessage { message } => self.input_message_id = Some(message.id),
            EventData::TurnStarted { capabilities, driver, .. } => {
                self.started = Some((event.ts, capabilities.clone()));
                self.driver.clone_from(driver);
            }
            EventData::ReasonStarted { .. } => self.reason_started = Some(event.ts),
            EventData::LlmGeneration { usage, success, .. } => {
                self.usage += *usage;
                if *success {
                    self.reported_tokens = usage.total();
                }
            }
            EventData::ContextCompacted { reason, usage, .. } => self.fold_compaction(*reason, *usage),
            EventData::LoopDetected { .. } => self.repetition.noted = true,
            EventData::OutputMessageCompleted { message, .. } => self.fold_answer(message),
            EventData::ReasonCompleted { .. } => self.reason_started = None,
            EventData::ActStarted { tool_calls } => self.fold_act(event.ts, tool_calls),
            EventData::ToolStarted { tool_call, .. } => {
                if let Some(state) = self.call_mut(&tool_call.id) {
                    state.claimed = true;
                }
            }
            EventData::ToolCompleted(completed) => self.fold_result(completed),
            EventData::ActCompleted { .. } => self.act_started = None,
            EventData::ToolCallRequested { tool_calls, .. } => self.fold_request(tool_calls),
            EventData::ToolApprovalDecided { tool_call_id, approved, .. } => {
                if let Some(state) = self.call_mut(tool_call_id) {
                    state.approved = *approved;
                }
            }
            EventData::ToolConnectionMade { tool_call_id, .. } => {
                if let Some(state) = self.call_mut(tool_call_id) {
                    state.approved = state.requested == Some(RequestKind::Connection);
                }
            }
            EventData::BudgetPaused(notice) => {
                self.parked = true;
                self.paused.push(notice.clone());
            }
            EventData::BudgetResumed(notice) => self.paused.retain(|paused| paused.budget_id != notice.budget_id),
            EventData::TurnCompleted { .. } => self.ended = Some(TurnEnd::Completed),
            EventData::TurnFailed { .. } => self.ended = Some(TurnEnd::Failed),
            EventData::TurnSealed { .. } => self.ended = Some(TurnEnd::Sealed),
            EventData::TurnCancelled { .. } => self.ended = Some(TurnEnd::Cancelled),
            EventData::TurnMerged { .. } => self.ended = Some(TurnEnd::Merged),
            _ => {}
        }
    }

    fn fold_act(&mut self, at: Timestamp, tool_calls: &[ToolCall]) {
        self.act_started = Some(at);
        for state in &mut self.calls {
            state.in_act = tool_calls.iter().any(|call| call.id == state.call.id);
        }
    }

    /// A client that was asked to execute a call may have done so, whatever comes back. A call that
    /// asks for a connection says that it has done nothing.
    fn fold_request(&mut self, requested: &[RequestedCall]) {
        self.parked = true;
        for request in requested {
            if let Some(state) = self.call_mut(&request.tool_call.id) {
                state.requested = Some(request.kind);
                state.claimed |= request.kind == RequestKind::ClientSide;
                if request.kind == RequestKind::Connection {
                    state.claimed = false;
                    state.approved = false;
                    state.connection.clone_from(&request.connection_required);
                    state.connection_requests += 1;
                }
            }
        }
    }

    /// Nobody works on a turn while it waits for somebody outside.
    fn fold_progress(&mut self, event: &Event) {
        if matches!(event.data, EventData::SessionActivated { .. }) {
            self.parked = false;
        } else if self.parked {
            self.fruitless_activations = 0;
            return;
        }
        match &event.data {
            EventData::SessionActivated { .. } => self.fruitless_activations += 1,
            EventData::ReasonRecovered { .. } => {}
            _ => self.fruitless_activations = 0,
        }
        self.fold_work(&event.data);
    }

    fn fold_work(&mut self, data: &EventData) {
        match data {
            EventData::ReasonCompleted { duration_ms, .. } | EventData::ContextCompacted { duration_ms, .. } => {
                self.worked_millis = self.worked_millis.saturating_add(*duration_ms);
            }
            // These calls run at the same time, from here on.
            EventData::ActStarted { .. } | EventData::SessionActivated { .. } => self.acted_millis = 0,
            EventData::ToolCompleted(completed) => {
                let acted = self.acted_millis.max(completed.duration_ms);
                self.worked_millis = self.worked_millis.saturating_add(acted - self.acted_millis);
                self.acted_millis = acted;
            }
            _ => {}
        }
    }

    fn fold_answer(&mut self, message: &Message) {
        self.iterations += 1;
        self.reason_started = None;
        self.act_started = None;
        self.final_message_id = Some(message.id);
        self.shortened = false;
        self.merged = 0;
        self.calls = message.tool_calls().map(CallState::new).collect();
        self.answered = self.calls.is_empty();
    }

    fn fold_result(&mut self, completed: &ToolCompleted) {
        self.settled_calls += 1;
        if let Some(state) = self.call_mut(&completed.tool_call_id) {
            state.success = Some(completed.success);
            state.digest = Some(digest_of(&state.call, completed));
        }
        if self.calls.iter().all(|state| state.success.is_some()) {
            self.repetition.add(&self.calls);
        }
    }

    fn fold_compaction(&mut self, reason: CompactionReason, usage: TokenUsage) {
        self.usage += usage;
        self.reported_tokens = 0;
        self.overflowed = false;
        self.shortened |= reason == CompactionReason::RequestTooLarge;
    }

    fn call_mut(&mut self, id: &str) -> Option<&mut CallState> {
        self.calls.iter_mut().find(|state| state.call.id == id)
    }
}
