//! Turns: they begin with a message, can be cancelled, are listed, and are retried when they ended without an answer.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use everwit_runtime::engine::TurnKey;
use everwit_runtime::event::EventData;
use everwit_runtime::id::{OrgId, SessionId, TurnId};
use everwit_runtime::limits::MAX_EVENTS_PER_PAGE;
use everwit_runtime::store::{Page, Submitted, TurnEnd, TurnFilter, TurnRecord};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use utoipa::{IntoParams, ToSchema};
use uuid::{Builder, Uuid};

use super::extract::{FromParams, OptionalJsonBody, Params, Query};
use super::idempotency::Replayed;
use super::messages::{MessageBody, Said, submit};
use super::page::{List, PageParams};
use super::{App, budgets, resolve, to_its_end};
use crate::auth::Caller;
use crate::problem::Problem;

/// Pages of a log that are searched for the end of a turn, from its message on.
const MAX_PAGES: usize = 10;

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
        Some(turn) => to_its_end(async move { app.engine.cancel(TurnKey { org: caller.org, session, turn }).await }).await??,
        None => false,
    };
    Ok(Json(match cancelled {
        true => CancelOutcome { status: CancelStatus::Cancelled, message: "the turn is being cancelled", turn_id: turn },
        false => CancelOutcome { status: CancelStatus::NoOp, message: "there is no such open turn", turn_id: None },
    }))
}

/// How a turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// Not yet.
    Open,
    /// With an answer.
    Completed,
    /// With an error.
    Failed,
    /// By a cancel.
    Cancelled,
    /// By the platform.
    Sealed,
    /// Its message became part of another turn.
    Merged,
}

impl From<Option<TurnEnd>> for Outcome {
    fn from(end: Option<TurnEnd>) -> Self {
        match end {
            None => Self::Open,
            Some(TurnEnd::Completed) => Self::Completed,
            Some(TurnEnd::Failed) => Self::Failed,
            Some(TurnEnd::Cancelled) => Self::Cancelled,
            Some(TurnEnd::Sealed) => Self::Sealed,
            Some(TurnEnd::Merged) => Self::Merged,
        }
    }
}

/// A turn.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Turn)]
pub(crate) struct TurnBody {
    /// Id.
    id: TurnId,
    /// The session that it belongs to.
    session_id: SessionId,
    /// How it ended.
    outcome: Outcome,
    /// How often a process began to work on it; more than once after deaths.
    attempts: u32,
    /// Sequence of the message that it answers.
    input_sequence: u64,
    /// Why it ended without an answer, as a word: `no_progress` if its processes kept dying.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "no_progress")]
    reason: Option<String>,
    /// The same for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

/// Which turns.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct TurnParams {
    /// Turns of this session.
    #[param(value_type = Option<String>)]
    session_id: Option<SessionId>,
    /// Turns that ended like this: `sealed` are those that the platform gave up.
    #[param(value_type = Option<String>)]
    outcome: Option<TurnEnd>,
    #[param(ignore)]
    page: PageParams,
}

impl FromParams for TurnParams {
    fn from_params(params: &mut Params) -> Self {
        let outcome: Option<String> = params.one("outcome", "how a turn ended");
        let end = outcome.as_deref().and_then(|outcome| match outcome {
            "completed" => Some(TurnEnd::Completed),
            "failed" => Some(TurnEnd::Failed),
            "cancelled" => Some(TurnEnd::Cancelled),
            "sealed" => Some(TurnEnd::Sealed),
            "merged" => Some(TurnEnd::Merged),
            _ => None,
        });
        if let (Some(outcome), None) = (&outcome, end) {
            params.refuse("outcome", format!("{outcome:?} is no outcome; one of completed, failed, cancelled, sealed, merged"));
        }
        Self { session_id: params.one("session_id", "the id of a session"), outcome: end, page: PageParams::from_params(params) }
    }
}

/// List turns
///
/// The latest first. `outcome=sealed` lists those that the platform gave up, with the reason.
#[utoipa::path(
    get,
    path = "/turns",
    tag = "sessions",
    params(TurnParams, PageParams),
    responses((status = 200, body = List<TurnBody>)),
)]
pub(crate) async fn list_turns(
    State(app): State<App>,
    caller: Caller,
    Query(params): Query<TurnParams>,
) -> Result<Json<List<TurnBody>>, Problem> {
    let filter = TurnFilter { session: params.session_id, end: params.outcome, turn: None };
    let page: Page = params.page.into();
    let listing = app.stores.log.list_turns(caller.org, filter, page).await?;
    let mut data = Vec::with_capacity(listing.items.len());
    for turn in listing.items {
        data.push(body(&app, caller.org, turn).await?);
    }
    Ok(Json(List { data, total: listing.total, offset: page.offset.into(), limit: page.limit.into() }))
}

/// Retry a turn that failed or was sealed
///
/// Its message is sent once more, as a new turn, with `retry_of` in its metadata. Idempotent: however often a turn is
/// retried, there is one new turn; retry that one if it ends without an answer, too.
#[utoipa::path(
    post,
    path = "/sessions/{session_id}/turns/{turn_id}/retry",
    tag = "sessions",
    params(("session_id" = String, Path, description = "Id"), ("turn_id" = String, Path, description = "Id of the turn")),
    responses(
        (status = 201, body = MessageBody),
        (status = 409, description = "The turn is open, has its answer, was cancelled, or became part of another turn; or the session is paused"),
        (status = 429, description = "The org has too many turns, or nothing is left of a budget"),
        (status = 507, description = "The org's sessions have as many bytes of events as they may have"),
    ),
)]
pub(crate) async fn retry_turn(
    State(app): State<App>,
    caller: Caller,
    Path((session, turn)): Path<(String, String)>,
) -> Result<(StatusCode, Replayed<Json<MessageBody>>), Problem> {
    let session = resolve::session(&app, caller.org, &session).await?;
    let dead = find(&app, caller.org, session.id, &turn).await?;
    if !matches!(dead.end, Some(TurnEnd::Failed | TurnEnd::Sealed)) {
        let detail = format!("{} is {}; only failed and sealed turns can be retried", dead.turn_id, json!(Outcome::from(dead.end)));
        return Err(Problem::conflict("not_retryable", detail));
    }
    let input = app.stores.log.read_events(caller.org, session.id, dead.input_sequence.saturating_sub(1), 1).await?.pop();
    let Some(EventData::InputMessage { message }) = input.map(|event| event.data) else {
        return Err(Problem::internal("a turn has no message where its record says so"));
    };
    budgets::check_left(&app, caller.org, &session).await?;
    let reserved = app.quotas.reserve_turn(caller.org, &*app.stores.log, app.moments.now()).await?;
    let mut metadata = message.metadata;
    metadata.insert("retry_of".to_owned(), json!(dead.turn_id));
    let key = TurnKey { org: caller.org, session: session.id, turn: retry_of(dead.turn_id) };
    let said = Said { content: message.content, metadata, controls: message.controls };
    let Submitted { event, created } = submit(&app, key, said).await?;
    if created {
        reserved.keep();
    }
    let message = MessageBody::of(&event).ok_or_else(|| Problem::internal("a stored input is not a message"))?;
    Ok((StatusCode::CREATED, Replayed(!created, Json(message))))
}

async fn find(app: &App, org: OrgId, session: SessionId, reference: &str) -> Result<TurnRecord, Problem> {
    let absent = || Problem::not_found("turn", reference);
    let turn: TurnId = reference.parse().map_err(|_| absent())?;
    let filter = TurnFilter { session: Some(session), turn: Some(turn), end: None };
    let found = app.stores.log.list_turns(org, filter, Page { offset: 0, limit: 1 }).await?;
    found.items.into_iter().next().ok_or_else(absent)
}

/// The id of the one turn that retries another: of the same time, so that it is listed beside it.
fn retry_of(turn: TurnId) -> TurnId {
    let dead = turn.uuid();
    let digest = Sha256::new().chain_update("retry").chain_update(dead.as_bytes()).finalize();
    let mut random = [0; 10];
    random.copy_from_slice(&digest[..10]);
    let [a, b, c, d, e, f, ..] = *dead.as_bytes();
    let millis = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
    let id: Uuid = Builder::from_unix_timestamp_millis(millis, &random).into_uuid();
    TurnId::from_uuid(id)
}

/// A turn with why it ended, if it ended without an answer.
async fn body(app: &App, org: OrgId, turn: TurnRecord) -> Result<TurnBody, Problem> {
    let (reason, detail) = match turn.end {
        Some(TurnEnd::Failed | TurnEnd::Sealed) => why(app, org, turn).await?.unzip(),
        _ => (None, None),
    };
    let TurnRecord { turn_id, session_id, input_sequence, attempts, end } = turn;
    Ok(TurnBody { id: turn_id, session_id, outcome: end.into(), attempts, input_sequence, reason, detail })
}

/// Why a turn ended; none if that is far behind its message.
async fn why(app: &App, org: OrgId, turn: TurnRecord) -> Result<Option<(String, String)>, Problem> {
    let mut after = turn.input_sequence;
    for _ in 0..MAX_PAGES {
        let events = app.stores.log.read_events(org, turn.session_id, after, MAX_EVENTS_PER_PAGE).await?;
        let Some(last) = events.last().and_then(|event| event.sequence) else { return Ok(None) };
        let end = events.into_iter().find_map(|event| match event.data {
            EventData::TurnSealed { turn_id, reason, detail } if turn_id == turn.turn_id => Some((reason, detail)),
            EventData::TurnFailed { turn_id, error_code, error, .. } if turn_id == turn.turn_id => Some((error_code, error)),
            _ => None,
        });
        if end.is_some() {
            return Ok(end);
        }
        after = last;
    }
    Ok(None)
}
