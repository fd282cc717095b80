//! The conversation of a session as a model sees it: a projection of the session's events.

use std::collections::HashMap;
use std::sync::Arc;

use crate::event::{Event, EventData, ToolCompleted};
use crate::id::{MessageId, TurnId};
use crate::message::{ContentPart, Message, Role};

/// The message that an event is, if it is one: input, answer or tool result. The id of a tool
/// result is made from the event's id.
pub fn message_of(event: &Event) -> Option<Message> {
    match &event.data {
        EventData::InputMessage { message } | EventData::OutputMessageCompleted { message, .. } => Some(message.clone()),
        EventData::ToolCompleted(completed) => Some(Message {
            id: MessageId::from_uuid(event.id.uuid()),
            role: Role::ToolResult,
            content: tool_result(completed),
            metadata: serde_json::Map::new(),
            controls: None,
            created_at: event.ts,
        }),
        _ => None,
    }
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
    groups: Vec<Vec<Arc<Message>>>,
    by_turn: HashMap<TurnId, usize>,
    last_turn: Option<TurnId>,
}

impl Conversation {
    /// The conversation up to and with a turn; later turns do not exist for it.
    pub fn of_turn(turn: TurnId) -> Self {
        Self { last_turn: Some(turn), ..Self::default() }
    }

    /// The whole conversation of a session.
    pub fn of_session() -> Self {
        Self::default()
    }

    /// Takes an event in; tells whether it added a message.
    pub fn fold(&mut self, event: &Event) -> bool {
        let Some(group) = self.group_of(event) else { return false };
        let Some(message) = message_of(event) else { return false };
        self.groups[group].push(Arc::new(message));
        true
    }

    /// The messages in order.
    pub fn messages(&self) -> Vec<Arc<Message>> {
        self.groups.iter().flatten().cloned().collect()
    }

    /// Whether there is no message.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// The group of the event's turn. Inputs open one, unless the last turn has one already.
    fn group_of(&mut self, event: &Event) -> Option<usize> {
        let turn = event.context.turn_id;
        if let Some(&group) = turn.and_then(|turn| self.by_turn.get(&turn)) {
            return Some(group);
        }
        let complete = self.last_turn.is_some_and(|last| self.by_turn.contains_key(&last));
        if complete || !matches!(event.data, EventData::InputMessage { .. }) {
            return None;
        }
        self.groups.push(Vec::new());
        let group = self.groups.len() - 1;
        if let Some(turn) = turn {
            self.by_turn.insert(turn, group);
        }
        Some(group)
    }
}
