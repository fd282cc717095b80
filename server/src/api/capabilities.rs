//! Capabilities: what agents can be given. Built-ins and the org's active components.

use axum::Json;
use axum::extract::{Path, State};
use everwit_runtime::capability::{Capability, RiskLevel, ToolDefinition};
use everwit_runtime::component::{Component, ComponentVersion};
use everwit_runtime::id::{ComponentId, OrgId};
use everwit_runtime::store::Page;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::App;
use super::extract::Query;
use super::page::{List, PageParams, Search};
use crate::auth::Caller;
use crate::components::active_components;
use crate::problem::Problem;

/// A capability.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Capability)]
pub(crate) struct CapabilityBody {
    /// Id, as agents refer to it.
    id: String,
    /// Name for people.
    name: String,
    /// The same as `name`.
    display_name: String,
    /// What it is for.
    description: String,
    /// Always `available`.
    status: &'static str,
    /// Where it comes from.
    kind: CapabilityKind,
    /// The component that it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    component_id: Option<ComponentId>,
    /// The active version of the component.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u32>,
    /// Ids of capabilities that come with it.
    dependencies: Vec<String>,
    /// Flags for user interfaces.
    features: Vec<String>,
    /// JSON Schema of its configuration; absent accepts anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    config_schema: Option<Value>,
    /// How much harm it can do when a model misuses it: of a component, by what its active version is granted.
    risk_level: RiskLevel,
    /// Its tools.
    tools: Vec<ToolDefinition>,
}

/// Where a capability comes from.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CapabilityKind {
    /// The platform ships it.
    BuiltIn,
    /// The org uploaded it.
    Component,
}

impl From<&dyn Capability> for CapabilityBody {
    fn from(capability: &dyn Capability) -> Self {
        Self {
            id: capability.id().to_owned(),
            name: capability.name().to_owned(),
            display_name: capability.name().to_owned(),
            description: capability.description().to_owned(),
            status: "available",
            kind: CapabilityKind::BuiltIn,
            component_id: None,
            version: None,
            dependencies: capability.dependencies().to_vec(),
            features: Vec::new(),
            config_schema: capability.config_schema().cloned(),
            risk_level: capability.risk_level(),
            tools: capability.tools().to_vec(),
        }
    }
}

impl From<(Component, ComponentVersion)> for CapabilityBody {
    fn from((component, version): (Component, ComponentVersion)) -> Self {
        let description = version.description;
        let tool = |tool: everwit_runtime::component::ToolDescription| ToolDefinition {
            name: tool.name,
            title: tool.title,
            description: tool.description,
            input_schema: tool.input_schema,
            effects: tool.effects,
        };
        Self {
            id: component.name,
            name: description.title.clone(),
            display_name: description.title,
            description: description.summary,
            status: "available",
            kind: CapabilityKind::Component,
            component_id: Some(component.id),
            version: Some(version.version),
            dependencies: description.dependencies,
            features: description.features,
            config_schema: Some(description.config_schema),
            risk_level: version.grant.risk_level(),
            tools: description.tools.into_iter().map(tool).collect(),
        }
    }
}

/// List capabilities
#[utoipa::path(
    get,
    path = "/capabilities",
    tag = "capabilities",
    params(PageParams, Search),
    responses((status = 200, body = List<CapabilityBody>)),
)]
pub(crate) async fn list_capabilities(
    State(app): State<App>,
    caller: Caller,
    Query((page, search)): Query<(PageParams, Search)>,
) -> Result<Json<List<CapabilityBody>>, Problem> {
    let page: Page = page.into();
    let mut all = all(&app, caller.org).await?;
    all.retain(|capability| search.matches([&*capability.id, &*capability.name, &*capability.description].map(Some)));
    let total = all.len() as u64;
    let data = all.into_iter().skip(page.offset as usize).take(page.limit as usize).collect();
    Ok(Json(List { data, total, offset: page.offset.into(), limit: page.limit.into() }))
}

/// Read a capability
#[utoipa::path(
    get,
    path = "/capabilities/{capability_id}",
    tag = "capabilities",
    params(("capability_id" = String, Path, description = "Id")),
    responses((status = 200, body = CapabilityBody)),
)]
pub(crate) async fn get_capability(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<CapabilityBody>, Problem> {
    let found = all(&app, caller.org).await?.into_iter().find(|capability| capability.id.eq_ignore_ascii_case(&id));
    found.map(Json).ok_or_else(|| Problem::not_found("capability", &id))
}

/// All of an org, by id.
async fn all(app: &App, org: OrgId) -> Result<Vec<CapabilityBody>, Problem> {
    let mut all: Vec<CapabilityBody> = app.components.built_ins.list().map(|capability| (&**capability).into()).collect();
    all.extend(active_components(&app.stores, org).await?.into_iter().map(Into::into));
    all.sort_by(|one, other| one.id.cmp(&other.id));
    Ok(all)
}
