//! The order and the size of what a driver says: a pure check of one event after the other.

use super::convert;
use crate::driver::{ChatEvent, Finish};
use crate::event::TokenUsage;
use crate::mutation::off;
use crate::sandbox::bindings::everwit::types::chat::{Event, Usage};

/// Events that one frame may give.
pub(super) const MAX_EVENTS_PER_FRAME: usize = 16_384;
/// Texts, reasoning and arguments of one completion together, in bytes.
const MAX_COMPLETION_BYTES: usize = 32 << 20;
/// Tool calls of one completion.
const MAX_TOOL_CALLS: u32 = 256;
/// Bytes of a call's id, of a tool's name, and of the reason of an end.
const MAX_WORD_BYTES: usize = 256;
/// Tokens of one kind. Counts are summed for budgets, and nothing near this is real.
const MAX_TOKENS: u64 = 1 << 40;

/// What was said so far.
#[derive(Debug, Default)]
pub(super) struct EventCheck {
    finished: bool,
    /// Begun tool calls, and whether each is open.
    calls: Vec<bool>,
    bytes: usize,
    in_frame: usize,
}

impl EventCheck {
    /// Takes an event in; none if this host does not know its kind.
    ///
    /// # Errors
    /// One sentence that says what is wrong with it.
    pub(super) fn admit(&mut self, event: Event) -> Result<Option<ChatEvent>, String> {
        self.in_frame += 1;
        if self.in_frame > MAX_EVENTS_PER_FRAME && !off("driver.frame_events") {
            return Err(format!("one frame gave more than {MAX_EVENTS_PER_FRAME} events"));
        }
        self.bytes = self.bytes.saturating_add(convert::event_bytes(&event));
        if self.bytes > MAX_COMPLETION_BYTES && !off("driver.completion_bytes") {
            return Err(format!("the events of a completion have more than {MAX_COMPLETION_BYTES} bytes"));
        }
        if self.finished && !matches!(event, Event::Usage(_) | Event::Other(_)) {
            return Err(format!("{} after finish; only usage may follow it", name_of(&event)));
        }
        Ok(Some(match event {
            Event::Text(text) => ChatEvent::Text(text),
            Event::Reasoning(reasoning) => ChatEvent::Reasoning { text: reasoning.text, opaque: reasoning.opaque },
            Event::ToolCallStart(start) => {
                self.begin_call(start.index)?;
                word("the id of a tool call", &start.id)?;
                word("the name of a tool", &start.name)?;
                ChatEvent::ToolCallStart { index: start.index, id: start.id, name: start.name }
            }
            Event::ToolCallDelta(delta) => {
                self.open_call(delta.index)?;
                ChatEvent::ToolCallDelta { index: delta.index, arguments: delta.arguments }
            }
            Event::ToolCallEnd(end) => {
                *self.open_call(end.index)? = false;
                ChatEvent::ToolCallEnd { index: end.index, opaque: end.opaque }
            }
            Event::Usage(usage) => ChatEvent::Usage(tokens(&usage)?),
            Event::Finish(finish) => {
                if let Some(index) = self.calls.iter().position(|&open| open) {
                    return Err(format!("finish while tool call {index} has not ended"));
                }
                word("the reason of the finish", &finish.reason)?;
                word("the id of the response", finish.response_id.as_deref().unwrap_or_default())?;
                self.finished = true;
                ChatEvent::Finish(Finish { reason: finish.reason, response_id: finish.response_id })
            }
            Event::Other(_) => return Ok(None),
        }))
    }

    /// The next events are those of another frame.
    pub(super) fn begin_frame(&mut self) {
        self.in_frame = 0;
    }

    fn begin_call(&mut self, index: u32) -> Result<(), String> {
        let next = u32::try_from(self.calls.len()).unwrap_or(u32::MAX);
        if index != next {
            return Err(format!("tool call {index} begins where {next} is the next"));
        }
        if index >= MAX_TOOL_CALLS && !off("driver.tool_calls") {
            return Err(format!("a completion has at most {MAX_TOOL_CALLS} tool calls"));
        }
        self.calls.push(true);
        Ok(())
    }

    fn open_call(&mut self, index: u32) -> Result<&mut bool, String> {
        let call = usize::try_from(index).ok().and_then(|index| self.calls.get_mut(index));
        call.filter(|open| **open).ok_or_else(|| format!("tool call {index} continues, but it has not begun or has ended"))
    }
}

fn word(what: &str, text: &str) -> Result<(), String> {
    if text.len() <= MAX_WORD_BYTES || off("driver.words") {
        Ok(())
    } else {
        Err(format!("{what} has {} bytes; {MAX_WORD_BYTES} are the most", text.len()))
    }
}

fn tokens(usage: &Usage) -> Result<TokenUsage, String> {
    let count = |what: &str, tokens: u64| {
        if tokens <= MAX_TOKENS || off("driver.tokens") {
            Ok(tokens)
        } else {
            Err(format!("usage counts {tokens} {what}, which cannot be"))
        }
    };
    Ok(TokenUsage {
        input_tokens: count("input tokens", usage.input_tokens)?,
        output_tokens: count("output tokens", usage.output_tokens)?,
        cache_read_tokens: count("tokens read from the cache", usage.cache_read_tokens.unwrap_or_default())?,
        cache_creation_tokens: count("tokens written to the cache", usage.cache_write_tokens.unwrap_or_default())?,
        reasoning_tokens: count("reasoning tokens", usage.reasoning_tokens.unwrap_or_default())?,
    })
}

fn name_of(event: &Event) -> &'static str {
    match event {
        Event::Text(_) => "text",
        Event::Reasoning(_) => "reasoning",
        Event::ToolCallStart(_) => "tool-call-start",
        Event::ToolCallDelta(_) => "tool-call-delta",
        Event::ToolCallEnd(_) => "tool-call-end",
        Event::Usage(_) => "usage",
        Event::Finish(_) => "finish",
        Event::Other(_) => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::bindings::everwit::types::chat::{Finish, ToolCallDelta, ToolCallEnd, ToolCallStart};

    fn start(index: u32) -> Event {
        Event::ToolCallStart(ToolCallStart { index, id: "c".to_owned(), name: "look".to_owned() })
    }

    fn delta(index: u32) -> Event {
        Event::ToolCallDelta(ToolCallDelta { index, arguments: "{}".to_owned() })
    }

    fn end(index: u32) -> Event {
        Event::ToolCallEnd(ToolCallEnd { index, opaque: None })
    }

    fn finish(reason: &str) -> Event {
        Event::Finish(Finish { reason: reason.to_owned(), response_id: None, extra: Vec::new() })
    }

    /// What is wrong with the first wrong one of some events.
    fn problem(events: impl IntoIterator<Item = Event>) -> Option<String> {
        let mut check = EventCheck::default();
        events.into_iter().find_map(|event| {
            check.begin_frame();
            check.admit(event).err()
        })
    }

    #[test]
    fn calls_begin_in_order_and_end_before_the_answer_does() {
        assert_eq!(problem([start(0), start(1), delta(1), delta(0), end(1), end(0), finish("tool-calls")]), None);
        for (events, says) in [
            (vec![start(1)], "tool call 1 begins where 0 is the next"),
            (vec![start(0), start(0)], "tool call 0 begins where 1 is the next"),
            (vec![delta(0)], "has not begun or has ended"),
            (vec![start(0), end(0), delta(0)], "has not begun or has ended"),
            (vec![start(0), end(0), end(0)], "has not begun or has ended"),
            (vec![start(0), finish("stop")], "finish while tool call 0 has not ended"),
            (vec![finish("stop"), start(0)], "tool-call-start after finish"),
        ] {
            let problem = problem(events.clone());
            assert!(problem.as_ref().is_some_and(|problem| problem.contains(says)), "{events:?}: {problem:?}");
        }
        assert_eq!(problem((0..MAX_TOOL_CALLS).map(start)), None);
        assert!(problem((0..=MAX_TOOL_CALLS).map(start)).is_some_and(|problem| problem.contains("at most 256 tool calls")));
    }

    #[test]
    fn words_and_all_of_it_have_their_size() {
        let long = "x".repeat(MAX_WORD_BYTES + 1);
        let named = |id: &str, name: &str| Event::ToolCallStart(ToolCallStart { index: 0, id: id.to_owned(), name: name.to_owned() });
        for event in [named(&long, "look"), named("c", &long), finish(&long)] {
            assert!(problem([event]).is_some_and(|problem| problem.contains("257 bytes; 256 are the most")));
        }
        let text = Event::Text("x".repeat(1 << 20));
        let most = MAX_COMPLETION_BYTES >> 20;
        assert_eq!(problem(vec![text.clone(); most - 1]), None);
        assert!(problem(vec![text; most + 1]).is_some_and(|problem| problem.contains("the events of a completion")));
    }
}
