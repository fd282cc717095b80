//! Reading components.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderName;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use super::{ComponentBody, VersionBody, require_bytes, version};
use crate::api::extract::Query;
use crate::api::page::{List, PageParams};
use crate::api::{App, resolve};
use crate::auth::Caller;
use crate::problem::Problem;

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
        (status = 409, description = "The version was archived, and its bytes are deleted"),
    ),
)]
pub(crate) async fn download_version(
    State(app): State<App>,
    caller: Caller,
    Path((reference, number)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let component = resolve::component(&app, caller.org, &reference).await?;
    let version = version(&app, caller.org, &component, &number).await?;
    require_bytes(&component, &version)?;
    let wasm = app.stores.component_store.read_wasm(caller.org, version.digest).await?;
    let wasm = wasm.ok_or_else(|| Problem::internal(format!("the bytes of {} are missing", version.digest)))?;
    let headers = [
        (CONTENT_TYPE, "application/wasm".to_owned()),
        (HeaderName::from_static("x-content-type-options"), "nosniff".to_owned()),
        (HeaderName::from_static("content-disposition"), format!("attachment; filename=\"{}-{}.wasm\"", component.name, version.version)),
    ];
    Ok((headers, wasm).into_response())
}
