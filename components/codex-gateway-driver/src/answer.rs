//! The events of `/responses`. An item of the output begins, grows and ends; calls of tools are
//! items, and so is reasoning.

use std::collections::BTreeMap;

use everwit_guest::driver::{self, Event, Finish, Reasoning, ToolCallDelta, ToolCallEnd, ToolCallStart, Usage};
use everwit_guest::{Failure, Result};
use serde_json::Value;

/// What was answered so far.
#[derive(Default)]
pub(crate) struct Answer {
    /// Position of a call's item in the output → position among the calls.
    calls: BTreeMap<u64, u32>,
    complete: bool,
}

impl Answer {
    /// Whether the last event has come.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Takes an event in; kinds that are not listed carry nothing new.
    ///
    /// # Errors
    /// What the gateway reports in it.
    pub(crate) fn add(&mut self, event: &Value) -> Result<Vec<Event>> {
        let delta = || event["delta"].as_str().unwrap_or_default().to_owned();
        let at = event["output_index"].as_u64().unwrap_or(0);
        Ok(match event["type"].as_str().unwrap_or_default() {
            "response.output_text.delta" | "response.refusal.delta" => vec![Event::Text(delta())],
            "response.reasoning_summary_text.delta" => vec![Event::Reasoning(Reasoning { text: delta(), opaque: None })],
            "response.output_item.added" if event["item"]["type"] == "function_call" => vec![self.call(at, &event["item"])],
            "response.function_call_arguments.delta" => {
                let index = self.index(at)?;
                vec![Event::ToolCallDelta(ToolCallDelta { index, arguments: delta() })]
            }
            "response.output_item.done" => self.item_done(at, &event["item"])?,
            "response.completed" | "response.incomplete" => self.end(&event["response"]),
            "response.failed" => return Err(reported(&event["response"]["error"])),
            "error" => return Err(reported(event)),
            _ => Vec::new(),
        })
    }

    fn call(&mut self, at: u64, item: &Value) -> Event {
        let index = u32::try_from(self.calls.len()).unwrap_or(u32::MAX);
        self.calls.insert(at, index);
        let text = |name: &str| item[name].as_str().unwrap_or_default().to_owned();
        Event::ToolCallStart(ToolCallStart { index, id: text("call_id"), name: text("name") })
    }

    fn index(&self, at: u64) -> Result<u32> {
        self.calls.get(&at).copied().ok_or_else(|| driver::unreadable("arguments of a tool call that has not begun"))
    }

    fn item_done(&mut self, at: u64, item: &Value) -> Result<Vec<Event>> {
        Ok(match item["type"].as_str() {
            Some("function_call") => vec![Event::ToolCallEnd(ToolCallEnd { index: self.index(at)?, opaque: None })],
            Some("reasoning") => vec![Event::Reasoning(Reasoning { text: String::new(), opaque: Some(item.to_string()) })],
            _ => Vec::new(),
        })
    }

    fn end(&mut self, response: &Value) -> Vec<Event> {
        self.complete = true;
        let reason = match (response["incomplete_details"]["reason"].as_str(), self.calls.is_empty()) {
            (Some("max_output_tokens"), _) => "length",
            (Some("content_filter"), _) => "content-filter",
            (Some(other), _) => other,
            (None, true) => "stop",
            (None, false) => "tool-calls",
        };
        let finish = Finish { reason: reason.to_owned(), response_id: response["id"].as_str().map(str::to_owned), extra: Vec::new() };
        let mut events = Vec::new();
        if response["usage"].is_object() {
            events.push(Event::Usage(usage(&response["usage"])));
        }
        events.push(Event::Finish(finish));
        events
    }
}

/// The gateway counts cached tokens among the input; here the two are apart.
fn usage(counts: &Value) -> Usage {
    let count = |value: &Value| value.as_u64().unwrap_or(0);
    let cached = count(&counts["input_tokens_details"]["cached_tokens"]);
    Usage {
        cache_read_tokens: Some(cached),
        reasoning_tokens: counts["output_tokens_details"]["reasoning_tokens"].as_u64(),
        ..driver::usage(count(&counts["input_tokens"]).saturating_sub(cached), count(&counts["output_tokens"]))
    }
}

fn reported(error: &Value) -> Failure {
    let message = error["message"].as_str().unwrap_or("the gateway gives no reason");
    match error["code"].as_str() {
        Some("context_length_exceeded") => Failure::invalid("context_too_long", message),
        Some("rate_limit_exceeded") => Failure::rate_limited("rate_limited", message),
        Some("model_not_found") => Failure::not_found("model_not_available", message),
        Some("invalid_prompt") => Failure::invalid("invalid_request", message),
        _ => Failure::upstream("unavailable", message).retryable(true),
    }
}
