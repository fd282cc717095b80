//! Contexts: what fills a session's, and what a draft's would be. Nothing is stored here.

use axum::Json;
use axum::extract::{Path, State};
use everwit_runtime::agent::Agent;
use everwit_runtime::capability::RiskLevel;
use everwit_runtime::component::Effects;
use everwit_runtime::harness::{CapabilityConfig, Harness, ResourceStatus};
use everwit_runtime::id::{AgentId, HarnessId};
use everwit_runtime::turn::{ContextError, ContextReport, Contributor, TurnContext, context_report, preview_turn_context};
use everwit_runtime::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::check::{Checks, Unsupported};
use super::extract::JsonBody;
use super::{App, agents, harnesses, resolve};
use crate::auth::Caller;
use crate::problem::{Finding, Problem};

/// What the report calls a resource that has no name yet.
const DRAFT: &str = "draft";

/// A harness that is not stored.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = PreviewHarnessRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct PreviewHarness {
    /// Base prompt.
    system_prompt: Option<String>,
    /// Id or name of the harness that it extends.
    parent_harness_id: Option<String>,
    /// Its capabilities.
    #[serde(default)]
    capabilities: Vec<CapabilityConfig>,
    #[serde(default, alias = "mcpServers")]
    #[schema(ignore)]
    mcp_servers: Unsupported,
}

/// An agent that is not stored.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = PreviewAgentRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct PreviewAgent {
    /// Prompt, appended to the harness chain's.
    #[schema(example = "You answer questions about orders.")]
    system_prompt: String,
    /// Id or name of the harness that it runs on; the base harness if absent.
    #[serde(alias = "harness", alias = "harness_name")]
    harness_id: Option<String>,
    /// Its capabilities, in addition to the harness chain's.
    #[serde(default)]
    capabilities: Vec<CapabilityConfig>,
    #[serde(default, alias = "mcpServers")]
    #[schema(ignore)]
    mcp_servers: Unsupported,
    #[serde(default)]
    #[schema(ignore)]
    tools: Unsupported,
}

/// What a model would be sent at the start of a session.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ContextPreview {
    /// The whole system prompt.
    system_prompt: String,
    /// The tools, by name.
    tools: Vec<PreviewedTool>,
    /// Who contributes what, and how much of it.
    context: ContextReport,
    /// What is allowed and still worth a look.
    findings: Vec<Finding>,
}

/// A tool as a model would be offered it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PreviewedTool {
    /// Name as models know it.
    name: String,
    /// The capability that has it.
    capability_id: String,
    /// What it does.
    description: String,
    /// JSON Schema of the arguments object.
    #[schema(value_type = Object)]
    input_schema: Value,
    /// What it may do to the world.
    effects: Effects,
}

/// Report on a session's context
///
/// What a turn would send to the model now: estimated tokens by section and by contributor, and
/// which layer set each value. Also works before the first message.
#[utoipa::path(
    get,
    path = "/sessions/{session_id}/context-report",
    tag = "sessions",
    params(("session_id" = String, Path, description = "Id")),
    responses(
        (status = 200, body = ContextReport),
        (status = 409, description = "The session has no context now, for example because its harness is archived"),
    ),
)]
pub(crate) async fn get_context_report(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
) -> Result<Json<ContextReport>, Problem> {
    let session = resolve::session(&app, caller.org, &reference).await?.id;
    Ok(Json(context_report(app.turns.sources(), caller.org, session).await.map_err(Error::from)?))
}

/// Preview a harness
///
/// The prompt and the tools that sessions on such a harness would have. Nothing is stored.
#[utoipa::path(
    post,
    path = "/harnesses/preview",
    tag = "harnesses",
    request_body = PreviewHarness,
    responses((status = 200, body = ContextPreview)),
)]
pub(crate) async fn preview_harness(
    State(app): State<App>,
    caller: Caller,
    JsonBody(mut body): JsonBody<PreviewHarness>,
) -> Result<Json<ContextPreview>, Problem> {
    let mut checks = Checks::default();
    checks.unsupported(&[("/mcp_servers", &body.mcp_servers)]);
    checks.system_prompt(body.system_prompt.as_deref());
    let parent = harnesses::parent_id(&app, caller.org, &mut checks, body.parent_harness_id.as_deref()).await?;
    checks.capabilities(&app, caller.org, &mut body.capabilities, &[]).await?;
    checks.finish()?;
    let harness = draft_harness(&app, parent, body.system_prompt, body.capabilities);
    let asked = harness.capabilities.clone();
    let own = Contributor::from(&harness);
    let context = preview_turn_context(app.turns.sources(), caller.org, harness, None).await.map_err(refused)?;
    let findings = notable(&context, &asked, &own);
    Ok(Json(ContextPreview::new(&context, findings)))
}

/// Preview an agent
///
/// The prompt and the tools that sessions of such an agent would have. Nothing is stored.
#[utoipa::path(
    post,
    path = "/agents/preview",
    tag = "agents",
    request_body = PreviewAgent,
    responses((status = 200, body = ContextPreview)),
)]
pub(crate) async fn preview_agent(
    State(app): State<App>,
    caller: Caller,
    JsonBody(mut body): JsonBody<PreviewAgent>,
) -> Result<Json<ContextPreview>, Problem> {
    let mut checks = Checks::default();
    checks.unsupported(&[("/mcp_servers", &body.mcp_servers), ("/tools", &body.tools)]);
    checks.system_prompt(Some(&body.system_prompt));
    if let Some(reference) = &body.harness_id {
        agents::harness_id(&app, caller.org, &mut checks, reference).await?;
    }
    checks.capabilities(&app, caller.org, &mut body.capabilities, &[]).await?;
    checks.finish()?;
    let harness = match &body.harness_id {
        Some(reference) => resolve::harness(&app, caller.org, reference).await?,
        None => {
            let id = resolve::base_harness(&app, caller.org).await?;
            resolve::harness(&app, caller.org, &id.to_string()).await?
        }
    };
    let is_blank = body.system_prompt.trim().is_empty();
    let agent = draft_agent(&app, harness.id, body);
    let (asked, own) = (agent.capabilities.clone(), Contributor::from(&agent));
    let context = preview_turn_context(app.turns.sources(), caller.org, harness, Some(agent)).await.map_err(refused)?;
    let mut findings = notable(&context, &asked, &own);
    if is_blank {
        let detail = "the prompt is blank: the agent is what its harness and its capabilities make of it";
        findings.push(Finding::at("/system_prompt", "blank_prompt", detail));
    }
    Ok(Json(ContextPreview::new(&context, findings)))
}

impl ContextPreview {
    fn new(context: &TurnContext, findings: Vec<Finding>) -> Self {
        let tool = |name: &str| {
            let tool = context.tools.get(name)?;
            Some(PreviewedTool {
                name: name.to_owned(),
                capability_id: tool.capability.id().to_owned(),
                description: tool.definition.description.clone(),
                input_schema: tool.definition.input_schema.clone(),
                effects: tool.definition.effects,
            })
        };
        Self {
            system_prompt: context.runtime_agent.system_prompt.clone(),
            tools: context.tools.names().filter_map(tool).collect(),
            context: context.report(),
            findings,
        }
    }
}

/// What is worth a look in the capabilities that the draft itself asks for.
fn notable(context: &TurnContext, asked: &[CapabilityConfig], own: &Contributor) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, asked) in asked.iter().enumerate() {
        let id = asked.id.to_lowercase();
        let Some(origin) = context.provenance.capabilities.iter().find(|origin| origin.id == id) else { continue };
        let pointer = format!("/capabilities/{at}");
        let earlier = origin.listed_by.iter().find_map(|by| match by {
            Contributor::Harness { name, .. } if by != own => Some(name),
            _ => None,
        });
        if let (Some(harness), None) = (earlier, &asked.config) {
            let detail = format!("harness {harness:?} has capability {id:?} already");
            findings.push(Finding::at(pointer.clone(), "redundant_capability", detail).fix("leave it out"));
        }
        let risk = context.capability(&id).map(|capability| capability.risk_level());
        if risk == Some(RiskLevel::High) {
            let detail = format!("capability {id:?} can do much harm when a model misuses it");
            findings.push(Finding::at(pointer, "high_risk_capability", detail));
        }
    }
    findings
}

/// Why there is no preview: a finding about the draft, unless the server itself has a problem.
fn refused(error: ContextError) -> Problem {
    let code = error.code();
    let detail = error.to_string();
    match Error::from(error) {
        error if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Internal) => error.into(),
        _ => Problem::invalid(vec![Finding { code: code.into(), pointer: None, detail, fix: None }]),
    }
}

fn draft_harness(app: &App, parent: Option<HarnessId>, system_prompt: Option<String>, capabilities: Vec<CapabilityConfig>) -> Harness {
    let now = app.moments.now();
    Harness {
        initial_files: Vec::new(),
        default_model_id: None,
        id: HarnessId::from_uuid(app.moments.uuid()),
        name: DRAFT.to_owned(),
        display_name: None,
        description: None,
        system_prompt,
        parent_harness_id: parent,
        capabilities,
        tags: Vec::new(),
        is_built_in: false,
        status: ResourceStatus::Active,
        version: 1,
        created_at: now,
        updated_at: now,
    }
}

fn draft_agent(app: &App, harness_id: HarnessId, body: PreviewAgent) -> Agent {
    let now = app.moments.now();
    Agent {
        initial_files: Vec::new(),
        default_model_id: None,
        id: AgentId::from_uuid(app.moments.uuid()),
        name: DRAFT.to_owned(),
        display_name: None,
        description: None,
        system_prompt: body.system_prompt,
        harness_id,
        capabilities: body.capabilities,
        tools: Vec::new(),
        max_iterations: None,
        tags: Vec::new(),
        status: ResourceStatus::Active,
        version: 1,
        created_at: now,
        updated_at: now,
    }
}
