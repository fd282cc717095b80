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

mod config;
mod interactive;
mod reply;

#[cfg(test)]
mod tests;

use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt, stream};

pub use config::{CallPattern, LlmSimConfig, OnExhausted, ResponseConfig, Script, SimError, SimToolCall, SimTurn, ToolCallConfig};
pub use reply::position;

use reply::Reply;

use super::{ChatDriver, ChatEvent, ChatRequest, ChatStream, DriverContext, DriverError, DriverErrorKind, DriverId, DriverRegistry};
use crate::event::TokenUsage;

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
        let latency = self.latency(&request.model);
        let events = events(reply, &request);
        Ok(stream::iter(events)
            .then(move |event| async move {
                if let Ok(ChatEvent::Text(_)) = event {
                    pause(latency).await;
                }
                event
            })
            .boxed())
    }
}

async fn pause(duration: Duration) {
    if !duration.is_zero() {
        tokio::time::sleep(duration).await;
    }
}

/// The whole stream: the text word by word, the calls, what it cost, and the end.
fn events(reply: Reply, request: &ChatRequest) -> Vec<Result<ChatEvent, DriverError>> {
    let usage = TokenUsage { input_tokens: words_in(request), output_tokens: words_out(&reply), ..TokenUsage::default() };
    let mut events: Vec<_> = reply.text.split_inclusive(' ').map(|word| Ok(ChatEvent::Text(word.to_owned()))).collect();
    if reply.cut_off {
        events.truncate(events.len() / 2);
        events.push(Err(DriverError::new(DriverErrorKind::InvalidResponse, "simulated: the connection broke off")));
        return events;
    }
    let finish = if reply.calls.is_empty() { "stop" } else { "tool-calls" };
    events.extend(reply.calls.into_iter().map(|call| Ok(ChatEvent::ToolCall(call))));
    events.push(Ok(ChatEvent::Usage(usage)));
    events.push(Ok(ChatEvent::finish(finish)));
    events
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
    let calls: u64 = reply.calls.iter().map(|call| 1 + words(&call.arguments.to_string())).sum();
    words(&reply.text) + calls
}
