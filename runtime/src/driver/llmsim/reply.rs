//! Which answer a simulator gives to a request.

use std::sync::Arc;

use serde_json::Value;

use super::config::{LlmSimConfig, OnExhausted, ResponseConfig, Script, SimToolCall, SimTurn, ToolCallConfig};
use super::interactive;
use crate::driver::{ChatRequest, DriverError, DriverErrorKind};
use crate::message::{ContentPart, Message, Role};

const LOREM: &str =
    "lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor incididunt ut labore et dolore magna aliqua";

/// An answer before it is streamed.
#[derive(Debug, Default)]
pub(super) struct Reply {
    pub(super) thinking: Option<String>,
    pub(super) text: String,
    pub(super) calls: Vec<SentCall>,
    pub(super) end: End,
}

/// How an answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum End {
    #[default]
    Complete,
    /// The stream breaks off in the middle of the text.
    CutOff,
    /// It is as long as it may be.
    Length,
}

/// A call as the model writes it: its arguments may be anything.
#[derive(Debug)]
pub(super) struct SentCall {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) arguments: String,
}

/// How many model calls a conversation has seen, which is the position of the next one in a
/// script: one for each agent message, and one for each turn that a later user message shows to
/// have ended without an answer, because a step that fails leaves no message behind. A message that
/// was told to a turn that ran looks the same, and so skips a step of the script.
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
        Self { text: text.into(), calls, ..Self::default() }
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
            ResponseConfig::Lorem(words) => Ok(Self::text(lorem(config.seed, position, *words))),
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
        SimTurn::Thinking { thinking, text, tool_calls } => {
            Ok(Reply { thinking: Some(thinking.clone()), ..Reply::calls(text, tool_calls, position) })
        }
        SimTurn::Error(error) => Err(error.to_error()),
        SimTurn::CutOff(text) => Ok(Reply { end: End::CutOff, ..Reply::text(text) }),
        SimTurn::Length(text) => Ok(Reply { end: End::Length, ..Reply::text(text) }),
    }
}

fn empty_script() -> DriverError {
    DriverError::new(DriverErrorKind::Configuration, "simulated: there is nothing to answer with")
}

/// Ids count through the conversation, so that they stay unique in it.
fn tool_call(call: &SimToolCall, position: usize, index: usize) -> SentCall {
    let arguments = call.raw_arguments.clone().unwrap_or_else(|| call.arguments.to_string());
    let id = call.id.clone().unwrap_or_else(|| format!("call_{}_{}", position + 1, index + 1));
    SentCall { id, name: call.name.clone(), arguments }
}

/// Filler: in order without a seed, and shuffled by it and the place in the conversation otherwise.
fn lorem(seed: u64, position: usize, words: usize) -> String {
    let known: Vec<&str> = LOREM.split(' ').collect();
    let mut chance = Chance::new(seed, position);
    let mut word = |at: usize| if seed == 0 { known[at % known.len()] } else { known[chance.below(known.len() as u64) as usize] };
    (0..words).map(&mut word).collect::<Vec<_>>().join(" ")
}

/// Numbers that look random and are the same in each run: SplitMix64.
#[derive(Debug, Clone)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64, position: usize) -> Self {
        Self(seed ^ (position as u64).wrapping_mul(0xd134_2543_de82_ef95))
    }

    /// A number below `limit`, which is not 0.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}
