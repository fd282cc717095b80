//! An answer of a model, put together from the events of its completion.

use std::collections::BTreeMap;
use std::mem;

use serde_json::{Map, Value};

use super::{ChatEvent, DriverError, DriverErrorKind, DriverId, Finish};
use crate::event::TokenUsage;
use crate::message::{ContentPart, Opaque, ToolCall};
use crate::mutation::off;

/// Largest answer, in bytes of text, reasoning and tool arguments: 10 MiB of text and what belongs
/// to it. No model writes so much; a broken driver must not fill the log.
pub const MAX_ANSWER_BYTES: usize = 12 << 20;
/// Most tool calls of one answer. Far more than are executed, and few enough for all of them to
/// be claimed in one append.
pub const MAX_CALLS_PER_ANSWER: usize = 128;
/// Most parts of one answer, and most events that add nothing to it.
const MAX_PARTS: usize = 4_096;

/// What has arrived so far.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    driver: String,
    content: Vec<ContentPart>,
    usage: TokenUsage,
    finish: Option<Finish>,
    calls: usize,
    open_calls: BTreeMap<u32, OpenCall>,
    /// How many calls have an index by now: whole ones count as well.
    indices: usize,
    bytes: usize,
}

/// A streamed call whose arguments are still coming.
#[derive(Debug, Clone, PartialEq)]
struct OpenCall {
    /// Its place in the content.
    position: usize,
    arguments: String,
}

impl Answer {
    /// An empty answer of a driver.
    pub fn of(driver: &DriverId) -> Self {
        Self {
            driver: driver.to_string(),
            content: Vec::new(),
            usage: TokenUsage::default(),
            finish: None,
            calls: 0,
            open_calls: BTreeMap::new(),
            indices: 0,
            bytes: 0,
        }
    }

    /// Takes an event in.
    ///
    /// # Errors
    /// `AnswerTooLarge` beyond [`MAX_ANSWER_BYTES`] or [`MAX_CALLS_PER_ANSWER`];
    /// `InvalidResponse` for events that do not fit together.
    pub fn push(&mut self, event: ChatEvent) -> Result<(), DriverError> {
        if self.finish.is_some() && !matches!(event, ChatEvent::Usage(_)) {
            return Err(invalid("the driver went on after the end of the answer"));
        }
        match event {
            ChatEvent::Text(text) => self.push_text(text),
            ChatEvent::Reasoning { text, opaque } => self.push_reasoning(text, opaque),
            ChatEvent::ToolCall(call) => self.push_call(call),
            ChatEvent::ToolCallStart { index, id, name } => self.start_call(index, id, name),
            ChatEvent::ToolCallDelta { index, arguments } => self.continue_call(index, &arguments),
            ChatEvent::ToolCallEnd { index, opaque } => self.end_call(index, opaque),
            ChatEvent::Usage(usage) => {
                self.usage = usage;
                Ok(())
            }
            ChatEvent::Finish(finish) => self.end(finish),
        }
    }

    /// Its parts in order.
    pub fn content(&self) -> &[ContentPart] {
        &self.content
    }

    /// Its parts in order.
    pub fn into_content(self) -> Vec<ContentPart> {
        self.content
    }

    /// Token counts.
    pub fn usage(&self) -> TokenUsage {
        self.usage
    }

    /// How it ended, if it has.
    pub fn finish(&self) -> Option<&Finish> {
        self.finish.as_ref()
    }

    /// How many tools it calls.
    pub fn calls(&self) -> usize {
        self.calls
    }

    /// The first characters of its text.
    pub fn preview(&self, characters: usize) -> Option<String> {
        self.content.iter().find_map(|part| match part {
            ContentPart::Text { text } => Some(text.chars().take(characters).collect()),
            _ => None,
        })
    }

    /// Makes the ids of its calls unique: `taken` says which are used in the session, `fresh`
    /// makes one. Vendors count from one in each answer, or leave them out.
    pub fn name_calls(&mut self, taken: impl Fn(&str) -> bool, mut fresh: impl FnMut() -> String) {
        let mut seen: Vec<String> = Vec::new();
        for part in &mut self.content {
            let ContentPart::ToolCall(call) = part else { continue };
            if call.id.trim().is_empty() || seen.contains(&call.id) || taken(&call.id) {
                call.id = fresh();
            }
            seen.push(call.id.clone());
        }
    }

    fn push_text(&mut self, text: String) -> Result<(), DriverError> {
        self.grow(text.len())?;
        match self.content.last_mut() {
            Some(ContentPart::Text { text: so_far }) => so_far.push_str(&text),
            _ => self.push_part(ContentPart::Text { text })?,
        }
        Ok(())
    }

    /// A piece continues the block before it, unless that is closed by its opaque value.
    fn push_reasoning(&mut self, text: String, opaque: Option<String>) -> Result<(), DriverError> {
        self.grow(text.len() + opaque.as_ref().map_or(0, String::len))?;
        let opaque = opaque.map(|data| self.own(data));
        match self.content.last_mut() {
            Some(ContentPart::Reasoning { text: so_far, opaque: end @ None }) => {
                so_far.push_str(&text);
                *end = opaque;
                Ok(())
            }
            _ if text.is_empty() && opaque.is_none() => Ok(()),
            _ => self.push_part(ContentPart::Reasoning { text, opaque }),
        }
    }

    fn push_call(&mut self, mut call: ToolCall) -> Result<(), DriverError> {
        self.grow(call.id.len() + call.name.len() + call.arguments.to_string().len())?;
        self.grow(call.opaque.as_ref().map_or(0, |opaque| opaque.data.len()))?;
        if call.arguments.is_null() {
            call.arguments = Value::Object(Map::new());
        }
        // A driver cannot speak in the name of another.
        call.opaque = call.opaque.map(|opaque| self.own(opaque.data));
        self.indices += 1;
        self.count_call()?;
        self.push_part(ContentPart::ToolCall(call))
    }

    fn start_call(&mut self, index: u32, id: String, name: String) -> Result<(), DriverError> {
        self.grow(id.len() + name.len())?;
        if usize::try_from(index) != Ok(self.indices) {
            return Err(invalid("the driver begins tool calls out of order"));
        }
        self.indices += 1;
        self.count_call()?;
        self.open_calls.insert(index, OpenCall { position: self.content.len(), arguments: String::new() });
        self.push_part(ContentPart::ToolCall(ToolCall::new(id, name, Value::Null)))
    }

    fn continue_call(&mut self, index: u32, arguments: &str) -> Result<(), DriverError> {
        self.grow(arguments.len())?;
        let call = self.open_calls.get_mut(&index).ok_or_else(|| invalid("the driver continues a tool call that is not open"))?;
        call.arguments.push_str(arguments);
        Ok(())
    }

    /// What is no JSON object stays a text, so that the model is told instead of the turn failing.
    fn end_call(&mut self, index: u32, opaque: Option<String>) -> Result<(), DriverError> {
        self.grow(opaque.as_ref().map_or(0, String::len))?;
        let call = self.open_calls.remove(&index).ok_or_else(|| invalid("the driver ends a tool call that is not open"))?;
        let parsed = match call.arguments.trim() {
            "" => Some(Map::new()),
            arguments => serde_json::from_str(arguments).ok(),
        };
        let opaque = opaque.map(|data| self.own(data));
        self.settle(call.position, parsed.map_or(Value::String(call.arguments), Value::Object), opaque);
        Ok(())
    }

    /// A call that was begun and not ended is malformed, even if its arguments are an object so
    /// far: the model did not come to say the rest.
    fn end(&mut self, finish: Finish) -> Result<(), DriverError> {
        self.grow(finish.reason.len() + finish.response_id.as_ref().map_or(0, String::len))?;
        for call in mem::take(&mut self.open_calls).into_values() {
            self.settle(call.position, Value::String(call.arguments), None);
        }
        self.finish = Some(finish);
        Ok(())
    }

    fn settle(&mut self, position: usize, arguments: Value, opaque: Option<Opaque>) {
        if let Some(ContentPart::ToolCall(call)) = self.content.get_mut(position) {
            (call.arguments, call.opaque) = (arguments, opaque);
        }
    }

    fn own(&self, data: String) -> Opaque {
        Opaque { driver: self.driver.clone(), data }
    }

    fn count_call(&mut self) -> Result<(), DriverError> {
        self.calls += 1;
        if self.calls > MAX_CALLS_PER_ANSWER && !off("answer.calls") {
            return Err(too_large(format!("the model asked for more than {MAX_CALLS_PER_ANSWER} tool calls at once")));
        }
        Ok(())
    }

    fn push_part(&mut self, part: ContentPart) -> Result<(), DriverError> {
        if self.content.len() >= MAX_PARTS && !off("answer.parts") {
            return Err(too_large(format!("the answer of the model has more than {MAX_PARTS} parts")));
        }
        self.content.push(part);
        Ok(())
    }

    fn grow(&mut self, bytes: usize) -> Result<(), DriverError> {
        self.bytes += bytes;
        if self.bytes > MAX_ANSWER_BYTES && !off("answer.bytes") {
            return Err(too_large(format!("the answer of the model is larger than {MAX_ANSWER_BYTES} bytes")));
        }
        Ok(())
    }
}

fn too_large(message: String) -> DriverError {
    DriverError::new(DriverErrorKind::AnswerTooLarge, message)
}

fn invalid(message: &str) -> DriverError {
    DriverError::new(DriverErrorKind::InvalidResponse, message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn collect(events: impl IntoIterator<Item = ChatEvent>) -> Result<Answer, DriverErrorKind> {
        let mut answer = Answer::of(&DriverId::Anthropic);
        events.into_iter().try_for_each(|event| answer.push(event)).map_err(|error| error.kind)?;
        Ok(answer)
    }

    fn text(text: &str) -> ChatEvent {
        ChatEvent::Text(text.to_owned())
    }

    fn thought(text: &str, opaque: Option<&str>) -> ChatEvent {
        ChatEvent::Reasoning { text: text.to_owned(), opaque: opaque.map(str::to_owned) }
    }

    fn start(index: u32) -> ChatEvent {
        ChatEvent::ToolCallStart { index, id: format!("c{index}"), name: "look".to_owned() }
    }

    fn delta(index: u32, arguments: &str) -> ChatEvent {
        ChatEvent::ToolCallDelta { index, arguments: arguments.to_owned() }
    }

    fn end(index: u32) -> ChatEvent {
        ChatEvent::ToolCallEnd { index, opaque: None }
    }

    fn arguments(events: impl IntoIterator<Item = ChatEvent>) -> Vec<Value> {
        let answer = collect(events).expect("it is an answer");
        answer
            .content()
            .iter()
            .filter_map(|part| if let ContentPart::ToolCall(call) = part { Some(call.arguments.clone()) } else { None })
            .collect()
    }

    #[test]
    fn pieces_become_parts() {
        let answer = collect([
            thought("Let me", None),
            thought(" see.", Some("s1")),
            thought("", Some("hidden")),
            text("It"),
            text(" is"),
            ChatEvent::ToolCall(ToolCall::new("c", "look", Value::Null)),
            text("!"),
            ChatEvent::finish("stop"),
            ChatEvent::Usage(TokenUsage { output_tokens: 7, ..TokenUsage::default() }),
        ])
        .unwrap();
        let opaque = |data: &str| Some(Opaque { driver: "anthropic".to_owned(), data: data.to_owned() });
        let expected = [
            ContentPart::Reasoning { text: "Let me see.".to_owned(), opaque: opaque("s1") },
            ContentPart::Reasoning { text: String::new(), opaque: opaque("hidden") },
            ContentPart::text("It is"),
            ContentPart::ToolCall(ToolCall::new("c", "look", json!({}))),
            ContentPart::text("!"),
        ];
        assert_eq!(answer.content(), expected);
        assert_eq!((answer.calls(), answer.usage().output_tokens), (1, 7));
    }

    #[test]
    fn streamed_calls_may_be_interleaved_and_keep_their_order() {
        let events = [start(0), start(1), delta(1, "{\"n\":"), delta(0, "{\"a\": [1"), delta(1, "2}"), end(1), delta(0, "]}"), end(0)];
        assert_eq!(arguments(events), [json!({"a": [1]}), json!({"n": 2})]);
        assert_eq!(arguments([start(0), delta(0, " "), end(0)]), [json!({})], "no arguments");
        let whole = ChatEvent::ToolCall(ToolCall::new("w", "look", json!({"w": 1})));
        assert_eq!(arguments([whole, start(1), end(1)]), [json!({"w": 1}), json!({})], "whole calls count");
    }

    #[test]
    fn arguments_that_are_no_object_stay_what_the_model_wrote() {
        for raw in ["{\"n\": ", "[1]", "7", "null", "{} {}"] {
            assert_eq!(arguments([start(0), delta(0, raw), end(0)]), [json!(raw)]);
        }
        for raw in ["", "{}", "{\"n\": "] {
            assert_eq!(arguments([start(0), delta(0, raw), ChatEvent::finish("length")]), [json!(raw)], "not ended");
        }
    }

    #[test]
    fn events_that_do_not_fit_are_no_answer() {
        let wrong: [&[ChatEvent]; 6] = [
            &[ChatEvent::finish("stop"), text("more")],
            &[ChatEvent::finish("stop"), ChatEvent::finish("stop")],
            &[start(1)],
            &[start(0), start(0)],
            &[delta(0, "{")],
            &[start(0), end(0), end(0)],
        ];
        for events in wrong {
            assert_eq!(collect(events.to_vec()), Err(DriverErrorKind::InvalidResponse), "{events:?}");
        }
    }

    #[test]
    fn an_answer_is_limited() {
        let half = "x".repeat(MAX_ANSWER_BYTES / 2);
        assert!(collect([text(&half), thought(&half, None)]).is_ok());
        assert_eq!(collect([text(&half), thought(&half, Some("s"))]), Err(DriverErrorKind::AnswerTooLarge));
        let calls = u32::try_from(MAX_CALLS_PER_ANSWER).expect("it is a small number");
        assert!(collect((0..calls).map(start)).is_ok());
        assert_eq!(collect((0..=calls).map(start)), Err(DriverErrorKind::AnswerTooLarge));
        let parts = (0..MAX_PARTS).flat_map(|_| [text("a"), thought("b", None)]);
        assert_eq!(collect(parts), Err(DriverErrorKind::AnswerTooLarge));
    }

    #[test]
    fn a_driver_cannot_speak_for_another() {
        let opaque = Some(Opaque { driver: "openai".to_owned(), data: "d".to_owned() });
        let answer = collect([ChatEvent::ToolCall(ToolCall { opaque, ..ToolCall::new("c", "look", json!({})) })]).unwrap();
        let ContentPart::ToolCall(call) = &answer.content()[0] else { panic!("no call") };
        assert_eq!(call.opaque.as_ref().map(|opaque| opaque.driver.as_str()), Some("anthropic"));
    }
}
