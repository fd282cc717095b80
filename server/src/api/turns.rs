//! Turns: they begin with a message and can be cancelled.

use axum::Json;
use axum::extract::{Path, State};
use everwit_runtime::engine::TurnKey;
use everwit_runtime::id::TurnId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::extract::OptionalJsonBody;
use super::{App, resolve};
use crate::auth::Caller;
use crate::problem::Problem;

/// Which turn to cancel.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = CancelTurnRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct CancelTurn {
    /// The turn; the one that runs, or runs next, if absent.
    turn_id: Option<TurnId>,
}

/// What a cancel did.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CancelTurnResponse)]
pub(crate) struct CancelOutcome {
    /// Whether there was something to cancel.
    status: CancelStatus,
    /// The same for people.
    message: &'static str,
    /// The turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    turn_id: Option<TurnId>,
}

/// Whether there was something to cancel.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CancelStatus {
    /// The turn ends as cancelled; `turn.cancelled` tells when.
    Cancelled,
    /// No such turn was open.
    NoOp,
}

/// Cancel a turn
///
/// Idempotent. The turn ends with `turn.cancelled`; turns that wait behind it go on.
#[utoipa::path(
    post,
    path = "/sessions/{session_id}/cancel",
    tag = "sessions",
    params(("session_id" = String, Path, description = "Id")),
    request_body = Option<CancelTurn>,
    responses((status = 200, body = CancelOutcome)),
)]
pub(crate) async fn cancel_turn(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
    OptionalJsonBody(request): OptionalJsonBody<CancelTurn>,
) -> Result<Json<CancelOutcome>, Problem> {
    let session = resolve::session(&app, caller.org, &reference).await?.id;
    let turn = match request.unwrap_or_default().turn_id {
        Some(turn) => Some(turn),
        None => app.stores.log.open_turns(caller.org, session).await?.first().copied(),
    };
    let cancelled = match turn {
        Some(turn) => app.engine.cancel(TurnKey { org: caller.org, session, turn }).await?,
        None => false,
    };
    Ok(Json(match cancelled {
        true => CancelOutcome { status: CancelStatus::Cancelled, message: "the turn is being cancelled", turn_id: turn },
        false => CancelOutcome { status: CancelStatus::NoOp, message: "there is no such open turn", turn_id: None },
    }))
}
