//! The conversation of a session as a model sees it: a projection of the session's events.

use std::collections::HashMap;
use std::sync::Arc;

use crate::event::{Event, EventData, ToolCompleted};
use crate::id::{MessageId, TurnId};
use crate::message::{ContentPart, Message, Role};

/// The messages of a session's events, in the order in which a model sees them: grouped by turn,
/// turns in the order in which they were submitted. All of them, also those in whose place a model
/// sees a summary. Pure; events without a message add nothing.
///
/// The events must begin at the start of the log, and be in order of their sequences.
pub fn messages_from_events<'a>(events: impl IntoIterator<Item = &'a Event>) -> Vec<Message> {
    let mut conversation = Conversation::of_session();
    for event in events {
        conversation.fold(event);
    }
    conversation.groups.into_iter().flat_map(|group| group.messages).map(Arc::unwrap_or_clone).collect()
}

/// The message that an event is, if it is one: input, answer, tool result, or note of the platform.
/// The ids of the latter two are made from the event's id.
pub fn message_of(event: &Event) -> Option<Message> {
    match &event.data {
        EventData::InputMessage { message } | EventData::OutputMessageCompleted { message, .. } => Some(message.clone()),
        EventData::ToolCompleted(completed) => Some(said(event, Role::ToolResult, tool_result(completed))),
        EventData::LoopDetected { note, .. } => Some(said(event, Role::System, vec![ContentPart::text(note)])),
        _ => None,
    }
}

fn said(event: &Event, role: Role, content: Vec<ContentPart>) -> Message {
    let (id, metadata) = (MessageId::from_uuid(event.id.uuid()), serde_json::Map::new());
    Message { id, role, content, metadata, controls: None, created_at: event.ts }
}

/// The text parts of the result as one JSON string, then its images.
fn tool_result(completed: &ToolCompleted) -> Vec<ContentPart> {
    let mut texts: Vec<&str> = Vec::new();
    let mut others = Vec::new();
    for part in &completed.result {
        match part {
            ContentPart::Text { text } => texts.push(text),
            other => others.push(other.clone()),
        }
    }
    let mut content = vec![ContentPart::ToolResult {
        tool_call_id: completed.tool_call_id.clone(),
        result: completed.success.then(|| texts.join("\n").into()),
        error: if completed.success { None } else { Some(completed.error.clone().unwrap_or_else(|| "tool failed".to_owned())) },
    }];
    content.append(&mut others);
    content
}

/// Messages grouped by turn, in the order in which the turns were submitted. The grouping keeps
/// an input that arrived while another turn ran out of the middle of that turn, where it would
/// stand between a tool call and its result.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Conversation {
    groups: Vec<Group>,
    by_turn: HashMap<TurnId, usize>,
    compacted: Option<Compacted>,
}

/// What models see in place of the older part of a conversation.
#[derive(Debug, Clone, PartialEq)]
struct Compacted {
    /// The first group of which something is kept,
    group: usize,
    /// and what of it is kept beside its input: the messages from this position on.
    position: usize,
    /// In place of all that is left out. A user's message and not the platform's: it repeats what
    /// strangers may have said.
    summary: Arc<Message>,
}

/// The conversation as a model sees it.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct View {
    /// The summary of what was left out, and the input of the turn in whose middle it ends.
    pub(super) head: Vec<Arc<Message>>,
    /// All messages that were not left out.
    pub(super) tail: Vec<Arc<Message>>,
}

impl View {
    /// All of it.
    pub(super) fn messages(&self) -> impl Iterator<Item = &Arc<Message>> {
        self.head.iter().chain(&self.tail)
    }
}

/// The messages of one turn.
#[derive(Debug, Clone, PartialEq)]
struct Group {
    /// None for inputs that are of no turn.
    turn: Option<TurnId>,
    /// Empty once the turn was merged into another.
    messages: Vec<Arc<Message>>,
    /// Sequence of the input that opened it.
    first_sequence: u64,
    /// Sequence of its latest message, or of what brought the latest one here.
    last_sequence: u64,
}

impl Conversation {
    /// The whole conversation of a session.
    pub fn of_session() -> Self {
        Self::default()
    }

    /// Takes an event in; tells whether it added a message, or moved one into another turn.
    pub fn fold(&mut self, event: &Event) -> bool {
        self.add_event(event).is_some()
    }

    /// Takes an event in; returns the message that it added or moved, and the position of its turn.
    pub(super) fn add_event(&mut self, event: &Event) -> Option<(usize, &Arc<Message>)> {
        match &event.data {
            EventData::ContextCompacted { first_kept_message_id, summary, .. } => {
                self.compact(*first_kept_message_id, said(event, Role::User, vec![ContentPart::text(summary)]));
                return None;
            }
            EventData::TurnMerged { turn_id, into_turn_id } => return self.merge(*turn_id, *into_turn_id, event.sequence),
            _ => {}
        }
        let group = self.group_of(event.context.turn_id, matches!(event.data, EventData::InputMessage { .. }), event.sequence)?;
        let message = message_of(event)?;
        Some(self.push(group, event.sequence, Arc::new(message)))
    }

    /// Takes in a message that a message store has kept.
    pub(super) fn add_message(&mut self, turn: Option<TurnId>, sequence: u64, message: Arc<Message>) {
        let is_input = !matches!(message.role, Role::Agent | Role::ToolResult);
        if let Some(group) = self.group_of(turn, is_input, Some(sequence)) {
            self.push(group, Some(sequence), message);
        }
    }

    /// All messages in order, also those that were compacted.
    pub fn messages(&self) -> Vec<Arc<Message>> {
        self.groups.iter().flat_map(|group| &group.messages).cloned().collect()
    }

    /// What a model is sent of it: the summary of what was compacted, and all messages behind that.
    pub fn as_sent(&self) -> Vec<Arc<Message>> {
        self.view(&self.groups).messages().cloned().collect()
    }

    /// The same up to and with a turn; later turns do not exist for it. All of it, if the turn has no
    /// message.
    pub(super) fn view_until(&self, turn: TurnId) -> View {
        self.view(self.until(turn))
    }

    fn view(&self, groups: &[Group]) -> View {
        let whole = |groups: &[Group]| groups.iter().flat_map(|group| &group.messages).cloned().collect();
        let Some((compacted, group)) = self.compacted.as_ref().and_then(|compacted| Some((compacted, groups.get(compacted.group)?))) else {
            return View { head: Vec::new(), tail: whole(groups) };
        };
        let mut head = vec![compacted.summary.clone()];
        if compacted.position > 0 {
            head.extend(group.messages.first().cloned());
        }
        let mut tail = group.messages[compacted.position..].to_vec();
        tail.extend(whole(&groups[compacted.group + 1..]));
        View { head, tail }
    }

    /// Leaves out what is before a message. Does nothing if there is no such message.
    fn compact(&mut self, first_kept: MessageId, summary: Message) {
        let place = self.groups.iter().enumerate().rev().find_map(|(group, messages)| {
            let position = messages.messages.iter().position(|message| message.id == first_kept)?;
            Some((group, position))
        });
        let Some((group, position)) = place else { return };
        self.compacted = Some(Compacted { group, position, summary: Arc::new(summary) });
    }

    /// Moves the input of a turn behind what another turn has. Does nothing unless it comes later and has
    /// nothing else.
    fn merge(&mut self, from: TurnId, into: TurnId, sequence: Option<u64>) -> Option<(usize, &Arc<Message>)> {
        let (&from, &into) = (self.by_turn.get(&from)?, self.by_turn.get(&into)?);
        if from <= into || self.groups[from].messages.len() != 1 {
            return None;
        }
        let position = self.groups[into].messages.len();
        let input = self.groups[from].messages.pop()?;
        if let Some(compacted) = self.compacted.as_mut().filter(|compacted| compacted.group == from) {
            (compacted.group, compacted.position) = (into, position);
        }
        let group = &mut self.groups[into];
        group.messages.push(input);
        group.last_sequence = sequence.unwrap_or(group.last_sequence);
        Some((into, &group.messages[position]))
    }

    /// Whether there is no message.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Whether a turn sees the turn at this position.
    pub(super) fn is_visible(&self, position: usize, turn: TurnId) -> bool {
        self.by_turn.get(&turn).is_none_or(|&own| position <= own)
    }

    /// Sequence of the latest message that a turn sees; 0 if there is none.
    pub(super) fn last_sequence_until(&self, turn: TurnId) -> u64 {
        self.until(turn).iter().map(|group| group.last_sequence).max().unwrap_or(0)
    }

    /// Sequence of a turn's input, if that was folded.
    pub(crate) fn start_of(&self, turn: TurnId) -> Option<u64> {
        self.by_turn.get(&turn).map(|&group| self.groups[group].first_sequence)
    }

    /// Whether a turn was submitted behind this one, and is not part of it by now.
    pub(super) fn is_followed(&self, turn: TurnId) -> bool {
        self.follower(turn).is_some()
    }

    /// The turn that was submitted next behind this one, with its input. Turns that were merged do not
    /// count; inputs of no turn do.
    pub(super) fn follower(&self, turn: TurnId) -> Option<(Option<TurnId>, &Message)> {
        let behind = self.groups.get(self.by_turn.get(&turn)? + 1..)?;
        behind.iter().find_map(|group| Some((group.turn, group.messages.first()?.as_ref())))
    }

    /// The input of a turn, if that was folded.
    pub(super) fn input_of(&self, turn: TurnId) -> Option<&Message> {
        self.groups[*self.by_turn.get(&turn)?].messages.first().map(Arc::as_ref)
    }

    fn until(&self, turn: TurnId) -> &[Group] {
        match self.by_turn.get(&turn) {
            Some(&own) => &self.groups[..=own],
            None => &self.groups,
        }
    }

    /// The group of a turn. Inputs open one.
    fn group_of(&mut self, turn: Option<TurnId>, is_input: bool, sequence: Option<u64>) -> Option<usize> {
        if let Some(&group) = turn.and_then(|turn| self.by_turn.get(&turn)) {
            return Some(group);
        }
        if !is_input {
            return None;
        }
        let first_sequence = sequence.unwrap_or(0);
        self.groups.push(Group { turn, messages: Vec::new(), first_sequence, last_sequence: first_sequence });
        let group = self.groups.len() - 1;
        if let Some(turn) = turn {
            self.by_turn.insert(turn, group);
        }
        Some(group)
    }

    fn push(&mut self, position: usize, sequence: Option<u64>, message: Arc<Message>) -> (usize, &Arc<Message>) {
        let group = &mut self.groups[position];
        group.last_sequence = sequence.unwrap_or(group.last_sequence);
        let at = group.messages.len();
        group.messages.push(message);
        (position, &group.messages[at])
    }
}
