//! The events of an answer, as a codec makes them.

use std::collections::BTreeMap;
use std::mem;

use serde_json::Value;

use crate::driver::{ChatEvent, DriverError, DriverErrorKind, Finish};
use crate::event::TokenUsage;

/// What an answer consists of so far.
#[derive(Default)]
pub(super) struct Output {
    events: Vec<ChatEvent>,
    /// Our index of each open call, by the vendor's.
    open: BTreeMap<u64, u32>,
    calls: u32,
    usage: Option<TokenUsage>,
    has_content: bool,
    ended: bool,
}

impl Output {
    pub(super) fn text(&mut self, text: &str) {
        if !text.is_empty() {
            self.push(ChatEvent::Text(text.to_owned()));
        }
    }

    pub(super) fn reasoning(&mut self, text: &str) {
        if !text.is_empty() {
            self.push(ChatEvent::Reasoning { text: text.to_owned(), opaque: None });
        }
    }

    /// Ends a block of reasoning with what has to come back.
    pub(super) fn sign(&mut self, opaque: String) {
        if !opaque.is_empty() {
            self.push(ChatEvent::Reasoning { text: String::new(), opaque: Some(opaque) });
        }
    }

    /// Begins a call; `place` is the vendor's index of it.
    pub(super) fn start_call(&mut self, place: u64, id: &str, name: &str) {
        let index = self.calls;
        self.calls += 1;
        self.open.insert(place, index);
        self.push(ChatEvent::ToolCallStart { index, id: id.to_owned(), name: name.to_owned() });
    }

    pub(super) fn arguments(&mut self, place: u64, piece: &str) -> Result<(), DriverError> {
        let index = *self.open.get(&place).ok_or_else(|| invalid("arguments of a tool call come before the call"))?;
        if !piece.is_empty() {
            self.push(ChatEvent::ToolCallDelta { index, arguments: piece.to_owned() });
        }
        Ok(())
    }

    /// Ends a call, if there is one at this place.
    pub(super) fn end_call(&mut self, place: u64, opaque: Option<String>) {
        if let Some(index) = self.open.remove(&place) {
            self.push(ChatEvent::ToolCallEnd { index, opaque });
        }
    }

    pub(super) fn end_all_calls(&mut self) {
        for place in self.open.keys().copied().collect::<Vec<_>>() {
            self.end_call(place, None);
        }
    }

    pub(super) fn has_calls(&self) -> bool {
        self.calls > 0
    }

    /// Counts so far; the last ones count.
    pub(super) fn usage(&mut self, usage: TokenUsage) {
        self.usage = Some(usage);
    }

    /// The vendor has ended the answer.
    ///
    /// # Errors
    /// If it consists of nothing: what a server that does not speak this protocol looks like.
    pub(super) fn finish(&mut self, reason: &str, response_id: Option<String>) -> Result<(), DriverError> {
        if !self.has_content && self.usage.is_none_or(|usage| usage == TokenUsage::default()) {
            return Err(DriverError::new(
                DriverErrorKind::InvalidResponse,
                "the answer has neither content nor token counts; check the base URL and the driver of the provider",
            ));
        }
        if let Some(usage) = self.usage {
            self.events.push(ChatEvent::Usage(usage));
        }
        self.events.push(ChatEvent::Finish(Finish { reason: reason.to_owned(), response_id }));
        self.ended = true;
        Ok(())
    }

    pub(super) fn is_ended(&self) -> bool {
        self.ended
    }

    /// The events since the last time.
    pub(super) fn take(&mut self) -> Vec<ChatEvent> {
        mem::take(&mut self.events)
    }

    fn push(&mut self, event: ChatEvent) {
        self.has_content = true;
        self.events.push(event);
    }
}

/// An answer that is not what the protocol says.
pub(super) fn invalid(message: &str) -> DriverError {
    DriverError::new(DriverErrorKind::InvalidResponse, message)
}

/// The JSON of an event.
pub(super) fn parse(data: &[u8]) -> Result<Value, DriverError> {
    serde_json::from_slice(data).map_err(|_| invalid("an event of the answer is no JSON"))
}

/// A member that is text; empty if it is missing or null.
pub(super) fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}

/// A member that counts; 0 if it is missing or null.
pub(super) fn count(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or_default()
}

/// The counts of vendors who count everything together.
pub(super) fn usage_of_totals(input: u64, cache_read: u64, cache_write: u64, output: u64, reasoning: u64) -> TokenUsage {
    TokenUsage {
        input_tokens: input.saturating_sub(cache_read).saturating_sub(cache_write),
        output_tokens: output,
        cache_read_tokens: cache_read,
        cache_creation_tokens: cache_write,
        reasoning_tokens: reasoning,
    }
}
