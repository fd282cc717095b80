//! Which answer a simulator gives to a request.

use std::sync::Arc;

use serde_json::Value;

use super::config::{LlmSimConfig, OnExhausted, ResponseConfig, Script, SimToolCall, SimTurn, ToolCallConfig};
use super::interactive;
use crate::driver::{ChatRequest, DriverError, DriverErrorKind};
use crate::message::{ContentPart, Message, Role, ToolCall};

const LOREM: &str =
    "lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor incididunt ut labore et dolore magna aliqua";

/// An answer before it is streamed.
#[derive(Debug, Default)]
pub(super) struct Reply {
    pub(super) text: String,
    pub(super) calls: Vec<ToolCall>,
    pub(super) cut_off: bool,
}

/// How many model calls a conversation has seen, which is the position of the next one in a
/// script: one for each agent message, and one for each turn that a later user message shows to
/// have ended without an answer, because a step that fails leaves no message behind.
pub fn position(messages: &[Arc<Message>]) -> usize {
    let answers = messages.iter().filter(|message| message.role == Role::Agent).count();
    let unanswered = messages.windows(2).filter(|pair| pair[1].role == Role::User && matches!(pair[0].role, Role::User | Role::ToolResult));
    answers + unanswered.count()
}

/// Agent messages since the user's last message: which model call of the turn this is, from 0.
pub(super) fn step_of_turn(messages: &[Arc<Message>]) -> usize {
    messages.iter().rev().take_while(|message| message.role != Role::User).filter(|message| message.role == Role::Agent).count()
}

pub(super) fn last_user_text(messages: &[Arc<Message>]) -> String {
    messages.iter().rev().find(|message| message.role == Role::User).map(|message| message.text()).unwrap_or_default()
}

/// The text of a message, results of tools included.
pub(super) fn visible_text(message: &Message) -> String {
    let mut text = message.text();
    for part in &message.content {
        if let ContentPart::ToolResult { result, error, .. } = part {
            text.push(' ');
            text.push_str(&error.clone().unwrap_or_else(|| plain(result.as_ref())));
        }
    }
    text
}

/// A result as a person would read it: texts without quotes.
pub(super) fn plain(result: Option<&Value>) -> String {
    match result {
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => String::new(),
    }
}

impl Reply {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    pub(super) fn calls(text: impl Into<String>, calls: &[SimToolCall], position: usize) -> Self {
        let calls = calls.iter().enumerate().map(|(index, call)| tool_call(call, position, index)).collect();
        Self { text: text.into(), calls, cut_off: false }
    }

    /// The answer to a request.
    pub(super) fn to(config: &LlmSimConfig, request: &ChatRequest) -> Result<Self, DriverError> {
        let position = position(&request.messages);
        if let Some(calls) = config.tool_calls.as_ref().and_then(|calls| calls_in_front(calls, request, position)) {
            return Ok(Self::calls("", calls, position));
        }
        match &config.response {
            ResponseConfig::Interactive => Ok(interactive::reply(request, position)),
            ResponseConfig::Fixed(text) => Ok(Self::text(text)),
            ResponseConfig::Echo => Ok(Self::text(last_user_text(&request.messages))),
            ResponseConfig::Lorem(words) => {
                let words: Vec<&str> = LOREM.split(' ').cycle().take(*words).collect();
                Ok(Self::text(words.join(" ")))
            }
            ResponseConfig::Sequence(texts) if texts.is_empty() => Err(empty_script()),
            ResponseConfig::Sequence(texts) => Ok(Self::text(&texts[position % texts.len()])),
            ResponseConfig::Scripted(script) => scripted(script, position),
            ResponseConfig::Empty => Ok(Self::default()),
            ResponseConfig::Error(message) => Err(DriverError::new(DriverErrorKind::Unavailable, message.clone())),
            ResponseConfig::ModelNotAvailable => {
                let message = format!("simulated: the model {:?} is not available", request.model);
                Err(DriverError::new(DriverErrorKind::ModelNotAvailable, message))
            }
        }
    }
}

fn calls_in_front<'a>(config: &'a ToolCallConfig, request: &ChatRequest, position: usize) -> Option<&'a [SimToolCall]> {
    let first_of_turn = step_of_turn(&request.messages) == 0;
    let calls: &[SimToolCall] = match config {
        ToolCallConfig::Fixed(calls) if first_of_turn => calls,
        ToolCallConfig::Sequence(lists) => lists.get(position)?,
        ToolCallConfig::Conditional { patterns } if first_of_turn => {
            let text = last_user_text(&request.messages).to_lowercase();
            &patterns.iter().find(|pattern| text.contains(&pattern.contains.to_lowercase()))?.tool_calls
        }
        _ => return None,
    };
    (!calls.is_empty()).then_some(calls)
}

fn scripted(script: &Script, position: usize) -> Result<Reply, DriverError> {
    let length = script.turns.len();
    let last = length.checked_sub(1).ok_or_else(empty_script)?;
    let at = match script.on_exhausted {
        OnExhausted::RepeatLast => position.min(last),
        OnExhausted::Loop => position % length,
        OnExhausted::Error if position > last => {
            let message = format!("simulated: the script has {length} steps, this is model call {}", position + 1);
            return Err(DriverError::new(DriverErrorKind::InvalidRequest, message));
        }
        OnExhausted::Error => position,
    };
    match &script.turns[at] {
        SimTurn::Assistant(text) => Ok(Reply::text(text)),
        SimTurn::ToolCalls(calls) => Ok(Reply::calls("", calls, position)),
        SimTurn::Mixed { text, tool_calls } => Ok(Reply::calls(text, tool_calls, position)),
        SimTurn::Error(error) => Err(error.to_error()),
        SimTurn::CutOff(text) => Ok(Reply { cut_off: true, ..Reply::text(text) }),
    }
}

fn empty_script() -> DriverError {
    DriverError::new(DriverErrorKind::Configuration, "simulated: there is nothing to answer with")
}

/// Ids count through the conversation, so that they stay unique in it. Arguments that are not
/// JSON are passed on as a string, as drivers of real vendors do.
fn tool_call(call: &SimToolCall, position: usize, index: usize) -> ToolCall {
    let arguments = match &call.raw_arguments {
        Some(raw) => serde_json::from_str(raw).unwrap_or_else(|_| Value::String(raw.clone())),
        None => call.arguments.clone(),
    };
    let id = call.id.clone().unwrap_or_else(|| format!("call_{}_{}", position + 1, index + 1));
    ToolCall::new(id, &call.name, arguments)
}
