//! Whether budgets let a session go on, and what lets it pass their soft limits.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use everwit_runtime::id::{BudgetId, OrgId};
use everwit_runtime::session::{Session, SessionStatus};
use everwit_runtime::usage::{BudgetStatus, Currency, Period};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::tool_results::{desk, go_on, refused};
use crate::api::{App, resolve, to_its_end};
use crate::auth::Caller;
use crate::problem::Problem;

/// Code of the refusal of what too little is left for.
const EXHAUSTED: &str = "budget_exhausted";
/// Code of the refusal of what waits at a soft limit.
const PAUSED: &str = "budget_paused";

/// Whether budgets let the next model call of a session through.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BudgetCheck)]
pub(crate) struct BudgetCheck {
    /// Whether they do. A call that needs more than is left is still refused when it comes.
    allowed: bool,
    /// Why they do not: `budget_exhausted` or `budget_paused`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "budget_paused")]
    code: Option<&'static str>,
    /// The budget that does not; none if it is a limit of every org.
    #[serde(skip_serializing_if = "Option::is_none")]
    budget_id: Option<BudgetId>,
    /// The same for people, with what helps.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// When there is more; never by itself if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    period_ends_at: Option<Timestamp>,
}

/// Check the budgets of a session
///
/// Whether the next model call of the session would be let through by what is left now, and why not.
#[utoipa::path(
    get,
    path = "/sessions/{session_id}/budget-check",
    tag = "budgets",
    params(("session_id" = String, Path, description = "Id")),
    responses((status = 200, body = BudgetCheck)),
)]
pub(crate) async fn check_budgets(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
) -> Result<Json<BudgetCheck>, Problem> {
    let session = resolve::session(&app, caller.org, &reference).await?;
    let refusal = match exhausted(&app, caller.org, &session).await? {
        Some(refusal) => Some(refusal),
        None => paused(&app, caller.org, &session).await?,
    };
    Ok(Json(match refusal {
        None => BudgetCheck { allowed: true, code: None, budget_id: None, detail: None, period_ends_at: None },
        Some(Refusal { code, budget, detail, ends }) => {
            BudgetCheck { allowed: false, code: Some(code), budget_id: budget, detail: Some(detail), period_ends_at: ends }
        }
    }))
}

/// What a resumed session is doing.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ResumeSessionResponse)]
pub(crate) struct ResumeOutcome {
    /// `active`: its turn goes on.
    status: SessionStatus,
}

/// Resume a paused session
///
/// Lets its turn go on that waits at the soft limit of a budget, and its later turns as well, up to the limit: until the
/// budget's period ends, or its soft limit is raised and reached again. Other sessions stay paused.
#[utoipa::path(
    post,
    path = "/sessions/{session_id}/resume",
    tag = "sessions",
    params(("session_id" = String, Path, description = "Id")),
    responses(
        (status = 200, body = ResumeOutcome),
        (status = 409, description = "The session is not paused"),
        (status = 429, description = "Nothing is left of a budget"),
    ),
)]
pub(crate) async fn resume_session(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
) -> Result<Json<ResumeOutcome>, Problem> {
    let session = resolve::session(&app, caller.org, &reference).await?;
    if let Some(refusal) = exhausted(&app, caller.org, &session).await? {
        return Err(refusal.into_problem(app.moments.now()));
    }
    let resume = async move {
        let accepted = desk(&app).resume(caller.org, session.id).await.map_err(|error| refused(error, "", &[]))?;
        Ok(Json(ResumeOutcome { status: go_on(&app, caller.org, session.id, &accepted).await }))
    };
    to_its_end(resume).await?
}

/// Refuses what would begin a turn for which nothing is left, and what is said to a paused session. A session whose
/// budgets have more by now takes a message in place of its turn that waits.
///
/// # Errors
/// 429, with the time after which there is if there will be; 409 if the session is paused; those of the stores.
pub(crate) async fn check_left(app: &App, org: OrgId, session: &Session) -> Result<(), Problem> {
    let refusal = match exhausted(app, org, session).await? {
        None if session.status == SessionStatus::Paused => paused(app, org, session).await?,
        refusal => refusal,
    };
    refusal.map_or(Ok(()), |refusal| Err(refusal.into_problem(app.moments.now())))
}

/// Why a session does not go on.
struct Refusal {
    code: &'static str,
    budget: Option<BudgetId>,
    detail: String,
    /// When there is more.
    ends: Option<Timestamp>,
}

impl Refusal {
    fn into_problem(self, now: Timestamp) -> Problem {
        match (self.code, self.ends) {
            (PAUSED, _) => Problem::conflict(PAUSED, self.detail),
            (code, Some(ends)) => {
                let seconds = u64::try_from(ends.duration_since(now).as_secs()).unwrap_or(0).max(1);
                Problem::busy(StatusCode::TOO_MANY_REQUESTS, code, self.detail, seconds)
            }
            (code, None) => Problem::new(StatusCode::TOO_MANY_REQUESTS, code, self.detail),
        }
    }
}

/// Whether too little is left for any model call.
async fn exhausted(app: &App, org: OrgId, session: &Session) -> Result<Option<Refusal>, Problem> {
    let (store, now) = (&app.stores.usage_store, app.moments.now());
    let budgets = store.budgets_of(org, session.id, session.agent_id).await?;
    for budget in budgets.iter().filter(|budget| budget.status == BudgetStatus::Active) {
        if budget.is_used_up(store.read_balance(org, &budget.account(now)).await?) {
            let ends = budget.period.map(|period| period.ends(now));
            let detail = format!("the budget {} is used up; top it up, raise it or delete it", budget.id);
            return Ok(Some(Refusal { code: EXHAUSTED, budget: Some(budget.id), detail, ends }));
        }
    }
    if let Some((account, limit)) = app.turns.allowance.tokens(now)
        && Currency::Tokens.is_used_up(store.read_balance(org, &account).await?.spent, limit)
    {
        let detail = format!("the org has used the {limit} tokens that it may use in a day");
        return Ok(Some(Refusal { code: EXHAUSTED, budget: None, detail, ends: Some(Period::Day.ends(now)) }));
    }
    Ok(None)
}

/// Whether a soft limit is reached that nobody has let the session pass.
async fn paused(app: &App, org: OrgId, session: &Session) -> Result<Option<Refusal>, Problem> {
    let pauses = desk(app).pauses(org, session).await?;
    Ok(pauses.into_iter().next().map(|notice| {
        let detail = format!("{} (POST /v1/sessions/{}/resume)", notice.message, session.id);
        Refusal { code: PAUSED, budget: Some(notice.budget_id), detail, ends: None }
    }))
}
