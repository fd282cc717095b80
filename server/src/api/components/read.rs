//! Reading components and archiving them.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use everwit_runtime::component::ComponentKind;
use everwit_runtime::harness::{CapabilityConfig, ResourceStatus};
use everwit_runtime::id::OrgId;
use everwit_runtime::limits::MAX_PAGE;
use everwit_runtime::provider::Provider;
use everwit_runtime::store::Page;
use utoipa::IntoParams;

use super::{ComponentBody, VersionBody, version};
use crate::api::extract::{FromParams, Params, Query};
use crate::api::page::{List, PageParams};
use crate::api::{App, resolve};
use crate::auth::Caller;
use crate::problem::Problem;

/// Users of a component that a refusal to archive names.
const MAX_NAMED_USERS: usize = 20;

/// List components
#[utoipa::path(
    get,
    path = "/components",
    tag = "components",
    params(PageParams),
    responses((status = 200, body = List<ComponentBody>)),
)]
pub(crate) async fn list_components(
    State(app): State<App>,
    caller: Caller,
    Query(page): Query<PageParams>,
) -> Result<Json<List<ComponentBody>>, Problem> {
    let page = page.into();
    let listing = app.stores.component_store.list_components(caller.org, page).await?;
    Ok(Json(List::new(listing, page, Into::into)))
}

/// Read a component
#[utoipa::path(
    get,
    path = "/components/{component}",
    tag = "components",
    params(("component" = String, Path, description = "Id or name")),
    responses((status = 200, body = ComponentBody)),
)]
pub(crate) async fn get_component(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
) -> Result<Json<ComponentBody>, Problem> {
    Ok(Json(resolve::component(&app, caller.org, &reference).await?.into()))
}

/// List versions
///
/// Newest first.
#[utoipa::path(
    get,
    path = "/components/{component}/versions",
    tag = "components",
    params(("component" = String, Path, description = "Id or name"), PageParams),
    responses((status = 200, body = List<VersionBody>)),
)]
pub(crate) async fn list_versions(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
    Query(page): Query<PageParams>,
) -> Result<Json<List<VersionBody>>, Problem> {
    let page = page.into();
    let component = resolve::component(&app, caller.org, &reference).await?;
    let listing = app.stores.component_store.list_versions(caller.org, component.id, page).await?;
    Ok(Json(List::new(listing, page, |version| VersionBody::new(&component, version))))
}

/// Read a version
#[utoipa::path(
    get,
    path = "/components/{component}/versions/{version}",
    tag = "components",
    params(
        ("component" = String, Path, description = "Id or name"),
        ("version" = u32, Path, description = "Number"),
    ),
    responses((status = 200, body = VersionBody)),
)]
pub(crate) async fn get_version(
    State(app): State<App>,
    caller: Caller,
    Path((reference, number)): Path<(String, String)>,
) -> Result<Json<VersionBody>, Problem> {
    let component = resolve::component(&app, caller.org, &reference).await?;
    let version = version(&app, caller.org, &component, &number).await?;
    Ok(Json(VersionBody::new(&component, version)))
}

/// Download a version
#[utoipa::path(
    get,
    path = "/components/{component}/versions/{version}/wasm",
    tag = "components",
    operation_id = "download_version",
    params(
        ("component" = String, Path, description = "Id or name"),
        ("version" = u32, Path, description = "Number"),
    ),
    responses(
        (status = 200, description = "The bytes that were uploaded", content_type = "application/wasm", body = [u8]),
    ),
)]
pub(crate) async fn download_version(
    State(app): State<App>,
    caller: Caller,
    Path((reference, number)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let component = resolve::component(&app, caller.org, &reference).await?;
    let version = version(&app, caller.org, &component, &number).await?;
    let wasm = app.stores.component_store.read_wasm(caller.org, version.digest).await?;
    let wasm = wasm.ok_or_else(|| Problem::internal(format!("the bytes of {} are missing", version.digest)))?;
    let headers = [
        (CONTENT_TYPE, "application/wasm".to_owned()),
        (HeaderName::from_static("x-content-type-options"), "nosniff".to_owned()),
        (HeaderName::from_static("content-disposition"), format!("attachment; filename=\"{}-{}.wasm\"", component.name, version.version)),
    ];
    Ok((headers, wasm).into_response())
}

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
/// Activating a version brings it back.
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
        let users = users(&app, caller.org, component.kind, &component.name).await?;
        if !users.is_empty() && params.force != Some(true) {
            let detail = format!("{:?} is used by {}; to archive it all the same: ?force=true", component.name, users.join(", "));
            return Err(Problem::conflict("in_use", detail));
        }
        app.stores.component_store.archive_component(caller.org, component.id, app.moments.now()).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Who has the capability (active harnesses and agents) or uses the driver (providers), the first
/// few of them.
async fn users(app: &App, org: OrgId, kind: ComponentKind, name: &str) -> Result<Vec<String>, Problem> {
    let uses = |status: ResourceStatus, list: &[CapabilityConfig]| {
        kind == ComponentKind::Capability
            && status == ResourceStatus::Active
            && list.iter().any(|reference| reference.id.eq_ignore_ascii_case(name))
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
        let by_type = |it: &Provider| kind == ComponentKind::Driver && it.provider_type.as_str().eq_ignore_ascii_case(name);
        users.extend(providers.items.into_iter().filter(by_type).map(|it| format!("provider {}", it.name)));
        if last || users.len() >= MAX_NAMED_USERS {
            users.truncate(MAX_NAMED_USERS);
            return Ok(users);
        }
        offset += MAX_PAGE;
    }
}
