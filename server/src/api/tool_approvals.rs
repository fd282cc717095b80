//! Approvals: what people decide about tool calls that wait for them.

use axum::Json;
use axum::extract::{Path, State};
use everwit_runtime::session::SessionStatus;
use everwit_runtime::turn::{ApprovalVerdict, ToolApproval};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::check::Checks;
use super::extract::JsonBody;
use super::tool_results::{desk, go_on, refused};
use super::{App, resolve, to_its_end};
use crate::auth::Caller;
use crate::problem::{Finding, Problem};

/// Decisions about tool calls.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = SubmitToolApprovalsRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct SubmitToolApprovals {
    /// At least one; calls without a decision go on waiting.
    decisions: Vec<ApprovalInput>,
}

/// A decision about one call.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ToolApprovalAnswer)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApprovalInput {
    /// Id of the call, as in `tool.call_requested`. What it calls with which arguments is what that
    /// event says.
    tool_call_id: String,
    /// The decision.
    decision: ApprovalVerdict,
    /// Why, at most 4 KiB; the model is told why a call was refused.
    reason: Option<String>,
}

/// What became of the decisions.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SubmitToolApprovalsResponse)]
pub(crate) struct ApprovalOutcome {
    /// The decisions, all of which were stored.
    resolved: Vec<ApprovalResolution>,
    /// What the session is doing: `active`, or `waiting_for_tool_results` while others are missing.
    status: SessionStatus,
}

/// A stored decision.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ToolApprovalResolution)]
pub(crate) struct ApprovalResolution {
    /// Id of the call.
    tool_call_id: String,
    /// The decision.
    outcome: ApprovalVerdict,
}

/// Allow or refuse tool calls
///
/// For calls of kind `approval` in `tool.call_requested`. All decisions are stored or none. When
/// nothing is missing any more, the turn goes on: allowed calls are executed exactly as they were
/// requested, and the model is told of refused ones.
#[utoipa::path(
    post,
    path = "/sessions/{session_id}/tool-approvals",
    tag = "sessions",
    params(("session_id" = String, Path, description = "Id")),
    request_body = SubmitToolApprovals,
    responses(
        (status = 200, body = ApprovalOutcome),
        (status = 409, description = "The session waits for no approvals"),
        (status = 422, description = "A decision is for a call that waits for none"),
    ),
)]
pub(crate) async fn submit_tool_approvals(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
    JsonBody(request): JsonBody<SubmitToolApprovals>,
) -> Result<Json<ApprovalOutcome>, Problem> {
    let session = resolve::session(&app, caller.org, &reference).await?.id;
    let approvals = request.into_approvals()?;
    let decide = async move {
        let decided = desk(&app).decide(caller.org, session, &approvals).await;
        let ids: Vec<&str> = approvals.iter().map(|approval| approval.tool_call_id.as_str()).collect();
        let accepted = decided.map_err(|error| refused(error, "decisions", &ids))?;
        let status = go_on(&app, caller.org, session, &accepted).await;
        let resolved =
            approvals.into_iter().map(|ToolApproval { tool_call_id, verdict, .. }| ApprovalResolution { tool_call_id, outcome: verdict });
        Ok(Json(ApprovalOutcome { resolved: resolved.collect(), status }))
    };
    to_its_end(decide).await?
}

impl SubmitToolApprovals {
    fn into_approvals(self) -> Result<Vec<ToolApproval>, Problem> {
        let mut checks = Checks::default();
        if self.decisions.is_empty() {
            checks.add(Finding::at("/decisions", "wrong_count", "there is no decision").fix("send at least one"));
        }
        checks.finish()?;
        let approval =
            |input: ApprovalInput| ToolApproval { tool_call_id: input.tool_call_id, verdict: input.decision, reason: input.reason };
        Ok(self.decisions.into_iter().map(approval).collect())
    }
}
