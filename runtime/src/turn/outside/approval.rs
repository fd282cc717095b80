//! Decisions about tool calls that wait for an approval.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Asked, OutsideError, Statement};
use crate::event::{EventData, RequestKind, ToolCompleted, ToolStatus};
use crate::mutation::off;
use crate::turn::settle::unsuccessful;
use crate::turn::state::millis;

/// Longest reason of a decision, in bytes; the model is told the reason of a refusal.
pub const MAX_APPROVAL_REASON_BYTES: usize = 4 << 10;

/// What a person decides about a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ApprovalVerdict {
    /// This call is executed.
    Allow,
    /// This call is executed, and later ones of the tool in this session without asking.
    AllowAlways,
    /// This call is not executed.
    Reject,
    /// This call is not executed, nor are later ones of the tool in this session.
    RejectAlways,
}

impl ApprovalVerdict {
    /// Whether the call is executed.
    pub fn allows(self) -> bool {
        matches!(self, Self::Allow | Self::AllowAlways)
    }

    /// Whether it holds for later calls of the tool in the session as well.
    pub fn is_lasting(self) -> bool {
        matches!(self, Self::AllowAlways | Self::RejectAlways)
    }
}

/// A decision about one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolApproval {
    /// Id of the call, as in `tool.call_requested`.
    pub tool_call_id: String,
    /// The decision.
    pub verdict: ApprovalVerdict,
    /// Why, in the person's words; at most [`MAX_APPROVAL_REASON_BYTES`].
    pub reason: Option<String>,
}

impl Statement for ToolApproval {
    const WHAT: &'static str = "approvals";

    fn suits(kind: RequestKind) -> bool {
        kind == RequestKind::Approval
    }

    fn call_id(&self) -> &str {
        &self.tool_call_id
    }

    fn check(&self) -> Result<(), OutsideError> {
        let bytes = self.reason.as_ref().map_or(0, String::len);
        if bytes > MAX_APPROVAL_REASON_BYTES && !off("turn.approval_reason_bytes") {
            return Err(OutsideError::TooLong { tool_call_id: self.tool_call_id.clone(), bytes, limit: MAX_APPROVAL_REASON_BYTES });
        }
        Ok(())
    }

    fn events(&self, asked: &Asked, now: Timestamp) -> Vec<EventData> {
        let (verdict, call) = (self.verdict, &asked.planned.call);
        let decided = EventData::ToolApprovalDecided {
            tool_call_id: call.id.clone(),
            tool_name: call.name.clone(),
            approved: verdict.allows(),
            always: verdict.is_lasting(),
            reason: self.reason.clone(),
        };
        if verdict.allows() {
            return vec![decided];
        }
        let error = match self.reason.as_deref().map(str::trim).filter(|reason| !reason.is_empty()) {
            Some(reason) => format!("a person refused this call; the tool was not called. They say: {reason}"),
            None => "a person refused this call; the tool was not called".to_owned(),
        };
        let refused = unsuccessful(&asked.planned, ToolStatus::Error, "rejected", error);
        let (duration_ms, capability_id) = (millis(asked.request.at, now), asked.request.capability_id.clone());
        vec![decided, EventData::ToolCompleted(ToolCompleted { duration_ms, capability_id, ..refused })]
    }
}
