//! An answer of the model while it arrives.

use crate::driver::{ChatEvent, DriverError, DriverErrorKind};
use crate::event::TokenUsage;
use crate::message::{ContentPart, ToolCall};

/// Largest answer, in bytes of text and tool arguments. No model writes so much; a broken driver
/// must not fill the log.
const MAX_ANSWER_BYTES: usize = 4 << 20;
/// Most tool calls of one answer. Far more than are executed, and few enough for all of them to
/// be claimed in one append.
const MAX_CALLS_PER_ANSWER: usize = 128;

/// What has arrived so far.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) content: Vec<ContentPart>,
    pub(super) usage: TokenUsage,
    pub(super) finish_reason: Option<String>,
    pub(super) calls: usize,
    bytes: usize,
}

impl Answer {
    /// Takes an event in.
    pub(super) fn push(&mut self, event: ChatEvent) -> Result<(), DriverError> {
        match event {
            ChatEvent::Text(text) => {
                self.grow(text.len())?;
                match self.content.last_mut() {
                    Some(ContentPart::Text { text: so_far }) => so_far.push_str(&text),
                    _ => self.content.push(ContentPart::Text { text }),
                }
            }
            ChatEvent::ToolCall(call) => self.push_call(call)?,
            ChatEvent::Usage(usage) => self.usage = usage,
            ChatEvent::Finish(reason) => self.finish_reason = Some(reason),
        }
        Ok(())
    }

    fn push_call(&mut self, call: ToolCall) -> Result<(), DriverError> {
        self.grow(call.id.len() + call.name.len() + call.arguments.to_string().len())?;
        self.calls += 1;
        if self.calls > MAX_CALLS_PER_ANSWER {
            return Err(too_large(format!("the model asked for more than {MAX_CALLS_PER_ANSWER} tool calls at once")));
        }
        self.content.push(ContentPart::ToolCall(call));
        Ok(())
    }

    fn grow(&mut self, bytes: usize) -> Result<(), DriverError> {
        self.bytes += bytes;
        if self.bytes > MAX_ANSWER_BYTES {
            return Err(too_large(format!("the answer of the model is larger than {MAX_ANSWER_BYTES} bytes")));
        }
        Ok(())
    }

    /// Makes the ids of its calls unique: `taken` says which are used in the session, `fresh`
    /// makes one. Vendors count from one in each answer, or leave them out.
    pub(super) fn name_calls(&mut self, taken: impl Fn(&str) -> bool, mut fresh: impl FnMut() -> String) {
        let mut seen: Vec<String> = Vec::new();
        for part in &mut self.content {
            let ContentPart::ToolCall(call) = part else { continue };
            if call.id.trim().is_empty() || seen.contains(&call.id) || taken(&call.id) {
                call.id = fresh();
            }
            seen.push(call.id.clone());
        }
    }

    /// The first characters of its text.
    pub(super) fn preview(&self, characters: usize) -> Option<String> {
        self.content.iter().find_map(|part| match part {
            ContentPart::Text { text } => Some(text.chars().take(characters).collect()),
            _ => None,
        })
    }
}

fn too_large(message: String) -> DriverError {
    DriverError::new(DriverErrorKind::InvalidResponse, message)
}
