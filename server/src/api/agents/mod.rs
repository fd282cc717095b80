//! Agents: domain configuration on top of a harness.

mod body;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use everwit_runtime::agent::Agent;
use everwit_runtime::harness::ResourceStatus;
use everwit_runtime::id::{AgentId, HarnessId, OrgId};
use everwit_runtime::store::{SeedKind, StoreError};

use crate::api::check::{Checks, shown};
use crate::api::extract::{IfMatch, IfNoneMatch, JsonBody, Query, Tagged};
use crate::api::idempotency::{Once, Replayed};
use crate::api::page::{Archived, List, PageParams, Search, filtered};
use crate::api::redacted::{Redaction, configured};
use crate::api::{App, resolve};
use crate::auth::Caller;
use crate::problem::{Finding, Problem};
use body::{AgentBody, CreateAgent, UpdateAgent};

/// List agents
#[utoipa::path(
    get,
    path = "/agents",
    tag = "agents",
    params(PageParams, Search, Archived),
    responses((status = 200, body = List<AgentBody>)),
)]
pub(crate) async fn list_agents(
    State(app): State<App>,
    caller: Caller,
    Query((page, search, archived)): Query<(PageParams, Search, Archived)>,
) -> Result<Json<List<AgentBody>>, Problem> {
    let page = page.into();
    let listing = {
        let list = |page| app.stores.agent_store.list_agents(caller.org, page);
        let texts = |agent: &Agent| search.matches([Some(&*agent.name), agent.display_name.as_deref(), agent.description.as_deref()]);
        let wanted = |agent: &Agent| archived.lists(agent.status) && texts(agent);
        if search.is_empty() && archived.are_listed() { list(page).await? } else { filtered(page, list, wanted).await? }
    };
    let ids = configured(listing.items.iter().map(|agent| &agent.capabilities));
    let redaction = Redaction::of(&app, caller.org, ids).await;
    Ok(Json(List::new(listing, page, |agent| AgentBody::new(agent, &redaction))))
}

/// Create or replace an agent
///
/// An id or a name that exists already is replaced by what is sent, and the answer is 200: the
/// same call can be repeated until the agent is as described. `If-None-Match: *` refuses to
/// replace.
#[utoipa::path(
    post,
    path = "/agents",
    tag = "agents",
    params(
        ("If-None-Match" = Option<String>, Header, description = "`*`: only if neither id nor name exists"),
        ("Idempotency-Key" = Option<String>, Header, description = "Name of the request; a repetition within a day has no second effect"),
    ),
    request_body = CreateAgent,
    responses(
        (status = 201, body = AgentBody),
        (status = 200, description = "It existed and is replaced", body = AgentBody),
        (status = 409, description = "Id and name belong to different agents"),
        (status = 412, description = "It exists, and If-None-Match forbids to replace it"),
    ),
)]
pub(crate) async fn create_agent(
    State(app): State<App>,
    caller: Caller,
    if_none_match: IfNoneMatch,
    Once { body, key }: Once<CreateAgent>,
) -> Result<(StatusCode, Replayed<Tagged<Json<AgentBody>>>), Problem> {
    let existing = existing(&app, caller.org, &body).await?;
    let wanted = existing.as_ref().map(|agent| agent.id).or(body.id);
    let mut agent = body.into_agent(&app, &caller, existing.as_ref()).await?;
    let claimed = key.claim(&app, caller.org).await?;
    let id = AgentId::from_uuid(claimed.id);
    if claimed.repeated
        && let Some(agent) = app.stores.agent_store.get_agent(caller.org, id).await?
    {
        return Ok((StatusCode::CREATED, Replayed(true, answer(&app, caller.org, agent).await)));
    }
    if_none_match.check(existing.is_some())?;
    agent.id = wanted.unwrap_or(id);
    let status = if existing.is_some() {
        store(&app, caller.org, &mut agent).await?;
        StatusCode::OK
    } else {
        app.stores.agent_store.add_agent(caller.org, agent.clone()).await?;
        StatusCode::CREATED
    };
    Ok((status, Replayed(false, answer(&app, caller.org, agent).await)))
}

/// Read an agent
#[utoipa::path(
    get,
    path = "/agents/{agent}",
    tag = "agents",
    params(("agent" = String, Path, description = "Id or name")),
    responses((status = 200, body = AgentBody)),
)]
pub(crate) async fn get_agent(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
) -> Result<Tagged<Json<AgentBody>>, Problem> {
    let agent = resolve::agent(&app, caller.org, &reference).await?;
    Ok(answer(&app, caller.org, agent).await)
}

/// Change an agent
#[utoipa::path(
    patch,
    path = "/agents/{agent}",
    tag = "agents",
    params(
        ("agent" = String, Path, description = "Id or name"),
        ("If-Match" = Option<String>, Header, description = "ETag that the agent must have"),
    ),
    request_body = UpdateAgent,
    responses(
        (status = 200, body = AgentBody),
        (status = 409, description = "The name is taken"),
        (status = 412, description = "Not at the version of If-Match"),
    ),
)]
pub(crate) async fn update_agent(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
    if_match: IfMatch,
    JsonBody(mut request): JsonBody<UpdateAgent>,
) -> Result<Tagged<Json<AgentBody>>, Problem> {
    let mut agent = resolve::agent(&app, caller.org, &reference).await?;
    if_match.check(agent.version)?;
    let mut checks = Checks::default();
    if let Some(harness) = &request.harness_id {
        agent.harness_id = harness_id(&app, caller.org, &mut checks, harness).await?.unwrap_or(agent.harness_id);
    }
    if let Some(model) = &request.default_model_id {
        agent.default_model_id = checks.model(&app, caller.org, "/default_model_id", model.as_deref()).await?;
    }
    checks.changed_capabilities(&app, &caller, request.capabilities.as_mut(), &agent.capabilities).await?;
    request.apply(&mut agent);
    check(checks, &agent)?;
    store(&app, caller.org, &mut agent).await.map_err(|error| if_match.lost(error))?;
    Ok(answer(&app, caller.org, agent).await)
}

/// Archive an agent
///
/// It cannot be assigned any more. `PATCH` with status `active` brings it back.
#[utoipa::path(
    delete,
    path = "/agents/{agent}",
    tag = "agents",
    params(
        ("agent" = String, Path, description = "Id or name"),
        ("If-Match" = Option<String>, Header, description = "ETag that the agent must have"),
    ),
    responses(
        (status = 204, description = "It is archived"),
        (status = 412, description = "Not at the version of If-Match"),
    ),
)]
pub(crate) async fn archive_agent(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
    if_match: IfMatch,
) -> Result<StatusCode, Problem> {
    let mut agent = resolve::agent(&app, caller.org, &reference).await?;
    if_match.check(agent.version)?;
    if agent.status == ResourceStatus::Active {
        agent.status = ResourceStatus::Archived;
        store(&app, caller.org, &mut agent).await.map_err(|error| if_match.lost(error))?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Delete an archived agent
///
/// For good, and only if nothing refers to it any more: its sessions have to go first.
#[utoipa::path(
    post,
    path = "/agents/{agent}/delete",
    tag = "agents",
    params(
        ("agent" = String, Path, description = "Id or name"),
        ("If-Match" = Option<String>, Header, description = "ETag that the agent must have"),
    ),
    responses(
        (status = 204, description = "It is deleted"),
        (status = 409, description = "Not archived, or in use"),
        (status = 412, description = "Not at the version of If-Match"),
    ),
)]
pub(crate) async fn delete_agent(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
    if_match: IfMatch,
) -> Result<StatusCode, Problem> {
    let agent = resolve::agent(&app, caller.org, &reference).await?;
    if_match.check(agent.version)?;
    if agent.status != ResourceStatus::Archived {
        let detail = format!("agent {:?} is not archived; archive it first, with DELETE", agent.name);
        return Err(Problem::conflict("not_archived", detail));
    }
    let setup = &app.stores.setup_store;
    let deleted = setup.delete_unused(caller.org, SeedKind::Agent, agent.id.uuid(), agent.version).await;
    deleted.map_err(|error| if_match.lost(error))?;
    Ok(StatusCode::NO_CONTENT)
}

impl CreateAgent {
    async fn into_agent(self, app: &App, caller: &Caller, existing: Option<&Agent>) -> Result<Agent, Problem> {
        let org = caller.org;
        let mut checks = Checks::default();
        checks.unsupported(&[
            ("/mcp_servers", &self.mcp_servers),
            ("/network_access", &self.network_access),
            ("/parallel_tool_calls", &self.parallel_tool_calls),
        ]);
        let harness_id = match &self.harness_id {
            // The id stands for one that was not found, which ends the request below.
            Some(reference) => harness_id(app, org, &mut checks, reference).await?.unwrap_or(HarnessId::from_uuid(app.moments.uuid())),
            None => resolve::base_harness(app, org).await?,
        };
        let default_model_id = checks.model(app, org, "/default_model_id", self.default_model_id.as_deref()).await?;
        let now = app.moments.now();
        let mut agent = Agent {
            id: existing.map(|agent| agent.id).or(self.id).unwrap_or_else(|| AgentId::from_uuid(app.moments.uuid())),
            name: self.name,
            display_name: self.display_name,
            description: self.description,
            system_prompt: self.system_prompt,
            harness_id,
            default_model_id,
            capabilities: self.capabilities,
            tools: self.tools,
            max_iterations: self.max_iterations,
            initial_files: self.initial_files,
            tags: self.tags,
            status: ResourceStatus::Active,
            version: existing.map_or(1, |agent| agent.version),
            created_at: existing.map_or(now, |agent| agent.created_at),
            updated_at: now,
        };
        let stored = existing.map(|agent| agent.capabilities.as_slice()).unwrap_or_default();
        checks.assigned_capabilities(app, caller, &mut agent.capabilities, stored).await?;
        check(checks, &agent)?;
        Ok(agent)
    }
}

/// The agent that a create request replaces.
async fn existing(app: &App, org: OrgId, request: &CreateAgent) -> Result<Option<Agent>, Problem> {
    let by_name = app.stores.agent_store.find_agent(org, &request.name).await?;
    let Some(id) = request.id else { return Ok(by_name) };
    let by_id = app.stores.agent_store.get_agent(org, id).await?;
    match by_name {
        Some(other) if other.id != id => {
            Err(Problem::conflict("duplicate", format!("the name {:?} belongs to {}, not to {id}", other.name, other.id)))
        }
        _ => Ok(by_id),
    }
}

async fn answer(app: &App, org: OrgId, agent: Agent) -> Tagged<Json<AgentBody>> {
    let redaction = Redaction::of(app, org, configured([&agent.capabilities])).await;
    Tagged(agent.version, Json(AgentBody::new(agent, &redaction)))
}

async fn store(app: &App, org: OrgId, agent: &mut Agent) -> Result<(), StoreError> {
    agent.version += 1;
    agent.updated_at = app.moments.now();
    app.stores.agent_store.update_agent(org, agent.clone()).await
}

/// The harness that a body names; a finding if it cannot be used.
pub(super) async fn harness_id(app: &App, org: OrgId, checks: &mut Checks, reference: &str) -> Result<Option<HarnessId>, Problem> {
    let store = &app.stores.harness_store;
    let found = match reference.parse() {
        Ok(id) => store.get_harness(org, id).await?,
        Err(_) => store.find_harness(org, reference).await?,
    };
    match &found {
        None => checks.add(Finding::at("/harness_id", "unknown_harness", format!("harness {:?} does not exist", shown(reference)))),
        Some(harness) if harness.status == ResourceStatus::Archived => {
            checks.add(Finding::at("/harness_id", "archived", format!("harness {:?} is archived", harness.name)));
        }
        Some(_) => {}
    }
    Ok(found.map(|harness| harness.id))
}

fn check(mut checks: Checks, agent: &Agent) -> Result<(), Problem> {
    checks.name("/name", &agent.name);
    checks.title("/display_name", agent.display_name.as_deref());
    checks.description(agent.description.as_deref());
    checks.system_prompt(Some(&agent.system_prompt));
    checks.client_tools(&agent.tools);
    checks.initial_files(&agent.initial_files);
    checks.tags(&agent.tags);
    checks.max_iterations(agent.max_iterations);
    checks.finish()
}
