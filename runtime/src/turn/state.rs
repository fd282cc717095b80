//! What the events of a session say about one turn: a pure fold.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::call::{CallState, PlannedCall};
use super::compaction::{Budget, Cut};
use super::history::History;
use super::repetition::{Repetition, digest_of};
use super::stop::Stop;
use crate::capability::RepetitionRule;
use crate::event::{CompactionReason, Event, EventData, PinnedCapability, RequestKind, RequestedCall, TokenUsage, ToolCompleted};
use crate::id::{MessageId, TurnId};
use crate::limits::{DEFAULT_MAX_ITERATIONS, MAX_TOOL_CALLS_PER_STEP};
use crate::message::{Message, ToolCall};
use crate::store::TurnEnd;

/// State of one turn. Events of other turns add to the conversation at most.
#[derive(Debug, Clone, PartialEq)]
pub struct TurnState {
    turn_id: TurnId,
    history: History,
    last_sequence: u64,
    message_sequence: u64,
    input_message_id: Option<MessageId>,
    started: Option<(Timestamp, Vec<PinnedCapability>)>,
    driver: Option<PinnedCapability>,
    worked_until: Option<Timestamp>,
    worked_millis: u64,
    iterations: u32,
    reason_started: Option<Timestamp>,
    calls: Vec<CallState>,
    act_started: Option<Timestamp>,
    answered: bool,
    settled_calls: u32,
    final_message_id: Option<MessageId>,
    usage: TokenUsage,
    fruitless_activations: u32,
    ended: Option<TurnEnd>,
    stop: Option<Stop>,
    max_iterations: u32,
    outside: BTreeMap<String, RequestKind>,
    parked: bool,
    repetition: Repetition,
    repetition_rule: Option<RepetitionRule>,
    budget: Option<Budget>,
    /// Tokens of the conversation after the latest model call, as the model counts.
    reported_tokens: u64,
    /// Whether the model has refused the conversation as too long.
    overflowed: bool,
    /// Whether that was done something about since the model last answered.
    shortened: bool,
}

impl TurnState {
    /// State of a turn of which no event was folded yet.
    pub fn new(turn_id: TurnId) -> Self {
        Self::resume(turn_id, History::default())
    }

    /// State of a turn in a session with a history. [`Self::last_sequence`] says behind which
    /// sequence to read on: where the history ends if it has all of the turn, which is at most
    /// its input; else where the turn begins.
    pub fn resume(turn_id: TurnId, history: History) -> Self {
        let waiting = history.waiting_input(turn_id);
        let last_sequence = match history.conversation().start_of(turn_id) {
            Some(start) if waiting.is_none() => start.saturating_sub(1),
            _ => history.through(),
        };
        Self {
            turn_id,
            message_sequence: history.conversation().last_sequence_until(turn_id),
            history,
            last_sequence,
            input_message_id: waiting.map(|input| input.message_id),
            started: None,
            driver: None,
            worked_until: waiting.map(|input| input.ts),
            worked_millis: 0,
            iterations: 0,
            reason_started: None,
            calls: Vec::new(),
            act_started: None,
            answered: false,
            settled_calls: 0,
            final_message_id: None,
            usage: TokenUsage::default(),
            fruitless_activations: 0,
            ended: None,
            stop: None,
            max_iterations: DEFAULT_MAX_ITERATIONS,
            outside: BTreeMap::new(),
            parked: false,
            repetition: Repetition::default(),
            repetition_rule: None,
            budget: None,
            reported_tokens: 0,
            overflowed: false,
            shortened: false,
        }
    }

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
            EventData::TurnCompleted { .. } => self.ended = Some(TurnEnd::Completed),
            EventData::TurnFailed { .. } => self.ended = Some(TurnEnd::Failed),
            EventData::TurnSealed { .. } => self.ended = Some(TurnEnd::Sealed),
            EventData::TurnCancelled { .. } => self.ended = Some(TurnEnd::Cancelled),
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
        self.worked_until = None;
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

    /// Nobody works on a turn between its last event and the activation that takes it up again,
    /// nor while it waits for somebody outside.
    fn fold_progress(&mut self, event: &Event) {
        if matches!(event.data, EventData::SessionActivated { .. }) {
            self.parked = false;
        } else if self.parked {
            self.fruitless_activations = 0;
            return;
        }
        let since = self.worked_until.filter(|_| self.started.is_some());
        match &event.data {
            EventData::SessionActivated { .. } => self.fruitless_activations += 1,
            data => {
                self.worked_millis += since.map_or(0, |since| millis(since, event.ts));
                if !matches!(data, EventData::ReasonRecovered { .. }) {
                    self.fruitless_activations = 0;
                }
            }
        }
        self.worked_until = Some(event.ts);
    }

    fn fold_answer(&mut self, message: &Message) {
        self.iterations += 1;
        self.reason_started = None;
        self.act_started = None;
        self.final_message_id = Some(message.id);
        self.shortened = false;
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

    /// Ends the turn at the next step, unless it has its answer by then. The first stop counts.
    pub fn stop(&mut self, stop: Stop) {
        self.stop.get_or_insert(stop);
    }

    /// Sets the most model calls of the turn; [`DEFAULT_MAX_ITERATIONS`] until then.
    pub fn set_max_iterations(&mut self, most: u32) {
        self.max_iterations = most;
    }

    /// Sets the tools whose calls wait for somebody outside; none until then.
    pub fn set_outside(&mut self, outside: BTreeMap<String, RequestKind>) {
        self.outside = outside;
    }

    /// Sets what is done about steps that repeat each other; nothing until then.
    pub(super) fn set_repetition_rule(&mut self, rule: Option<RepetitionRule>) {
        self.repetition_rule = rule;
    }

    /// Sets when the conversation is compacted; never until then.
    pub(super) fn set_budget(&mut self, budget: Option<Budget>) {
        self.budget = budget;
    }

    /// Notes that the model has refused the conversation as too long. Tells whether something can be
    /// done about that: it is compacted once then, before the model is called again.
    pub(super) fn note_overflow(&mut self) -> bool {
        self.overflowed = !self.shortened && self.cut(CompactionReason::RequestTooLarge).is_some();
        self.overflowed
    }

    /// Equal steps in a row that the model is to be told of; none if it knows, or may go on.
    pub(super) fn repetition_to_note(&self) -> Option<u32> {
        let rule = self.repetition_rule?;
        (self.repetition.count >= rule.note_after && !self.repetition.noted).then_some(self.repetition.count)
    }

    /// Equal steps in a row, if they are too many for the turn to go on.
    pub(super) fn repetition_to_stop(&self) -> Option<u32> {
        let rule = self.repetition_rule?;
        (self.repetition.count >= rule.stop_after).then_some(self.repetition.count)
    }

    /// Why the conversation is to be compacted before the next model call.
    pub(super) fn compaction_due(&self) -> Option<CompactionReason> {
        let budget = self.budget.as_ref()?;
        if !self.overflowed && !budget.may_be_reached(self.history.bytes(), self.reported_tokens) {
            return None;
        }
        let reason = if self.overflowed { CompactionReason::RequestTooLarge } else { CompactionReason::ProactiveBudget };
        let view = self.history.conversation().view_until(self.turn_id);
        let is_due = self.overflowed || budget.is_reached(&view, self.reported_tokens);
        (is_due && budget.cut(&view, reason).is_some()).then_some(reason)
    }

    /// What a compaction would do; none if nothing can be left out.
    pub(super) fn cut(&self, reason: CompactionReason) -> Option<Cut> {
        self.budget.as_ref()?.cut(&self.history.conversation().view_until(self.turn_id), reason)
    }

    /// Whether a message was submitted behind this turn's.
    pub fn is_followed(&self) -> bool {
        self.history.conversation().is_followed(self.turn_id)
    }

    /// The turn.
    pub fn turn_id(&self) -> TurnId {
        self.turn_id
    }

    /// The conversation that the model sees: earlier turns, this turn's input, its own messages; a
    /// summary in place of what was compacted.
    pub fn messages(&self) -> Vec<Arc<Message>> {
        self.history.conversation().view_until(self.turn_id).messages().cloned().collect()
    }

    /// Sequence of the last folded event, whatever turn it belongs to.
    pub fn last_sequence(&self) -> u64 {
        self.last_sequence
    }

    /// Sequence of the last message of the conversation.
    pub fn message_sequence(&self) -> u64 {
        self.message_sequence
    }

    /// The message that the turn answers; none before it was folded.
    pub fn input_message_id(&self) -> Option<MessageId> {
        self.input_message_id
    }

    /// When the turn started.
    pub fn started_at(&self) -> Option<Timestamp> {
        self.started.as_ref().map(|(at, _)| *at)
    }

    /// How long processes worked on the turn since it started, in milliseconds.
    pub fn worked_millis(&self) -> u64 {
        self.worked_millis
    }

    /// The version of a driver component that the turn recorded at its start.
    pub fn driver_pin(&self) -> Option<&PinnedCapability> {
        self.driver.as_ref()
    }

    /// What the turn pinned at its start; none if it has not started.
    pub fn pins(&self) -> Option<&[PinnedCapability]> {
        self.started.as_ref().map(|(_, pins)| pins.as_slice())
    }

    /// Completed model calls.
    pub fn iterations(&self) -> u32 {
        self.iterations
    }

    /// Most model calls.
    pub fn max_iterations(&self) -> u32 {
        self.max_iterations
    }

    /// When the model call that is not completed yet started.
    pub fn open_reason(&self) -> Option<Timestamp> {
        self.reason_started
    }

    /// When the tool calls that are not all settled yet were claimed.
    pub fn open_act(&self) -> Option<Timestamp> {
        self.act_started
    }

    /// Tool calls without a result, in call order.
    pub fn unsettled_calls(&self) -> Vec<PlannedCall> {
        let open = self.calls.iter().enumerate().filter(|(_, state)| state.success.is_none());
        open.map(|(index, state)| self.planned(index, state)).collect()
    }

    /// What was requested stays so, whatever the turn's tools are by now. Calls that are too
    /// many are refused at once; nobody is asked about them.
    fn planned(&self, index: usize, state: &CallState) -> PlannedCall {
        let is_refused = index >= MAX_TOOL_CALLS_PER_STEP && state.requested.is_none();
        let kind = state.requested.or_else(|| self.outside.get(&state.call.name).copied());
        let decided = match kind {
            Some(RequestKind::Approval) if !state.approved => self.history.approval_of(&state.call.name),
            _ => None,
        };
        PlannedCall {
            index,
            call: state.call.clone(),
            claimed: state.claimed,
            waits_for: kind.filter(|_| !state.approved && decided.is_none() && !is_refused),
            requested: state.requested.is_some(),
            rejected: decided == Some(false),
            connection: state.connection.clone(),
            connection_requests: state.connection_requests,
        }
    }

    /// Successful and other results of the calls of the latest act step.
    pub fn call_counts(&self) -> (u32, u32) {
        let in_act = || self.calls.iter().filter(|state| state.in_act);
        let count = |wanted: bool| in_act().map(|state| u32::from(state.success == Some(wanted))).sum();
        (count(true), count(false))
    }

    /// Settled tool calls of the turn.
    pub fn settled_calls(&self) -> u32 {
        self.settled_calls
    }

    /// Whether the model answered without asking for a tool.
    pub fn is_answered(&self) -> bool {
        self.answered
    }

    /// The agent's last message of this turn.
    pub fn final_message_id(&self) -> Option<MessageId> {
        self.final_message_id
    }

    /// Tokens of all model calls so far.
    pub fn usage(&self) -> TokenUsage {
        self.usage
    }

    /// How often the turn was taken up since it last came further.
    pub fn fruitless_activations(&self) -> u32 {
        self.fruitless_activations
    }

    /// Why it is to end.
    pub fn pending_stop(&self) -> Option<&Stop> {
        self.stop.as_ref()
    }

    /// How it ended.
    pub fn ended(&self) -> Option<TurnEnd> {
        self.ended
    }

    /// Has the log read again from its start: the turn's own events are folded, the history
    /// skips what it has.
    pub(super) fn rewind(&mut self) {
        self.last_sequence = 0;
    }

    /// Gives the history to the session's next turn.
    pub fn into_history(self) -> History {
        self.history
    }

    /// Takes the history out; nothing else may be done with the state.
    pub(super) fn take_history(&mut self) -> History {
        std::mem::take(&mut self.history)
    }

    /// Whether a tool call of the session has this id already.
    pub fn knows_call(&self, id: &str) -> bool {
        self.history.knows_call(id)
    }
}

/// Milliseconds between two times; 0 if the clock went back.
pub(super) fn millis(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.duration_since(from).as_millis()).unwrap_or(0)
}
