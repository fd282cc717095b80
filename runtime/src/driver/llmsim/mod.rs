//! The simulated model: needs no key and no network, and is deterministic.
//!
//! It keeps no state. Where it is in a script follows from the conversation in the request
//! alone (see [`position`]), so that another process goes on where one died.
//!
//! In the interactive mode, the user's message says what to do: each line `/call TOOL {json}`
//! is a tool call (no JSON means `{}`), and a line `/then` lets the calls below it wait for the
//! results of those above. All calls of one step are made in one answer. When all steps are
//! done, the answer lists the results; a message without calls is echoed, with a word on how to
//! call the tools that are offered.
//!
//! Whatever happens by chance follows from a seed. With filler, latency and its jitter it stands
//! for a real model under load.

mod config;
mod interactive;
mod reply;

#[cfg(test)]
mod tests;

use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt, stream};
use serde_json::Value;

pub use config::{
    CallPattern, LlmSimConfig, OnExhausted, ResponseConfig, Script, SimError, SimToolCall, SimTurn, ToolCallConfig, WordsPerEvent,
};
pub use reply::position;

use reply::{Chance, End, Reply, SentCall};

use super::{
    ChatDriver, ChatEvent, ChatRequest, ChatStream, DriverContext, DriverError, DriverErrorKind, DriverId, DriverRegistry, Finish,
};
use crate::event::TokenUsage;
use crate::message::ToolCall;

/// Wait between two words of models whose name ends in `-latency`, in milliseconds: about the
/// pace of a large model.
pub const DEFAULT_LATENCY_MS: u64 = 20;

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct LlmSim {
    config: LlmSimConfig,
}

impl LlmSim {
    /// A simulator.
    pub fn new(config: LlmSimConfig) -> Self {
        Self { config }
    }

    fn latency(&self, model: &str) -> Duration {
        let configured = self.config.latency_per_token_ms;
        let by_name = if configured == 0 && model.ends_with("-latency") { DEFAULT_LATENCY_MS } else { configured };
        Duration::from_millis(by_name)
    }
}

/// Registers the simulator as [`DriverId::LlmSim`], in place of an earlier one.
pub fn register_driver(registry: &mut DriverRegistry, config: LlmSimConfig) {
    let sim = LlmSim::new(config);
    registry.register_or_replace(DriverId::LlmSim, move |_| Box::new(sim.clone()));
}

#[async_trait]
impl ChatDriver for LlmSim {
    async fn complete(&self, request: ChatRequest, _context: DriverContext) -> Result<ChatStream, DriverError> {
        if let Some(known) = self.config.model.as_deref().filter(|known| *known != request.model) {
            let message = format!("simulated: there is no model {:?}; this simulator knows {known:?}", request.model);
            return Err(DriverError::new(DriverErrorKind::ModelNotAvailable, message));
        }
        pause(Duration::from_millis(self.config.response_delay_ms)).await;
        let reply = Reply::to(&self.config, &request)?;
        let position = position(&request.messages);
        let (latency, jitter) = (self.latency(&request.model), self.config.latency_jitter_ms);
        let mut chance = Chance::new(self.config.seed, position);
        let events = events(&self.config, reply, &request, position).into_iter().map(move |event| {
            let is_word = matches!(event, Ok(ChatEvent::Text(_) | ChatEvent::Reasoning { .. }));
            let extra = Duration::from_millis(chance.below(jitter.saturating_add(1).max(1)));
            (event, if is_word { latency + extra } else { Duration::ZERO })
        });
        let paced = stream::iter(events).then(|(event, wait)| async move {
            pause(wait).await;
            event
        });
        Ok(paced.boxed())
    }
}

async fn pause(duration: Duration) {
    if !duration.is_zero() {
        tokio::time::sleep(duration).await;
    }
}

/// The whole stream: thinking and text word by word, the calls, what it cost, and the end.
fn events(config: &LlmSimConfig, reply: Reply, request: &ChatRequest, position: usize) -> Vec<Result<ChatEvent, DriverError>> {
    let counted = TokenUsage { input_tokens: words_in(request), output_tokens: words_out(&reply), ..TokenUsage::default() };
    let usage = config.usage.unwrap_or(counted);
    let words = config.words_per_event.0.get();
    let mut events = Vec::new();
    if let Some(thinking) = reply.thinking.as_ref().or(config.thinking.as_ref()) {
        let piece = |text| ChatEvent::Reasoning { text, opaque: None };
        events.extend(pieces(thinking, words).map(piece));
        events.push(ChatEvent::Reasoning { text: String::new(), opaque: Some(format!("sim-signature-{}", position + 1)) });
    }
    events.extend(pieces(&reply.text, words).map(ChatEvent::Text));
    let mut events: Vec<_> = events.into_iter().map(Ok).collect();
    if reply.end == End::CutOff {
        events.truncate(events.len() / 2);
        events.push(Err(DriverError::new(DriverErrorKind::InvalidResponse, "simulated: the connection broke off")));
        return events;
    }
    let finish = match reply.end {
        End::Length => "length",
        _ if reply.calls.is_empty() => "stop",
        _ => "tool-calls",
    };
    let calls = reply.calls.into_iter().zip(0..).flat_map(|(call, index)| call_events(call, index, config.stream_arguments));
    events.extend(calls.map(Ok));
    events.push(Ok(ChatEvent::Usage(usage)));
    let response_id = Some(format!("sim_{}", position + 1));
    events.push(Ok(ChatEvent::Finish(Finish { reason: finish.to_owned(), response_id })));
    events
}

/// A text in pieces of so many words.
fn pieces(text: &str, words: usize) -> impl Iterator<Item = String> {
    let split: Vec<&str> = text.split_inclusive(' ').collect();
    split.chunks(words).map(<[&str]>::concat).collect::<Vec<_>>().into_iter()
}

/// A call as a whole, or its arguments in pieces. What is no JSON object can only be streamed.
fn call_events(call: SentCall, index: u32, stream: bool) -> Vec<ChatEvent> {
    /// Of the arguments, in characters: few enough for pieces to end within words.
    const PIECE: usize = 7;
    let SentCall { id, name, arguments } = call;
    let parsed = serde_json::from_str(&arguments).ok().filter(|_| !stream);
    if let Some(arguments) = parsed {
        return vec![ChatEvent::ToolCall(ToolCall::new(id, name, Value::Object(arguments)))];
    }
    let characters: Vec<char> = arguments.chars().collect();
    let deltas = characters.chunks(PIECE).map(|piece| ChatEvent::ToolCallDelta { index, arguments: piece.iter().collect() });
    let start = ChatEvent::ToolCallStart { index, id, name };
    [start].into_iter().chain(deltas).chain([ChatEvent::ToolCallEnd { index, opaque: None }]).collect()
}

fn words(text: &str) -> u64 {
    text.split_whitespace().count() as u64
}

fn words_in(request: &ChatRequest) -> u64 {
    let messages: u64 = request.messages.iter().map(|message| words(&reply::visible_text(message))).sum();
    let tools: u64 = request.tools.iter().map(|tool| words(&tool.name) + words(&tool.description)).sum();
    words(&request.system_prompt) + messages + tools
}

fn words_out(reply: &Reply) -> u64 {
    let calls: u64 = reply.calls.iter().map(|call| 1 + words(&call.arguments)).sum();
    words(reply.thinking.as_deref().unwrap_or_default()) + words(&reply.text) + calls
}
