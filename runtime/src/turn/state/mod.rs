//! What the events of a session say about one turn: a pure fold.

mod fold;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::budgets::BudgetMemory;
use super::call::{CallState, PlannedCall};
use super::compaction::{Budget, Cut};
use super::history::History;
use super::repetition::Repetition;
use super::stop::Stop;
use crate::capability::RepetitionRule;
use crate::event::{BudgetNotice, CompactionReason, PinnedCapability, RequestKind, TokenUsage};
use crate::id::{MessageId, TurnId};
use crate::limits::{DEFAULT_MAX_ITERATIONS, MAX_QUEUED_TURNS, MAX_TOOL_CALLS_PER_STEP};
use crate::message::Message;
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
    worked_millis: u64,
    /// Of the tool calls that run at the same time, since they were last taken up.
    acted_millis: u64,
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
    /// The budgets whose soft limits the turn waits at.
    paused: Vec<BudgetNotice>,
    repetition: Repetition,
    repetition_rule: Option<RepetitionRule>,
    /// Turns that became part of this one since the model last answered.
    merged: usize,
    /// Whether no further turn is to become part of this one.
    keeps_apart: bool,
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
            input_message_id: waiting,
            started: None,
            driver: None,
            worked_millis: 0,
            acted_millis: 0,
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
            paused: Vec::new(),
            repetition: Repetition::default(),
            repetition_rule: None,
            merged: 0,
            keeps_apart: false,
            budget: None,
            reported_tokens: 0,
            overflowed: false,
            shortened: false,
        }
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

    /// Leaves the turns behind this one to themselves from now on.
    pub(super) fn keep_apart(&mut self) {
        self.keeps_apart = true;
    }

    /// The turn that is to become part of this one before the next model call, with the id of its
    /// input.
    pub(super) fn follow_up(&self) -> Option<(TurnId, MessageId)> {
        if self.keeps_apart || self.merged >= MAX_QUEUED_TURNS { None } else { self.history.follow_up(self.turn_id) }
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

    /// The budgets at whose soft limits the turn waits until somebody resumes the session.
    pub fn paused_by(&self) -> &[BudgetNotice] {
        &self.paused
    }

    /// What the log says about budgets.
    pub(super) fn budgets(&self) -> &BudgetMemory {
        self.history.budgets()
    }

    /// Whether a message was submitted behind this turn's.
    pub fn is_followed(&self) -> bool {
        self.history.conversation().is_followed(self.turn_id)
    }

    /// Whether the log certainly has no turn behind this one that is open. What a message store keeps is not
    /// enough to tell.
    pub(super) fn is_last(&self) -> bool {
        !self.history.is_partial() && !self.is_followed()
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

    /// How long models and tools of the platform worked on the turn, in milliseconds: by the durations of the events,
    /// because their times are those of clocks that may be set.
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

    /// The calls of an answer that is not folded yet, as they will be planned.
    pub(super) fn calls_of(&self, answer: &Message) -> Vec<PlannedCall> {
        answer.tool_calls().enumerate().map(|(index, call)| self.planned(index, &CallState::new(call))).collect()
    }

    /// Whether a model call certainly comes next once these calls have their results, which the model
    /// sees as so many bytes at most. False also where only folding them would tell.
    pub(super) fn reasons_after(&self, settled: usize, bytes: usize) -> bool {
        let is_repeated = |rule: &RepetitionRule| self.repetition.count + 1 >= rule.note_after.min(rule.stop_after);
        let is_full = |budget: &Budget| budget.may_be_reached(self.history.bytes() + bytes, self.reported_tokens);
        self.stop.is_none()
            && self.iterations < self.max_iterations
            && self.unsettled_calls().len() == settled
            && !self.overflowed
            && !self.repetition_rule.as_ref().is_some_and(is_repeated)
            && !self.budget.as_ref().is_some_and(is_full)
            && self.follow_up().is_none()
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
