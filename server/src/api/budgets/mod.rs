//! Budgets: how much sessions, agents and the org may use, and what they used.

mod body;
mod left;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use everwit_runtime::id::{BudgetId, OrgId, TopUpId};
use everwit_runtime::store::Listing;
use everwit_runtime::usage::{Account, BudgetSubject, Currency, TopUp, UsageBudget};

use super::check::Checks;
use super::extract::{IfMatch, JsonBody, Query, Tagged};
use super::idempotency::{Once, Replayed};
use super::page::{List, PageParams};
use super::{App, resolve};
use crate::auth::Caller;
use crate::problem::{Finding, Problem};
use body::{BudgetBody, CreateBudget, PostingBody, SubjectType, TopUpBudget, UpdateBudget, kept};
pub(crate) use left::{__path_check_budgets, __path_resume_session, check_budgets, check_left, resume_session};

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
/// a message is refused with 429 once too little is left for any call. A turn whose session reaches the soft limit
/// waits before its next call, see `POST /v1/sessions/{session_id}/resume`.
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
    let limit = amount(&mut checks, "/limit", request.currency, request.limit);
    let soft_limit = request.soft_limit.and_then(|soft| amount(&mut checks, "/soft_limit", request.currency, soft));
    check_soft_limit(&mut checks, limit, soft_limit);
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
    let budget = UsageBudget { id, subject, currency, limit, soft_limit, period, status, version: 1, created_at: now, updated_at: now };
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
    if let Some(limit) = request.limit {
        budget.limit = amount(&mut checks, "/limit", budget.currency, limit).unwrap_or(budget.limit);
    }
    if let Some(soft) = request.soft_limit {
        budget.soft_limit = soft.and_then(|soft| amount(&mut checks, "/soft_limit", budget.currency, soft));
    }
    check_soft_limit(&mut checks, Some(budget.limit), budget.soft_limit);
    checks.finish()?;
    budget.status = request.status.unwrap_or(budget.status);
    budget.version += 1;
    budget.updated_at = app.moments.now();
    let updated = app.stores.usage_store.update_budget(caller.org, budget.clone()).await;
    updated.map_err(|error| if_match.lost(error))?;
    tagged(&app, caller.org, &budget).await
}

/// Top a budget up
///
/// Adds to its limit and to its soft limit in the current period; for good if it has none. Sessions that it had stopped
/// take messages again; paused ones go on once they are resumed.
#[utoipa::path(
    post,
    path = "/budgets/{budget}/top-up",
    tag = "budgets",
    params(
        ("budget" = String, Path, description = "Id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Name of the request; a repetition within a day has no second effect"),
    ),
    request_body = TopUpBudget,
    responses((status = 200, body = BudgetBody)),
)]
pub(crate) async fn top_up_budget(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
    Once { body: request, key }: Once<TopUpBudget>,
) -> Result<Replayed<Tagged<Json<BudgetBody>>>, Problem> {
    let budget = find(&app, caller.org, &reference).await?;
    let mut checks = Checks::default();
    let amount = amount(&mut checks, "/amount", budget.currency, request.amount);
    checks.finish()?;
    let amount = amount.ok_or_else(|| Problem::internal("an amount passed its checks and is none"))?;
    let claimed = key.claim(&app, caller.org).await?;
    let top_up = TopUp { id: TopUpId::from_uuid(claimed.id), amount, at: app.moments.now() };
    let added = app.stores.usage_store.top_up(caller.org, budget.id, top_up).await?;
    Ok(Replayed(!added, tagged(&app, caller.org, &budget).await?))
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
/// What model calls took from it and what was added to it, newest first.
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

/// An amount as it is kept.
fn amount(checks: &mut Checks, pointer: &'static str, currency: Currency, amount: f64) -> Option<u64> {
    let (most, unit) = match currency {
        Currency::Tokens => (MAX_TOKENS, "a whole number of tokens"),
        Currency::Usd => (MAX_USD, "a number of US dollars, at least a billionth of one"),
    };
    let kept = kept(currency, amount, most);
    if kept.is_none() {
        let code = if pointer == "/amount" { "invalid_amount" } else { "invalid_limit" };
        checks.add(Finding::at(pointer, code, format!("the amount is {amount}; it must be {unit} above 0 and at most {most}")));
    }
    kept
}

fn check_soft_limit(checks: &mut Checks, limit: Option<u64>, soft_limit: Option<u64>) {
    if let (Some(limit), Some(soft)) = (limit, soft_limit)
        && soft >= limit
    {
        let finding = Finding::at("/soft_limit", "invalid_limit", "the soft limit is not less than the limit, so that nothing would pause");
        checks.add(finding.fix("make it less than the limit, or leave it out"));
    }
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
