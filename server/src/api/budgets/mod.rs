//! Budgets: how much sessions, agents and the org may use, and what they used.

mod body;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use everwit_runtime::id::{BudgetId, OrgId};
use everwit_runtime::session::Session;
use everwit_runtime::store::Listing;
use everwit_runtime::usage::{Account, BudgetStatus, BudgetSubject, Currency, UsageBudget};
use jiff::Timestamp;

use super::check::Checks;
use super::extract::{IfMatch, JsonBody, Query, Tagged};
use super::idempotency::{Once, Replayed};
use super::page::{List, PageParams};
use super::{App, resolve};
use crate::auth::Caller;
use crate::problem::{Finding, Problem};
use body::{BudgetBody, CreateBudget, PostingBody, SubjectType, UpdateBudget, kept};

/// Largest budget in tokens.
const MAX_TOKENS: f64 = 1e15;
/// Largest budget in US dollars.
const MAX_USD: f64 = 1e9;

/// List budgets
#[utoipa::path(
    get,
    path = "/budgets",
    tag = "budgets",
    params(PageParams),
    responses((status = 200, body = List<BudgetBody>)),
)]
pub(crate) async fn list_budgets(
    State(app): State<App>,
    caller: Caller,
    Query(page): Query<PageParams>,
) -> Result<Json<List<BudgetBody>>, Problem> {
    let page = page.into();
    let Listing { items, total } = app.stores.usage_store.list_budgets(caller.org, page).await?;
    let data = bodies(&app, caller.org, &items).await?;
    Ok(Json(List { data, total, offset: page.offset.into(), limit: page.limit.into() }))
}

/// List the budgets of a session
///
/// Its own, those of its agent and those of the org: what its model calls are held against.
#[utoipa::path(
    get,
    path = "/sessions/{session_id}/budgets",
    tag = "budgets",
    params(("session_id" = String, Path, description = "Id")),
    responses((status = 200, body = List<BudgetBody>)),
)]
pub(crate) async fn list_budgets_of_session(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
) -> Result<Json<List<BudgetBody>>, Problem> {
    let session = resolve::session(&app, caller.org, &reference).await?;
    let budgets = app.stores.usage_store.budgets_of(caller.org, session.id, session.agent_id).await?;
    let data = bodies(&app, caller.org, &budgets).await?;
    let total = data.len() as u64;
    Ok(Json(List { data, total, offset: 0, limit: total }))
}

/// Create a budget
///
/// From now on model calls of its subject are held against it: what one needs at most is reserved
/// before it, and what it used is counted after it. A turn whose next call does not fit ends as sealed;
/// a message is refused with 429 once too little is left for any call.
#[utoipa::path(
    post,
    path = "/budgets",
    tag = "budgets",
    params(("Idempotency-Key" = Option<String>, Header, description = "Name of the request; a repetition within a day has no second effect")),
    request_body = CreateBudget,
    responses((status = 201, body = BudgetBody)),
)]
pub(crate) async fn create_budget(
    State(app): State<App>,
    caller: Caller,
    Once { body: request, key }: Once<CreateBudget>,
) -> Result<(StatusCode, Replayed<Tagged<Json<BudgetBody>>>), Problem> {
    let mut checks = Checks::default();
    let limit = limit(&mut checks, request.currency, request.limit);
    let subject = subject(&app, caller.org, &mut checks, &request).await?;
    checks.finish()?;
    let (Some(limit), Some(subject)) = (limit, subject) else {
        return Err(Problem::internal("a budget without a limit or a subject passed its checks"));
    };
    let claimed = key.claim(&app, caller.org).await?;
    let (id, now) = (BudgetId::from_uuid(claimed.id), app.moments.now());
    if claimed.repeated
        && let Some(made) = app.stores.usage_store.get_budget(caller.org, id).await?
    {
        return Ok((StatusCode::CREATED, Replayed(true, tagged(&app, caller.org, &made).await?)));
    }
    let CreateBudget { currency, period, status, .. } = request;
    let budget = UsageBudget { id, subject, currency, limit, period, status, version: 1, created_at: now, updated_at: now };
    app.stores.usage_store.add_budget(caller.org, budget.clone()).await?;
    Ok((StatusCode::CREATED, Replayed(false, tagged(&app, caller.org, &budget).await?)))
}

/// Read a budget
#[utoipa::path(
    get,
    path = "/budgets/{budget}",
    tag = "budgets",
    params(("budget" = String, Path, description = "Id")),
    responses((status = 200, body = BudgetBody)),
)]
pub(crate) async fn get_budget(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
) -> Result<Tagged<Json<BudgetBody>>, Problem> {
    let budget = find(&app, caller.org, &reference).await?;
    tagged(&app, caller.org, &budget).await
}

/// Change a budget
#[utoipa::path(
    patch,
    path = "/budgets/{budget}",
    tag = "budgets",
    params(
        ("budget" = String, Path, description = "Id"),
        ("If-Match" = Option<String>, Header, description = "ETag that the budget must have"),
    ),
    request_body = UpdateBudget,
    responses(
        (status = 200, body = BudgetBody),
        (status = 409, description = "Somebody else changed it at the same time"),
        (status = 412, description = "Not at the version of If-Match"),
    ),
)]
pub(crate) async fn update_budget(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
    if_match: IfMatch,
    JsonBody(request): JsonBody<UpdateBudget>,
) -> Result<Tagged<Json<BudgetBody>>, Problem> {
    let mut budget = find(&app, caller.org, &reference).await?;
    if_match.check(budget.version)?;
    let mut checks = Checks::default();
    if let Some(amount) = request.limit {
        budget.limit = limit(&mut checks, budget.currency, amount).unwrap_or(budget.limit);
    }
    checks.finish()?;
    budget.status = request.status.unwrap_or(budget.status);
    budget.version += 1;
    budget.updated_at = app.moments.now();
    let updated = app.stores.usage_store.update_budget(caller.org, budget.clone()).await;
    updated.map_err(|error| if_match.lost(error))?;
    tagged(&app, caller.org, &budget).await
}

/// Delete a budget
///
/// What it counted goes with it.
#[utoipa::path(
    delete,
    path = "/budgets/{budget}",
    tag = "budgets",
    params(
        ("budget" = String, Path, description = "Id"),
        ("If-Match" = Option<String>, Header, description = "ETag that the budget must have"),
    ),
    responses(
        (status = 204, description = "It is deleted"),
        (status = 409, description = "Somebody else changed it at the same time"),
        (status = 412, description = "Not at the version of If-Match"),
    ),
)]
pub(crate) async fn delete_budget(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
    if_match: IfMatch,
) -> Result<StatusCode, Problem> {
    let budget = find(&app, caller.org, &reference).await?;
    if_match.check(budget.version)?;
    let removed = app.stores.usage_store.remove_budget(caller.org, budget.id, budget.version).await;
    removed.map_err(|error| if_match.lost(error))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Read the ledger of a budget
///
/// What model calls took from it, newest first.
#[utoipa::path(
    get,
    path = "/budgets/{budget}/ledger",
    tag = "budgets",
    params(("budget" = String, Path, description = "Id"), PageParams),
    responses((status = 200, body = List<PostingBody>)),
)]
pub(crate) async fn list_postings(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
    Query(page): Query<PageParams>,
) -> Result<Json<List<PostingBody>>, Problem> {
    let (budget, page) = (find(&app, caller.org, &reference).await?, page.into());
    let postings = app.stores.usage_store.list_postings(caller.org, &budget.id.to_string(), page).await?;
    Ok(Json(List::new(postings, page, |posting| PostingBody::new(budget.currency, posting))))
}

/// Refuses what would begin a turn for which nothing is left.
///
/// # Errors
/// 429, with the time after which there is if there will be; those of the store.
pub(crate) async fn check_left(app: &App, org: OrgId, session: &Session) -> Result<(), Problem> {
    let (store, now) = (&app.stores.usage_store, app.moments.now());
    let budgets = store.budgets_of(org, session.id, session.agent_id).await?;
    for budget in budgets.iter().filter(|budget| budget.status == BudgetStatus::Active) {
        if budget.is_used_up(store.read_balance(org, &budget.account(now)).await?) {
            let ends = budget.period.map(|period| period.ends(now));
            return Err(used_up(&format!("the budget {} is used up; raise it or delete it", budget.id), now, ends));
        }
    }
    if let Some((account, limit)) = app.turns.allowance.tokens(now)
        && Currency::Tokens.is_used_up(store.read_balance(org, &account).await?.spent, limit)
    {
        let detail = format!("the org has used the {limit} tokens that it may use in a day");
        return Err(used_up(&detail, now, Some(everwit_runtime::usage::Period::Day.ends(now))));
    }
    Ok(())
}

fn used_up(detail: &str, now: Timestamp, ends: Option<Timestamp>) -> Problem {
    let code = "budget_exhausted";
    match ends {
        Some(ends) => {
            let seconds = u64::try_from(ends.duration_since(now).as_secs()).unwrap_or(0).max(1);
            Problem::busy(StatusCode::TOO_MANY_REQUESTS, code, detail, seconds)
        }
        None => Problem::new(StatusCode::TOO_MANY_REQUESTS, code, detail),
    }
}

async fn find(app: &App, org: OrgId, reference: &str) -> Result<UsageBudget, Problem> {
    let absent = || Problem::not_found("budget", reference);
    let id = reference.parse().map_err(|_| absent())?;
    app.stores.usage_store.get_budget(org, id).await?.ok_or_else(absent)
}

async fn tagged(app: &App, org: OrgId, budget: &UsageBudget) -> Result<Tagged<Json<BudgetBody>>, Problem> {
    Ok(Tagged(budget.version, Json(body(app, org, budget).await?)))
}

async fn body(app: &App, org: OrgId, budget: &UsageBudget) -> Result<BudgetBody, Problem> {
    let now = app.moments.now();
    let account: Account = budget.account(now);
    Ok(BudgetBody::new(budget, app.stores.usage_store.read_balance(org, &account).await?, now))
}

async fn bodies(app: &App, org: OrgId, budgets: &[UsageBudget]) -> Result<Vec<BudgetBody>, Problem> {
    let mut bodies = Vec::with_capacity(budgets.len());
    for budget in budgets {
        bodies.push(body(app, org, budget).await?);
    }
    Ok(bodies)
}

fn limit(checks: &mut Checks, currency: Currency, amount: f64) -> Option<u64> {
    let (most, unit) = match currency {
        Currency::Tokens => (MAX_TOKENS, "a whole number of tokens"),
        Currency::Usd => (MAX_USD, "a number of US dollars, at least a billionth of one"),
    };
    let kept = kept(currency, amount, most);
    if kept.is_none() {
        checks.add(Finding::at("/limit", "invalid_limit", format!("the limit is {amount}; it must be {unit} above 0 and at most {most}")));
    }
    kept
}

async fn subject(app: &App, org: OrgId, checks: &mut Checks, request: &CreateBudget) -> Result<Option<BudgetSubject>, Problem> {
    let pointer = "/subject_id";
    let found = match (request.subject_type, request.subject_id.as_deref()) {
        (SubjectType::Org, None) => return Ok(Some(BudgetSubject::Org(org))),
        (SubjectType::Org, Some(id)) if id == org.to_string() => return Ok(Some(BudgetSubject::Org(org))),
        (SubjectType::Org, Some(_)) => {
            checks.add(Finding::at(pointer, "invalid_subject", "a budget of the org is one of the caller's org; leave subject_id away"));
            return Ok(None);
        }
        (_, None) => {
            checks.add(Finding::at(pointer, "missing_subject", "name the session or the agent"));
            return Ok(None);
        }
        (SubjectType::Session, Some(id)) => resolve::find_session(app, org, id).await?.map(|session| BudgetSubject::Session(session.id)),
        (SubjectType::Agent, Some(id)) => resolve::find_agent(app, org, id).await?.map(|agent| BudgetSubject::Agent(agent.id)),
    };
    if found.is_none() {
        checks.add(Finding::at(pointer, "unknown_subject", "there is no such session or agent"));
    }
    Ok(found)
}
