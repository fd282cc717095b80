//! Results of client-side tools and answers to questions: what a turn waits for after
//! `tool.call_requested`.

use axum::Json;
use axum::extract::{Path, State};
use everwit_runtime::capability::AnswerProblem;
use everwit_runtime::engine::TurnKey;
use everwit_runtime::id::{OrgId, SessionId};
use everwit_runtime::session::SessionStatus;
use everwit_runtime::turn::{Accepted, ClientToolResult, OutsideDesk, OutsideError};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::check::{Checks, shown};
use super::extract::{JsonBody, present};
use super::{App, resolve, to_its_end};
use crate::auth::Caller;
use crate::problem::{Finding, Problem};

/// Results of client-side tools, and answers to questions.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = SubmitToolResultsRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct SubmitToolResults {
    /// At least one; calls without a result go on waiting.
    tool_results: Vec<ToolResultInput>,
}

/// What a client says about one call: either a result or an error.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ToolResultInput)]
#[serde(deny_unknown_fields)]
pub(crate) struct ToolResultInput {
    /// Id of the call, as in `tool.call_requested`.
    tool_call_id: String,
    /// Any JSON value, at most 64 KiB as text. A string is shown to the model as it is. The answers to
    /// questions of `ask_user` are `{"status": "answered", "answers": [{"id", "selected", "text"}]}`, one for
    /// each question, or `{"status": "declined"}`.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Value>)]
    result: Option<Option<Value>>,
    /// A sentence about why there is no result, at most 64 KiB.
    error: Option<String>,
}

/// What became of the results.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SubmitToolResultsResponse)]
pub(crate) struct SubmitOutcome {
    /// How many were stored: all of them.
    accepted: usize,
    /// What the session is doing: `active`, or `waiting_for_tool_results` while others are missing.
    status: SessionStatus,
}

/// Send results of client-side tools and answers to questions
///
/// All of them are stored or none. When nothing is missing any more, the turn goes on. What nobody has
/// settled by `expires_at` of `tool.call_requested` is settled as timed out.
#[utoipa::path(
    post,
    path = "/sessions/{session_id}/tool-results",
    tag = "sessions",
    params(("session_id" = String, Path, description = "Id")),
    request_body = SubmitToolResults,
    responses(
        (status = 200, body = SubmitOutcome),
        (status = 409, description = "The session waits for no tool results"),
        (status = 422, description = "A result is for a call that the session does not wait for, or has no acceptable value; each wrong answer is named"),
    ),
)]
pub(crate) async fn submit_tool_results(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
    JsonBody(request): JsonBody<SubmitToolResults>,
) -> Result<Json<SubmitOutcome>, Problem> {
    let session = resolve::session(&app, caller.org, &reference).await?.id;
    let results = request.into_results()?;
    let settle = async move {
        let settled = desk(&app).settle(caller.org, session, &results).await;
        let ids: Vec<&str> = results.iter().map(|result| result.tool_call_id.as_str()).collect();
        let accepted = settled.map_err(|error| refused(error, "tool_results", &ids))?;
        let status = go_on(&app, caller.org, session, &accepted).await;
        Ok(Json(SubmitOutcome { accepted: results.len(), status }))
    };
    to_its_end(settle).await?
}

/// Where results and approvals are handed in.
pub(super) fn desk(app: &App) -> OutsideDesk<'_> {
    OutsideDesk { backends: &app.stores, capabilities: &*app.components.source, clock: &*app.moments.clock, ids: &*app.moments.ids }
}

/// Has the turn run if it waits for nothing any more; returns what the session is doing then. What
/// was accepted is stored: the turn goes on even if this process dies now.
pub(super) async fn go_on(app: &App, org: OrgId, session: SessionId, accepted: &Accepted) -> SessionStatus {
    if !accepted.wakes_turn {
        return SessionStatus::WaitingForToolResults;
    }
    let turn = accepted.turn_id;
    if let Err(error) = app.engine.signal(TurnKey { org, session, turn }).await {
        tracing::warn!(%error, %turn, "the turn waits for the next start of the server");
    }
    SessionStatus::Active
}

impl SubmitToolResults {
    fn into_results(self) -> Result<Vec<ClientToolResult>, Problem> {
        let mut checks = Checks::default();
        if self.tool_results.is_empty() {
            checks.add(Finding::at("/tool_results", "wrong_count", "there is no tool result").fix("send at least one"));
        }
        let mut results = Vec::new();
        for (at, input) in self.tool_results.into_iter().enumerate() {
            let outcome = match (input.result, input.error) {
                (Some(result), None) => Ok(result.unwrap_or(Value::Null)),
                (None | Some(None), Some(error)) => Err(error),
                (Some(Some(_)), Some(_)) | (None, None) => {
                    let finding = Finding::at(format!("/tool_results/{at}"), "exclusive", "it has either result or error");
                    checks.add(finding.fix("send one of them"));
                    continue;
                }
            };
            results.push(ClientToolResult { tool_call_id: input.tool_call_id, outcome });
        }
        checks.finish()?;
        Ok(results)
    }
}

/// The problem of a refusal, with a finding for each entry of the list that it is about. `ids` are
/// the calls of the entries.
pub(super) fn refused(error: OutsideError, list: &str, ids: &[&str]) -> Problem {
    let detail = error.to_string();
    match error {
        OutsideError::NotWaiting { .. } => Problem::conflict("not_waiting", detail),
        OutsideError::NotPaused { .. } => Problem::conflict("not_paused", detail),
        OutsideError::Unknown { unknown, waiting, .. } => {
            let mut checks = Checks::default();
            let mut seen: Vec<&str> = Vec::new();
            for (at, &id) in ids.iter().enumerate() {
                let is_known = waiting.iter().any(|waits| waits == id);
                if unknown.iter().any(|other| other == id) && (!is_known || seen.contains(&id)) {
                    let detail = format!("the session does not wait for {:?}, or not any more", shown(id));
                    let fix = format!("it waits for: {}", waiting.join(", "));
                    checks.add(Finding::at(format!("/{list}/{at}/tool_call_id"), "unknown_tool_call", detail).fix(fix));
                }
                seen.push(id);
            }
            checks.finish().err().unwrap_or_else(|| Problem::conflict("not_waiting", detail))
        }
        OutsideError::Unacceptable { problems } => {
            let mut checks = Checks::default();
            for (id, AnswerProblem { place, problem }) in problems {
                let at = ids.iter().position(|&known| known == id).unwrap_or(0);
                checks.add(Finding::at(format!("/{list}/{at}/result{place}"), "invalid_answer", problem));
            }
            checks.finish().err().unwrap_or_else(|| Problem::internal("an answer was refused for no reason"))
        }
        OutsideError::TooLong { tool_call_id, .. } => {
            let at = ids.iter().position(|&id| id == tool_call_id).unwrap_or(0);
            Problem::invalid(vec![Finding::at(format!("/{list}/{at}"), "too_long", detail)])
        }
        other => everwit_runtime::Error::from(other).into(),
    }
}
