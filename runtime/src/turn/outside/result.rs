//! Results of client-side tools, and answers to questions.

use jiff::Timestamp;
use serde_json::Value;

use super::{Asked, OutsideError, Statement};
use crate::event::{EventData, RequestKind, ToolCompleted, ToolStatus};
use crate::limits::MAX_TOOL_RESULT_BYTES;
use crate::message::ContentPart;
use crate::mutation::off;
use crate::turn::state::millis;

/// What a client says about one tool call: the result of a client-side tool, or a person's answer
/// to a question.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientToolResult {
    /// Id of the call, as in `tool.call_requested`.
    pub tool_call_id: String,
    /// Its result, or a sentence about why there is none; at most 64 KiB as text. A result that is
    /// a string is shown to the model as it is, any other as JSON.
    pub outcome: Result<Value, String>,
}

impl Statement for ClientToolResult {
    const WHAT: &'static str = "tool results";

    fn suits(kind: RequestKind) -> bool {
        matches!(kind, RequestKind::ClientSide | RequestKind::Question)
    }

    fn call_id(&self) -> &str {
        &self.tool_call_id
    }

    fn check(&self) -> Result<(), OutsideError> {
        let bytes = self.outcome.as_ref().map_or_else(String::len, |value| text_of(value).len());
        if bytes > MAX_TOOL_RESULT_BYTES && !off("turn.client_result_bytes") {
            return Err(OutsideError::TooLong { tool_call_id: self.tool_call_id.clone(), bytes, limit: MAX_TOOL_RESULT_BYTES });
        }
        Ok(())
    }

    fn answer(&self) -> Option<&Value> {
        self.outcome.as_ref().ok()
    }

    fn events(&self, asked: &Asked, now: Timestamp) -> Vec<EventData> {
        let (success, error) = (self.outcome.is_ok(), self.outcome.as_ref().err().cloned());
        vec![EventData::ToolCompleted(ToolCompleted {
            tool_call_id: self.tool_call_id.clone(),
            tool_name: asked.planned.call.name.clone(),
            success,
            status: if success { ToolStatus::Success } else { ToolStatus::Error },
            result: self.outcome.iter().map(|value| ContentPart::text(text_of(value))).collect(),
            structured: self.outcome.as_ref().ok().filter(|value| !value.is_string()).cloned(),
            error_kind: error.is_some().then(|| "client".to_owned()),
            error,
            duration_ms: millis(asked.request.at, now),
            capability_id: asked.request.capability_id.clone(),
            receipt: None,
        })]
    }
}

/// A result as models see it.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
