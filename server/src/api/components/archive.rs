//! Archiving: components and versions that nobody uses, and the deletion of their bytes.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use everwit_runtime::component::{Component, ComponentKind};
use everwit_runtime::harness::{CapabilityConfig, ResourceStatus, VersionChoice};
use everwit_runtime::id::OrgId;
use everwit_runtime::limits::MAX_PAGE;
use everwit_runtime::provider::Provider;
use everwit_runtime::store::Page;
use utoipa::IntoParams;

use super::version;
use crate::api::extract::{FromParams, Params, Query};
use crate::api::{App, resolve};
use crate::auth::Caller;
use crate::problem::Problem;

/// Users of a component that a refusal to archive names.
const MAX_NAMED_USERS: usize = 20;

/// How to archive.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ArchiveParams {
    /// Archive although harnesses, agents or providers use it.
    #[param(default = false)]
    force: Option<bool>,
}

impl FromParams for ArchiveParams {
    fn from_params(params: &mut Params) -> Self {
        Self { force: params.one("force", "true or false") }
    }
}

/// Archive a component
///
/// New turns do not get it any more. Refused while harnesses, agents or providers use it, unless forced.
/// Activating a version brings it back. Its bytes are deleted after seven days, or as soon as an upload needs the room, once
/// no open turn uses them.
#[utoipa::path(
    delete,
    path = "/components/{component}",
    tag = "components",
    params(("component" = String, Path, description = "Id or name"), ArchiveParams),
    responses(
        (status = 204, description = "It is archived"),
        (status = 409, description = "Harnesses, agents or providers use it"),
    ),
)]
pub(crate) async fn archive_component(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
    Query(params): Query<ArchiveParams>,
) -> Result<StatusCode, Problem> {
    let component = resolve::component(&app, caller.org, &reference).await?;
    if component.archived_at.is_none() {
        let users = users(&app, caller.org, &component, |_| true).await?;
        if !users.is_empty() && params.force != Some(true) {
            let detail = format!("{:?} is used by {}; to archive it all the same: ?force=true", component.name, users.join(", "));
            return Err(Problem::conflict("in_use", detail));
        }
        app.stores.component_store.archive_component(caller.org, component.id, app.moments.now()).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Archive a version
///
/// New turns do not get it any more. Refused while it is the active one or in a channel, and while a harness or an agent asks for it by its
/// number. Activating it brings it back, and so does uploading the same bytes, which are deleted after seven days, or as soon as an
/// upload needs the room, once no open turn uses them.
#[utoipa::path(
    delete,
    path = "/components/{component}/versions/{version}",
    tag = "components",
    params(
        ("component" = String, Path, description = "Id or name"),
        ("version" = u32, Path, description = "Number"),
    ),
    responses(
        (status = 204, description = "It is archived"),
        (status = 409, description = "It is active, in a channel, or a harness or an agent asks for it"),
    ),
)]
pub(crate) async fn archive_version(
    State(app): State<App>,
    caller: Caller,
    Path((reference, number)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let component = resolve::component(&app, caller.org, &reference).await?;
    let number = version(&app, caller.org, &component, &number).await?.version;
    let pinned = |entry: &CapabilityConfig| entry.choice() == Some(VersionChoice::Version(number));
    let users = users(&app, caller.org, &component, pinned).await?;
    if !users.is_empty() {
        let detail = format!("version {number} of {:?} is asked for by {}; change those first", component.name, users.join(", "));
        return Err(Problem::conflict("in_use", detail));
    }
    app.stores.component_store.archive_version(caller.org, component.id, number, app.moments.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Who has the capability by an entry of that kind (active harnesses and agents) or uses the driver
/// (providers), the first few of them.
pub(super) async fn users(
    app: &App,
    org: OrgId,
    component: &Component,
    by: impl Fn(&CapabilityConfig) -> bool,
) -> Result<Vec<String>, Problem> {
    let (kind, name) = (component.kind, &component.name);
    let uses = |status: ResourceStatus, list: &[CapabilityConfig]| {
        kind == ComponentKind::Capability
            && status == ResourceStatus::Active
            && list.iter().any(|entry| entry.id.eq_ignore_ascii_case(name) && by(entry))
    };
    let (mut users, mut offset) = (Vec::new(), 0);
    loop {
        let page = Page { offset, limit: MAX_PAGE };
        let harnesses = app.stores.harness_store.list_harnesses(org, page).await?;
        let agents = app.stores.agent_store.list_agents(org, page).await?;
        let providers = app.stores.provider_store.list_providers(org, page).await?;
        let last = harnesses.items.len().max(agents.items.len()).max(providers.items.len()) < MAX_PAGE as usize;
        users.extend(harnesses.items.into_iter().filter(|it| uses(it.status, &it.capabilities)).map(|it| format!("harness {}", it.name)));
        users.extend(agents.items.into_iter().filter(|it| uses(it.status, &it.capabilities)).map(|it| format!("agent {}", it.name)));
        let by_type = |it: &Provider| {
            kind == ComponentKind::Driver && by(&CapabilityConfig::new(&**name)) && it.provider_type.as_str().eq_ignore_ascii_case(name)
        };
        users.extend(providers.items.into_iter().filter(by_type).map(|it| format!("provider {}", it.name)));
        if last || users.len() >= MAX_NAMED_USERS {
            users.truncate(MAX_NAMED_USERS);
            return Ok(users);
        }
        offset += MAX_PAGE;
    }
}
