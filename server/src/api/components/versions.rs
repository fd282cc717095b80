//! What changes between versions, and the way back to an earlier one.

use axum::Json;
use axum::extract::{Path, State};
use everwit_runtime::component::{Component, ComponentVersion, VersionDiff};
use everwit_runtime::id::OrgId;
use everwit_runtime::limits::MAX_PAGE;
use everwit_runtime::store::{Activation, Note, Page};

use super::{VersionBody, activate, active_version, version};
use crate::api::{App, resolve};
use crate::auth::Caller;
use crate::problem::Problem;

/// Compare two versions
///
/// What the second asks for beyond the first and what no longer, and every text that a model
/// would see differently. Look at it before activating the second.
#[utoipa::path(
    get,
    path = "/components/{component}/versions/{from}/diff/{to}",
    tag = "components",
    params(
        ("component" = String, Path, description = "Id or name"),
        ("from" = u32, Path, description = "Number of the version that is replaced"),
        ("to" = u32, Path, description = "Number of the version that takes its place"),
    ),
    responses((status = 200, body = VersionDiff)),
)]
pub(crate) async fn diff_versions(
    State(app): State<App>,
    caller: Caller,
    Path((reference, from, to)): Path<(String, String, String)>,
) -> Result<Json<VersionDiff>, Problem> {
    let component = resolve::component(&app, caller.org, &reference).await?;
    let from = version(&app, caller.org, &component, &from).await?;
    let to = version(&app, caller.org, &component, &to).await?;
    Ok(Json(VersionDiff::between(&from, &to)))
}

/// Roll back
///
/// Activates the version that was active before the one that is active now and is not archived, with the grant and
/// the limits that it had. Turns that run keep their versions.
#[utoipa::path(
    post,
    path = "/components/{component}/rollback",
    tag = "components",
    params(("component" = String, Path, description = "Id or name")),
    responses(
        (status = 200, body = VersionBody),
        (status = 409, description = "No other version was ever active, or it is not signed as the org requires"),
    ),
)]
pub(crate) async fn roll_back(State(app): State<App>, caller: Caller, Path(reference): Path<String>) -> Result<Json<VersionBody>, Problem> {
    let component = resolve::component(&app, caller.org, &reference).await?;
    let Some(earlier) = last_active(&app, caller.org, &component).await? else {
        let detail = format!("no other version of {:?} was ever active; activate one by its number", component.name);
        return Err(Problem::conflict("no_earlier_version", detail));
    };
    let before = active_version(&app, caller.org, &component).await?.map(|active| active.digest);
    Note::replaces(before, Some(earlier.digest));
    let activation = Activation { channel: None, grant: earlier.grant.clone(), budget: earlier.budget, now: app.moments.now() };
    let (component, earlier) = activate(&app, caller.org, &component, earlier.version, activation).await?;
    Ok(Json(VersionBody::new(&component, earlier)))
}

/// The version that was activated last, the active one aside.
async fn last_active(app: &App, org: OrgId, component: &Component) -> Result<Option<ComponentVersion>, Problem> {
    let (mut latest, mut offset): (Option<ComponentVersion>, u32) = (None, 0);
    loop {
        let listing = app.stores.component_store.list_versions(org, component.id, Page { offset, limit: MAX_PAGE }).await?;
        let last_page = listing.items.len() < MAX_PAGE as usize;
        let others = listing.items.into_iter().filter(|version| Some(version.version) != component.active_version);
        latest = others
            .chain(latest)
            .filter(|version| version.activated_at.is_some() && version.is_usable())
            .max_by_key(|version| version.activated_at);
        if last_page {
            return Ok(latest);
        }
        offset += MAX_PAGE;
    }
}
