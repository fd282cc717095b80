//! Steps that repeat each other: a pure count over the settled calls of a turn.

use super::call::CallState;
use crate::component::Digest;
use crate::event::ToolCompleted;
use crate::message::{ContentPart, ToolCall};

/// How often the latest step of a turn was made in a row.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Repetition {
    latest: Option<Digest>,
    /// Equal steps in a row, the latest one included; 0 before the first.
    pub(super) count: u32,
    /// Whether the model was told of these.
    pub(super) noted: bool,
}

impl Repetition {
    /// Takes a step in, all of whose calls are settled.
    pub(super) fn add(&mut self, calls: &[CallState]) {
        let mut digests: Vec<Digest> = calls.iter().filter_map(|state| state.digest).collect();
        digests.sort_unstable();
        let text: Vec<String> = digests.iter().map(Digest::hex).collect();
        let step = Some(Digest::of(text.join(" ").as_bytes()));
        if step == self.latest {
            self.count += 1;
        } else {
            *self = Self { latest: step, count: 1, noted: false };
        }
    }
}

/// What makes a settled call the same as another: name, arguments, and what the model sees of the
/// result.
pub(super) fn digest_of(call: &ToolCall, completed: &ToolCompleted) -> Digest {
    let part = |part: &ContentPart| match part {
        ContentPart::Text { text } => text.clone(),
        other => format!("{other:?}"),
    };
    let result: Vec<String> = completed.result.iter().map(part).collect();
    Digest::of(serde_json::json!([call.name, call.arguments, completed.success, result, completed.error]).to_string().as_bytes())
}
