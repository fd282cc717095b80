//! The record of a tool call that was executed: what the log and the model are told of its outcome.

use std::any::Any;

use serde_json::Value;
use tokio::task::JoinError;

use super::context::TurnContext;
use super::tools::capability_id;
use super::toolset::cut;
use crate::capability::{CallError, StopKind, Stopped, ToolOutcome, ToolOutput};
use crate::event::{ToolCompleted, ToolStatus};
use crate::limits::MAX_TOOL_RESULT_BYTES;
use crate::message::{ContentPart, ToolCall};
use crate::mutation::off;

/// The record of a call that was executed.
pub(super) fn settled(context: &TurnContext, call: &ToolCall, outcome: ToolOutcome, duration_ms: u64) -> ToolCompleted {
    let capability = capability_id(context, &call.name).unwrap_or_default();
    for line in &outcome.logs {
        tracing::debug!(capability, tool = call.name, call = call.id, level = line.level, "guest: {}", line.message);
    }
    let mut completed = ToolCompleted {
        tool_call_id: call.id.clone(),
        tool_name: call.name.clone(),
        success: false,
        status: ToolStatus::Error,
        result: Vec::new(),
        structured: None,
        error: None,
        error_kind: None,
        duration_ms,
        capability_id: None,
        receipt: outcome.receipt,
    };
    match outcome.result {
        Ok(ToolOutput { parts, structured }) => {
            completed.success = true;
            completed.status = ToolStatus::Success;
            completed.result = shown(parts);
            completed.structured = structured;
        }
        Err(error) => {
            completed.error_kind = Some(error.kind().to_owned());
            if let CallError::Stopped(stopped) = &error {
                tracing::warn!(capability, tool = call.name, call = call.id, %stopped, backtrace = ?stopped.backtrace, "a tool call was stopped");
                completed.status = stop_status(stopped.kind);
            }
            completed.error = Some(told(&error));
        }
    }
    completed
}

fn stop_status(kind: StopKind) -> ToolStatus {
    match kind {
        StopKind::Deadline => ToolStatus::Timeout,
        StopKind::Cancelled => ToolStatus::Cancelled,
        _ => ToolStatus::Error,
    }
}

/// What the model is told of a failure. How and where the host stopped a call is its owner's
/// business, not the model's.
fn told(error: &CallError) -> String {
    match error {
        CallError::Failed(failure) => cut(&failure.to_string(), MAX_TOOL_RESULT_BYTES).to_owned(),
        CallError::Stopped(stopped) => format!("tool failed: {}", stopped.kind.as_str()),
        CallError::ConnectionRequired { .. } => error.to_string(),
    }
}

/// What the model is shown of a result: all text within the limit, with a note if that is not
/// all. Parts that only a conversation can have are shown as JSON text.
fn shown(parts: Vec<ContentPart>) -> Vec<ContentPart> {
    let as_text = |part: ContentPart| match part {
        ContentPart::Reasoning { .. } | ContentPart::ToolCall(_) | ContentPart::ToolResult { .. } => {
            ContentPart::text(serde_json::to_value(&part).unwrap_or(Value::Null).to_string())
        }
        part => part,
    };
    let parts: Vec<ContentPart> = parts.into_iter().map(as_text).collect();
    let length = |part: &ContentPart| if let ContentPart::Text { text } = part { text.len() } else { 0 };
    let total: usize = parts.iter().map(length).sum();
    if total <= MAX_TOOL_RESULT_BYTES || off("turn.result_bytes") {
        return parts;
    }
    let mut left = MAX_TOOL_RESULT_BYTES;
    let mut shown = Vec::with_capacity(parts.len() + 1);
    for part in parts {
        match part {
            ContentPart::Text { text } => {
                let kept = cut(&text, left);
                left -= kept.len();
                if kept.len() < text.len() {
                    left = 0;
                }
                if !kept.is_empty() {
                    shown.push(ContentPart::text(kept));
                }
            }
            other => shown.push(other),
        }
    }
    shown.push(ContentPart::text(format!("[cut: the result has {total} bytes of text; only the first {MAX_TOOL_RESULT_BYTES} are shown]")));
    shown
}

/// A tool whose task ended without an outcome: it panicked.
pub(super) fn crashed(error: JoinError) -> ToolOutcome {
    let message = match error.try_into_panic() {
        Ok(panic) => panic_message(panic.as_ref()).to_owned(),
        Err(error) => error.to_string(),
    };
    ToolOutcome::native(Err(CallError::Stopped(Stopped::new(StopKind::Internal, message))))
}

/// The text of a panic.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&'static str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("panic without a message")
}
