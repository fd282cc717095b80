//! What the events of a session say to all of its turns: the conversation, and what one turn
//! leaves to the next. Folded once; each turn goes on where the one before it ended.

use std::collections::{HashMap, HashSet};

use super::budgets::BudgetMemory;
use super::conversation::Conversation;
use crate::event::{Event, EventData, TokenUsage};
use crate::id::{MessageId, OrgId, SessionId, TurnId};
use crate::limits::MAX_EVENTS_PER_PAGE;
use crate::message::Message;
use crate::store::{RuntimeBackends, SessionMessages, StoreResult};
use crate::tokens::message_bytes;

/// What one message takes in memory beside its content, in bytes: ids, lists, reference counts.
pub(super) const MESSAGE_OVERHEAD_BYTES: usize = 256;

/// A fold of a session's events, from the first one up to [`Self::through`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct History {
    conversation: Conversation,
    call_ids: HashSet<String>,
    waiting: HashMap<TurnId, MessageId>,
    usage: TokenUsage,
    /// What a person has decided about all calls of a tool.
    approvals: HashMap<String, bool>,
    budgets: BudgetMemory,
    through: u64,
    bytes: usize,
    /// Whether messages came from a message store instead of events.
    is_partial: bool,
}

impl History {
    /// What a message store has kept. Token counts are not part of it.
    pub(super) fn from_messages(kept: SessionMessages) -> Self {
        let mut history = Self { through: kept.through, is_partial: true, ..Self::default() };
        for stored in kept.messages {
            history.note(&stored.message);
            history.conversation.add_message(stored.turn_id, stored.sequence, stored.message.into());
        }
        history
    }

    /// Takes the next event of the session in; events that it has are skipped, live-only ones
    /// add nothing. Tells whether a message was added, or moved into another turn.
    pub fn fold(&mut self, event: &Event) -> bool {
        self.add(event).is_some()
    }

    /// As [`Self::fold`]; returns the position of the turn that got a message.
    pub(super) fn add(&mut self, event: &Event) -> Option<usize> {
        let sequence = event.sequence.filter(|&sequence| sequence > self.through)?;
        self.through = sequence;
        self.note_waiting(event);
        self.budgets.fold(&event.data);
        match &event.data {
            EventData::LlmGeneration { usage, .. } => self.usage += *usage,
            EventData::ContextCompacted { usage, summary, .. } => {
                self.usage += *usage;
                self.bytes += summary.len() + MESSAGE_OVERHEAD_BYTES;
            }
            EventData::ToolApprovalDecided { tool_name, approved, always: true, .. } => {
                self.approvals.insert(tool_name.clone(), *approved);
            }
            _ => {}
        }
        let (position, message) = self.conversation.add_event(event)?;
        if !matches!(event.data, EventData::TurnMerged { .. }) {
            let message = message.clone();
            self.note(&message);
        }
        Some(position)
    }

    fn note(&mut self, message: &Message) {
        self.bytes += message_bytes(message) + MESSAGE_OVERHEAD_BYTES;
        self.call_ids.extend(message.tool_calls().map(|call| call.id.clone()));
    }

    fn note_waiting(&mut self, event: &Event) {
        let Some(turn) = event.context.turn_id else { return };
        match &event.data {
            EventData::InputMessage { message } if self.conversation.start_of(turn).is_none() => {
                self.waiting.insert(turn, message.id);
            }
            EventData::TurnMerged { into_turn_id, .. } => {
                self.waiting.remove(&turn);
                self.waiting.remove(into_turn_id);
            }
            _ => {
                self.waiting.remove(&turn);
            }
        }
    }

    /// Sequence of the last event that is part of it.
    pub fn through(&self) -> u64 {
        self.through
    }

    /// The conversation.
    pub fn conversation(&self) -> &Conversation {
        &self.conversation
    }

    /// Whether messages came from a message store instead of events.
    pub(super) fn is_partial(&self) -> bool {
        self.is_partial
    }

    /// Tokens of all model calls; none if part of the history is not from events.
    pub fn usage(&self) -> Option<TokenUsage> {
        (!self.is_partial).then_some(self.usage)
    }

    /// Whether a tool call of the session has this id.
    pub(super) fn knows_call(&self, id: &str) -> bool {
        self.call_ids.contains(id)
    }

    /// Whether a person has allowed or refused all calls of a tool; none if nobody did. Not known of
    /// events that are folded as messages only: then the next call is asked about.
    pub(super) fn approval_of(&self, tool: &str) -> Option<bool> {
        self.approvals.get(tool).copied()
    }

    /// What was said about budgets.
    pub(super) fn budgets(&self) -> &BudgetMemory {
        &self.budgets
    }

    /// The input of a turn, if the log has nothing else of the turn.
    pub(super) fn waiting_input(&self, turn: TurnId) -> Option<MessageId> {
        self.waiting.get(&turn).copied()
    }

    /// The turn that waits next behind this one and whose input this one can take in, with the id of
    /// that: it asks for nothing else than this turn's own input does. None if part of the history is
    /// from a message store, because that does not keep what was merged.
    pub(super) fn follow_up(&self, turn: TurnId) -> Option<(TurnId, MessageId)> {
        if self.is_partial || self.waiting.is_empty() {
            return None;
        }
        let own = self.conversation.input_of(turn)?;
        let (follower, input) = self.conversation.follower(turn)?;
        let follower = follower.filter(|follower| self.waiting.contains_key(follower))?;
        (own.controls == input.controls).then_some((follower, input.id))
    }

    /// About how much memory it takes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Brings a session's history up to the end of its log and shows it to `look`. Reads only the
/// events behind what is cached, or behind what the message store has kept.
///
/// # Errors
/// Those of the stores.
pub(crate) async fn with_history<T>(
    backends: &RuntimeBackends,
    org: OrgId,
    session: SessionId,
    look: impl FnOnce(&History) -> T,
) -> StoreResult<T> {
    let mut history = match &backends.message_store {
        Some(store) => History::from_messages(store.load_messages(org, session).await?),
        None => backends.history_cache.take(org, session).unwrap_or_default(),
    };
    loop {
        let page = backends.log.read_events(org, session, history.through, MAX_EVENTS_PER_PAGE).await?;
        backends.history_cache.note_folded(page.len());
        for event in &page {
            history.fold(event);
        }
        if page.len() < MAX_EVENTS_PER_PAGE {
            break;
        }
    }
    let seen = look(&history);
    if backends.message_store.is_none() {
        backends.history_cache.put(org, session, history);
    }
    Ok(seen)
}

/// The messages of a session in the order in which a model sees them, up to the end of its log.
/// Empty for a session that does not exist.
///
/// # Errors
/// Those of the stores.
pub async fn session_messages(backends: &RuntimeBackends, org: OrgId, session: SessionId) -> StoreResult<Vec<std::sync::Arc<Message>>> {
    with_history(backends, org, session, |history| history.conversation.messages()).await
}
