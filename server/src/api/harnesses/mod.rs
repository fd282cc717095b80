//! Harnesses: what agents run on.

mod body;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use everwit_runtime::harness::{Harness, ResourceStatus};
use everwit_runtime::id::{HarnessId, OrgId};
use everwit_runtime::limits::MAX_HARNESS_DEPTH;
use everwit_runtime::store::SeedKind;

use crate::api::check::Checks;
use crate::api::extract::{IfMatch, JsonBody, Query, Tagged};
use crate::api::idempotency::{Once, Replayed};
use crate::api::page::{Archived, List, PageParams, Search, filtered};
use crate::api::redacted::{Redaction, configured};
use crate::api::{App, resolve};
use crate::auth::Caller;
use crate::problem::{Finding, Problem};
use body::{CreateHarness, HarnessBody, UpdateHarness};

/// List harnesses
#[utoipa::path(
    get,
    path = "/harnesses",
    tag = "harnesses",
    params(PageParams, Search, Archived),
    responses((status = 200, body = List<HarnessBody>)),
)]
pub(crate) async fn list_harnesses(
    State(app): State<App>,
    caller: Caller,
    Query((page, search, archived)): Query<(PageParams, Search, Archived)>,
) -> Result<Json<List<HarnessBody>>, Problem> {
    let page = page.into();
    let listing = {
        let list = |page| app.stores.harness_store.list_harnesses(caller.org, page);
        let texts =
            |harness: &Harness| search.matches([Some(&*harness.name), harness.display_name.as_deref(), harness.description.as_deref()]);
        let wanted = |harness: &Harness| archived.lists(harness.status) && texts(harness);
        if search.is_empty() && archived.are_listed() { list(page).await? } else { filtered(page, list, wanted).await? }
    };
    let ids = configured(listing.items.iter().map(|harness| &harness.capabilities));
    let redaction = Redaction::of(&app, caller.org, ids).await;
    Ok(Json(List::new(listing, page, |harness| HarnessBody::new(harness, &redaction))))
}

/// Create a harness
#[utoipa::path(
    post,
    path = "/harnesses",
    tag = "harnesses",
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "Name of the request; a repetition within a day has no second effect"),
    ),
    request_body = CreateHarness,
    responses((status = 201, body = HarnessBody), (status = 409, description = "The name is taken")),
)]
pub(crate) async fn create_harness(
    State(app): State<App>,
    caller: Caller,
    Once { body, key }: Once<CreateHarness>,
) -> Result<(StatusCode, Replayed<Tagged<Json<HarnessBody>>>), Problem> {
    let mut harness = body.into_harness(&app, &caller).await?;
    let claimed = key.claim(&app, caller.org).await?;
    harness.id = HarnessId::from_uuid(claimed.id);
    if claimed.repeated
        && let Some(harness) = app.stores.harness_store.get_harness(caller.org, harness.id).await?
    {
        return Ok((StatusCode::CREATED, Replayed(true, answer(&app, caller.org, harness).await)));
    }
    app.stores.harness_store.add_harness(caller.org, harness.clone()).await?;
    Ok((StatusCode::CREATED, Replayed(false, answer(&app, caller.org, harness).await)))
}

/// Read a harness
#[utoipa::path(
    get,
    path = "/harnesses/{harness}",
    tag = "harnesses",
    params(("harness" = String, Path, description = "Id or name")),
    responses((status = 200, body = HarnessBody)),
)]
pub(crate) async fn get_harness(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
) -> Result<Tagged<Json<HarnessBody>>, Problem> {
    let harness = resolve::harness(&app, caller.org, &reference).await?;
    Ok(answer(&app, caller.org, harness).await)
}

/// Change a harness
#[utoipa::path(
    patch,
    path = "/harnesses/{harness}",
    tag = "harnesses",
    params(
        ("harness" = String, Path, description = "Id or name"),
        ("If-Match" = Option<String>, Header, description = "ETag that the harness must have"),
    ),
    request_body = UpdateHarness,
    responses(
        (status = 200, body = HarnessBody),
        (status = 409, description = "Built in, or the name is taken"),
        (status = 412, description = "Not at the version of If-Match"),
    ),
)]
pub(crate) async fn update_harness(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
    if_match: IfMatch,
    JsonBody(mut request): JsonBody<UpdateHarness>,
) -> Result<Tagged<Json<HarnessBody>>, Problem> {
    let mut harness = resolve::harness(&app, caller.org, &reference).await?;
    if_match.check(harness.version)?;
    refuse_built_in(&harness)?;
    let mut checks = Checks::default();
    if let Some(parent) = &request.parent_harness_id {
        harness.parent_harness_id = parent_id(&app, caller.org, &mut checks, parent.as_deref()).await?;
    }
    if let Some(model) = &request.default_model_id {
        harness.default_model_id = checks.model(&app, caller.org, "/default_model_id", model.as_deref()).await?;
    }
    checks.changed_capabilities(&app, &caller, request.capabilities.as_mut(), &harness.capabilities).await?;
    request.apply(&mut harness);
    check(&app, caller.org, checks, &harness).await?;
    store(&app, caller.org, &mut harness).await.map_err(|error| if_match.lost(error))?;
    Ok(answer(&app, caller.org, harness).await)
}

/// Archive a harness
///
/// It cannot be assigned any more. `PATCH` with status `active` brings it back.
#[utoipa::path(
    delete,
    path = "/harnesses/{harness}",
    tag = "harnesses",
    params(
        ("harness" = String, Path, description = "Id or name"),
        ("If-Match" = Option<String>, Header, description = "ETag that the harness must have"),
    ),
    responses(
        (status = 204, description = "It is archived"),
        (status = 409, description = "Built in"),
        (status = 412, description = "Not at the version of If-Match"),
    ),
)]
pub(crate) async fn archive_harness(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
    if_match: IfMatch,
) -> Result<StatusCode, Problem> {
    let mut harness = resolve::harness(&app, caller.org, &reference).await?;
    if_match.check(harness.version)?;
    refuse_built_in(&harness)?;
    if harness.status == ResourceStatus::Active {
        harness.status = ResourceStatus::Archived;
        store(&app, caller.org, &mut harness).await.map_err(|error| if_match.lost(error))?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Delete an archived harness
///
/// For good, and only if nothing refers to it any more: agents, harnesses and sessions on it have to go first.
#[utoipa::path(
    post,
    path = "/harnesses/{harness}/delete",
    tag = "harnesses",
    params(
        ("harness" = String, Path, description = "Id or name"),
        ("If-Match" = Option<String>, Header, description = "ETag that the harness must have"),
    ),
    responses(
        (status = 204, description = "It is deleted"),
        (status = 409, description = "Not archived, or in use"),
        (status = 412, description = "Not at the version of If-Match"),
    ),
)]
pub(crate) async fn delete_harness(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
    if_match: IfMatch,
) -> Result<StatusCode, Problem> {
    let harness = resolve::harness(&app, caller.org, &reference).await?;
    if_match.check(harness.version)?;
    if harness.status != ResourceStatus::Archived {
        let detail = format!("harness {:?} is not archived; archive it first, with DELETE", harness.name);
        return Err(Problem::conflict("not_archived", detail));
    }
    let setup = &app.stores.setup_store;
    let deleted = setup.delete_unused(caller.org, SeedKind::Harness, harness.id.uuid(), harness.version).await;
    deleted.map_err(|error| if_match.lost(error))?;
    Ok(StatusCode::NO_CONTENT)
}

impl CreateHarness {
    async fn into_harness(self, app: &App, caller: &Caller) -> Result<Harness, Problem> {
        let org = caller.org;
        let mut checks = Checks::default();
        checks.unsupported(&[
            ("/embedder_metadata", &self.embedder_metadata),
            ("/mcp_servers", &self.mcp_servers),
            ("/network_access", &self.network_access),
            ("/parallel_tool_calls", &self.parallel_tool_calls),
        ]);
        let parent_harness_id = parent_id(app, org, &mut checks, self.parent_harness_id.as_deref()).await?;
        let default_model_id = checks.model(app, org, "/default_model_id", self.default_model_id.as_deref()).await?;
        let now = app.moments.now();
        let mut harness = Harness {
            id: HarnessId::from_uuid(app.moments.uuid()),
            name: self.name,
            display_name: self.display_name,
            description: self.description,
            system_prompt: self.system_prompt,
            parent_harness_id,
            default_model_id,
            capabilities: self.capabilities,
            initial_files: self.initial_files,
            tags: self.tags,
            is_built_in: false,
            status: ResourceStatus::Active,
            version: 1,
            created_at: now,
            updated_at: now,
        };
        checks.assigned_capabilities(app, caller, &mut harness.capabilities, &[]).await?;
        check(app, org, checks, &harness).await?;
        Ok(harness)
    }
}

async fn answer(app: &App, org: OrgId, harness: Harness) -> Tagged<Json<HarnessBody>> {
    let redaction = Redaction::of(app, org, configured([&harness.capabilities])).await;
    Tagged(harness.version, Json(HarnessBody::new(harness, &redaction)))
}

async fn store(app: &App, org: OrgId, harness: &mut Harness) -> Result<(), everwit_runtime::store::StoreError> {
    harness.version += 1;
    harness.updated_at = app.moments.now();
    app.stores.harness_store.update_harness(org, harness.clone()).await
}

fn refuse_built_in(harness: &Harness) -> Result<(), Problem> {
    if !harness.is_built_in {
        return Ok(());
    }
    let detail = format!("harness {:?} is built in and cannot be changed; create one that has it as its parent", harness.name);
    Err(Problem::conflict("built_in", detail))
}

/// The harness that a body names as its parent; a finding if there is none.
pub(super) async fn parent_id(app: &App, org: OrgId, checks: &mut Checks, reference: Option<&str>) -> Result<Option<HarnessId>, Problem> {
    let Some(reference) = reference else { return Ok(None) };
    let store = &app.stores.harness_store;
    let found = match reference.parse() {
        Ok(id) => store.get_harness(org, id).await?,
        Err(_) => store.find_harness(org, reference).await?,
    };
    if found.is_none() {
        let detail = format!("harness {:?} does not exist", super::check::shown(reference));
        checks.add(Finding::at("/parent_harness_id", "unknown_harness", detail));
    }
    Ok(found.map(|harness| harness.id))
}

async fn check(app: &App, org: OrgId, mut checks: Checks, harness: &Harness) -> Result<(), Problem> {
    checks.name("/name", &harness.name);
    checks.title("/display_name", harness.display_name.as_deref());
    checks.description(harness.description.as_deref());
    checks.system_prompt(harness.system_prompt.as_deref());
    checks.initial_files(&harness.initial_files);
    checks.tags(&harness.tags);
    check_chain(app, org, &mut checks, harness).await?;
    checks.finish()
}

/// Follows the parents: the chain must end, and soon.
async fn check_chain(app: &App, org: OrgId, checks: &mut Checks, harness: &Harness) -> Result<(), Problem> {
    let mut next = harness.parent_harness_id;
    for _ in 1..MAX_HARNESS_DEPTH {
        let Some(id) = next else { return Ok(()) };
        if id == harness.id {
            checks.add(Finding::at("/parent_harness_id", "cycle", "the harness would be its own ancestor"));
            return Ok(());
        }
        next = app.stores.harness_store.get_harness(org, id).await?.and_then(|parent| parent.parent_harness_id);
    }
    if next.is_some() {
        let detail = format!("the chain of parents would be longer than {MAX_HARNESS_DEPTH}");
        checks.add(Finding::at("/parent_harness_id", "too_deep", detail));
    }
    Ok(())
}
