//! Agents: domain configuration on top of a harness.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use everwit_runtime::agent::Agent;
use everwit_runtime::harness::{CapabilityConfig, ResourceStatus};
use everwit_runtime::id::{AgentId, HarnessId, OrgId};
use everwit_runtime::store::StoreError;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::check::{Checks, Unsupported, shown};
use super::extract::{IfMatch, IfNoneMatch, JsonBody, Query, Tagged, given, present};
use super::idempotency::{Once, Replayed};
use super::page::{List, PageParams, Search, filtered};
use super::{App, resolve};
use crate::auth::Caller;
use crate::problem::{Finding, Problem};
use crate::seed;

/// A new agent.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = CreateAgentRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateAgent {
    /// Id of the caller's choice; the server makes one if absent.
    #[schema(value_type = Option<String>, pattern = "^agent_[0-9a-f]{32}$")]
    id: Option<AgentId>,
    /// Name, unique in the org: lower-case words joined by hyphens, at most 64 bytes.
    #[schema(example = "support-agent")]
    name: String,
    /// Name for people.
    display_name: Option<String>,
    /// What it is for.
    description: Option<String>,
    /// Prompt, appended to the harness chain's.
    #[schema(example = "You answer questions about orders.")]
    system_prompt: String,
    /// Id or name of the harness that it runs on; the base harness if absent.
    #[serde(alias = "harness", alias = "harness_name")]
    harness_id: Option<String>,
    /// Its capabilities, in addition to the harness chain's.
    #[serde(default)]
    capabilities: Vec<CapabilityConfig>,
    /// Most model calls of one turn.
    max_iterations: Option<u32>,
    /// Free-form labels.
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    #[schema(ignore)]
    default_model_id: Unsupported,
    #[serde(default)]
    #[schema(ignore)]
    initial_files: Unsupported,
    #[serde(default, alias = "mcpServers")]
    #[schema(ignore)]
    mcp_servers: Unsupported,
    #[serde(default)]
    #[schema(ignore)]
    network_access: Unsupported,
    #[serde(default)]
    #[schema(ignore)]
    parallel_tool_calls: Unsupported,
    #[serde(default)]
    #[schema(ignore)]
    tools: Unsupported,
}

/// What to change of an agent: absent fields stay, null clears.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = UpdateAgentRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateAgent {
    /// Name.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = String, required = false)]
    name: Option<String>,
    /// Name for people.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    display_name: Option<Option<String>>,
    /// What it is for.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    description: Option<Option<String>>,
    /// Prompt, appended to the harness chain's.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = String, required = false)]
    system_prompt: Option<String>,
    /// Id or name of the harness that it runs on.
    #[serde(default, alias = "harness", deserialize_with = "given")]
    #[schema(value_type = String, required = false)]
    harness_id: Option<String>,
    /// Its capabilities, all of them.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Vec<CapabilityConfig>, required = false)]
    capabilities: Option<Vec<CapabilityConfig>>,
    /// Most model calls of one turn.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u32>)]
    max_iterations: Option<Option<u32>>,
    /// Free-form labels, all of them.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Vec<String>, required = false)]
    tags: Option<Vec<String>>,
    /// `active` brings an archived agent back.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = ResourceStatus, required = false)]
    status: Option<ResourceStatus>,
}

/// An agent.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Agent)]
pub(crate) struct AgentBody {
    /// Id.
    id: AgentId,
    /// Name, unique in the org.
    name: String,
    /// Name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    display_name: Option<String>,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    /// Prompt, appended to the harness chain's.
    system_prompt: String,
    /// The harness that it runs on.
    harness_id: HarnessId,
    /// Its capabilities, in addition to the harness chain's.
    capabilities: Vec<CapabilityConfig>,
    /// Most model calls of one turn; the platform's default if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_iterations: Option<u32>,
    /// Free-form labels.
    tags: Vec<String>,
    /// Whether it can be used.
    status: ResourceStatus,
    /// When it was created.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl From<Agent> for AgentBody {
    fn from(agent: Agent) -> Self {
        Self {
            id: agent.id,
            name: agent.name,
            display_name: agent.display_name,
            description: agent.description,
            system_prompt: agent.system_prompt,
            harness_id: agent.harness_id,
            capabilities: agent.capabilities,
            max_iterations: agent.max_iterations,
            tags: agent.tags,
            status: agent.status,
            created_at: agent.created_at,
            updated_at: agent.updated_at,
        }
    }
}

/// List agents
#[utoipa::path(get, path = "/agents", tag = "agents", params(PageParams, Search), responses((status = 200, body = List<AgentBody>)))]
pub(crate) async fn list_agents(
    State(app): State<App>,
    caller: Caller,
    Query((page, search)): Query<(PageParams, Search)>,
) -> Result<Json<List<AgentBody>>, Problem> {
    let page = page.into();
    let list = |page| app.stores.agent_store.list_agents(caller.org, page);
    let wanted = |agent: &Agent| search.matches([Some(&*agent.name), agent.display_name.as_deref(), agent.description.as_deref()]);
    let listing = if search.is_empty() { list(page).await? } else { filtered(page, list, wanted).await? };
    Ok(Json(List::new(listing, page, Into::into)))
}

/// Create or replace an agent
///
/// An id or a name that exists already is replaced by what is sent, and the answer is 200: the
/// same call can be repeated until the agent is as described. `If-None-Match: *` refuses to
/// replace.
#[utoipa::path(post, path = "/agents", tag = "agents", params(("If-None-Match" = Option<String>, Header, description = "`*`: only if neither id nor name exists"), ("Idempotency-Key" = Option<String>, Header, description = "Name of the request; a repetition within a day has no second effect")), request_body = CreateAgent, responses((status = 201, body = AgentBody), (status = 200, description = "It existed and is replaced", body = AgentBody), (status = 409, description = "Id and name belong to different agents"), (status = 412, description = "It exists, and If-None-Match forbids to replace it")))]
pub(crate) async fn create_agent(
    State(app): State<App>,
    caller: Caller,
    if_none_match: IfNoneMatch,
    Once { body, key }: Once<CreateAgent>,
) -> Result<(StatusCode, Replayed<Tagged<Json<AgentBody>>>), Problem> {
    let existing = existing(&app, caller.org, &body).await?;
    let wanted = existing.as_ref().map(|agent| agent.id).or(body.id);
    let mut agent = body.into_agent(&app, caller.org, existing.as_ref()).await?;
    let claimed = key.claim(&app, caller.org).await?;
    let id = AgentId::from_uuid(claimed.id);
    if claimed.repeated
        && let Some(agent) = app.stores.agent_store.get_agent(caller.org, id).await?
    {
        return Ok((StatusCode::CREATED, Replayed(true, Tagged(agent.version, Json(agent.into())))));
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
    Ok((status, Replayed(false, Tagged(agent.version, Json(agent.into())))))
}

/// Read an agent
#[utoipa::path(get, path = "/agents/{agent}", tag = "agents", params(("agent" = String, Path, description = "Id or name")), responses((status = 200, body = AgentBody)))]
pub(crate) async fn get_agent(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
) -> Result<Tagged<Json<AgentBody>>, Problem> {
    let agent = resolve::agent(&app, caller.org, &reference).await?;
    Ok(Tagged(agent.version, Json(agent.into())))
}

/// Change an agent
#[utoipa::path(patch, path = "/agents/{agent}", tag = "agents", params(("agent" = String, Path, description = "Id or name"), ("If-Match" = Option<String>, Header, description = "ETag that the agent must have")), request_body = UpdateAgent, responses((status = 200, body = AgentBody), (status = 409, description = "The name is taken"), (status = 412, description = "Not at the version of If-Match")))]
pub(crate) async fn update_agent(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
    if_match: IfMatch,
    JsonBody(request): JsonBody<UpdateAgent>,
) -> Result<Tagged<Json<AgentBody>>, Problem> {
    let mut agent = resolve::agent(&app, caller.org, &reference).await?;
    if_match.check(agent.version)?;
    let mut checks = Checks::default();
    if let Some(harness) = &request.harness_id {
        agent.harness_id = harness_id(&app, caller.org, &mut checks, harness).await?.unwrap_or(agent.harness_id);
    }
    checks.changed_capabilities(&app, caller.org, request.capabilities.as_deref()).await?;
    request.apply(&mut agent);
    check(checks, &agent)?;
    store(&app, caller.org, &mut agent).await.map_err(|error| if_match.lost(error))?;
    Ok(Tagged(agent.version, Json(agent.into())))
}

/// Archive an agent
///
/// It cannot be assigned any more. `PATCH` with status `active` brings it back.
#[utoipa::path(delete, path = "/agents/{agent}", tag = "agents", params(("agent" = String, Path, description = "Id or name"), ("If-Match" = Option<String>, Header, description = "ETag that the agent must have")), responses((status = 204, description = "It is archived"), (status = 412, description = "Not at the version of If-Match")))]
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

impl CreateAgent {
    async fn into_agent(self, app: &App, org: OrgId, existing: Option<&Agent>) -> Result<Agent, Problem> {
        let mut checks = Checks::default();
        checks.unsupported(&[
            ("/default_model_id", &self.default_model_id),
            ("/initial_files", &self.initial_files),
            ("/mcp_servers", &self.mcp_servers),
            ("/network_access", &self.network_access),
            ("/parallel_tool_calls", &self.parallel_tool_calls),
            ("/tools", &self.tools),
        ]);
        let base = seed::base_harness(&app.stores, &app.moments, org).await?.id;
        let harness_id = match &self.harness_id {
            Some(reference) => harness_id(app, org, &mut checks, reference).await?.unwrap_or(base),
            None => base,
        };
        let now = app.moments.now();
        let agent = Agent {
            id: existing.map(|agent| agent.id).or(self.id).unwrap_or_else(|| AgentId::from_uuid(app.moments.uuid())),
            name: self.name,
            display_name: self.display_name,
            description: self.description,
            system_prompt: self.system_prompt,
            harness_id,
            capabilities: self.capabilities,
            max_iterations: self.max_iterations,
            tags: self.tags,
            status: ResourceStatus::Active,
            version: existing.map_or(1, |agent| agent.version),
            created_at: existing.map_or(now, |agent| agent.created_at),
            updated_at: now,
        };
        checks.capabilities(app, org, &agent.capabilities).await?;
        check(checks, &agent)?;
        Ok(agent)
    }
}

impl UpdateAgent {
    fn apply(self, agent: &mut Agent) {
        if let Some(name) = self.name {
            agent.name = name;
        }
        if let Some(display_name) = self.display_name {
            agent.display_name = display_name;
        }
        if let Some(description) = self.description {
            agent.description = description;
        }
        if let Some(system_prompt) = self.system_prompt {
            agent.system_prompt = system_prompt;
        }
        if let Some(capabilities) = self.capabilities {
            agent.capabilities = capabilities;
        }
        if let Some(max_iterations) = self.max_iterations {
            agent.max_iterations = max_iterations;
        }
        if let Some(tags) = self.tags {
            agent.tags = tags;
        }
        if let Some(status) = self.status {
            agent.status = status;
        }
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

async fn store(app: &App, org: OrgId, agent: &mut Agent) -> Result<(), StoreError> {
    agent.version += 1;
    agent.updated_at = app.moments.now();
    app.stores.agent_store.update_agent(org, agent.clone()).await
}

async fn harness_id(app: &App, org: OrgId, checks: &mut Checks, reference: &str) -> Result<Option<HarnessId>, Problem> {
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
    checks.tags(&agent.tags);
    checks.max_iterations(agent.max_iterations);
    checks.finish()
}
