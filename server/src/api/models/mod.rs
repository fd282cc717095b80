//! Models: what turns are run with.

mod body;
mod sync;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use everwit_runtime::id::{ModelId, OrgId, ProviderId};
use everwit_runtime::provider::{Model, ModelSource};
use everwit_runtime::store::Listing;
use utoipa::IntoParams;

use crate::api::check::{Checks, shown};
use crate::api::extract::{FromParams, IfMatch, JsonBody, Params, Query, Tagged};
use crate::api::idempotency::{Once, Replayed};
use crate::api::page::{List, PageParams, Search, filtered};
use crate::api::{App, resolve};
use crate::auth::Caller;
use crate::problem::{Finding, Problem};
use body::{CreateModel, ModelBody, UpdateModel};
pub(crate) use sync::{__path_sync_models, sync_models};

/// Longest name of a model, in bytes.
const MAX_MODEL_NAME_BYTES: usize = 256;
/// Capabilities of one model.
const MAX_MODEL_CAPABILITIES: usize = 50;
/// Largest profile, as JSON, in bytes.
const MAX_PROFILE_BYTES: usize = 16 << 10;

/// Which models.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ModelFilter {
    /// Only models that the org knows from there.
    source: Option<ModelSource>,
    /// Also models that the provider's list has no more.
    #[param(default = false)]
    include_stale: Option<bool>,
    /// Only favorites.
    #[param(default = false)]
    favorites_only: Option<bool>,
}

impl FromParams for ModelFilter {
    fn from_params(params: &mut Params) -> Self {
        let source = params.one::<String>("source", "manual, discovered or predefined").and_then(|word| {
            let parsed = serde_json::from_value(word.clone().into()).ok();
            if parsed.is_none() {
                let shown = shown(&word);
                params.refuse("invalid_parameter", format!("source is {shown:?}; it must be manual, discovered or predefined"));
            }
            parsed
        });
        let mut flag = |name| params.one(name, "true or false");
        Self { source, include_stale: flag("include_stale"), favorites_only: flag("favorites_only") }
    }
}

impl ModelFilter {
    fn matches(&self, model: &Model) -> bool {
        let of_source = self.source.is_none_or(|source| source == model.source);
        of_source && (!model.stale || self.include_stale == Some(true)) && (model.is_favorite || self.favorites_only != Some(true))
    }
}

/// List models
#[utoipa::path(
    get,
    path = "/models",
    tag = "models",
    params(PageParams, Search, ModelFilter),
    responses((status = 200, body = List<ModelBody>)),
)]
pub(crate) async fn list_models(
    State(app): State<App>,
    caller: Caller,
    Query((page, filters)): Query<(PageParams, (Search, ModelFilter))>,
) -> Result<Json<List<ModelBody>>, Problem> {
    list(&app, caller.org, None, page, &filters).await
}

/// List the models of a provider
#[utoipa::path(
    get,
    path = "/providers/{provider}/models",
    tag = "models",
    params(("provider" = String, Path, description = "Id or name"), PageParams, Search, ModelFilter),
    responses((status = 200, body = List<ModelBody>)),
)]
pub(crate) async fn list_models_of_provider(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
    Query((page, filters)): Query<(PageParams, (Search, ModelFilter))>,
) -> Result<Json<List<ModelBody>>, Problem> {
    let provider = resolve::provider(&app, caller.org, &reference).await?.id;
    list(&app, caller.org, Some(provider), page, &filters).await
}

async fn list(
    app: &App,
    org: OrgId,
    provider: Option<ProviderId>,
    page: PageParams,
    (search, filter): &(Search, ModelFilter),
) -> Result<Json<List<ModelBody>>, Problem> {
    let page = page.into();
    let list = |page| app.stores.provider_store.list_models(org, provider, page);
    let wanted = |model: &Model| filter.matches(model) && search.matches([Some(&*model.model_id), Some(&*model.display_name)]);
    let Listing { items, total } = filtered(page, list, wanted).await?;
    let mut bodies = Vec::with_capacity(items.len());
    for model in items {
        bodies.push(body(app, org, model).await?);
    }
    Ok(Json(List { data: bodies, total, offset: page.offset.into(), limit: page.limit.into() }))
}

/// A model as it is answered.
async fn body(app: &App, org: OrgId, model: Model) -> Result<ModelBody, Problem> {
    let provider = app.stores.provider_store.get_provider(org, model.provider_id).await?;
    // A provider goes with its models: this one has just gone.
    let provider = provider.ok_or_else(|| Problem::not_found("model", &model.id.to_string()))?;
    let has_driver = app.drivers.has_driver(org, &provider.provider_type).await?;
    Ok(ModelBody::new(model, provider, has_driver))
}

/// Add a model to a provider
#[utoipa::path(
    post,
    path = "/providers/{provider}/models",
    tag = "models",
    params(
        ("provider" = String, Path, description = "Id or name"),
        ("Idempotency-Key" = Option<String>, Header, description = "Name of the request; a repetition within a day has no second effect"),
    ),
    request_body = CreateModel,
    responses((status = 201, body = ModelBody), (status = 409, description = "The provider has a model of that name")),
)]
pub(crate) async fn create_model(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
    Once { body: request, key }: Once<CreateModel>,
) -> Result<(StatusCode, Replayed<Tagged<Json<ModelBody>>>), Problem> {
    let provider = resolve::provider(&app, caller.org, &reference).await?.id;
    let mut model = request.into_model(&app, provider)?;
    let claimed = key.claim(&app, caller.org).await?;
    model.id = ModelId::from_uuid(claimed.id);
    if claimed.repeated
        && let Some(made) = app.stores.provider_store.get_model(caller.org, model.id).await?
    {
        return Ok((StatusCode::CREATED, Replayed(true, Tagged(made.version, Json(body(&app, caller.org, made).await?)))));
    }
    app.stores.provider_store.add_model(caller.org, model.clone()).await?;
    Ok((StatusCode::CREATED, Replayed(false, Tagged(model.version, Json(body(&app, caller.org, model).await?)))))
}

/// Read a model
#[utoipa::path(
    get,
    path = "/models/{model}",
    tag = "models",
    params(("model" = String, Path, description = "Id")),
    responses((status = 200, body = ModelBody)),
)]
pub(crate) async fn get_model(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
) -> Result<Tagged<Json<ModelBody>>, Problem> {
    let model = resolve::model(&app, caller.org, &reference).await?;
    Ok(Tagged(model.version, Json(body(&app, caller.org, model).await?)))
}

/// Change a model
#[utoipa::path(
    patch,
    path = "/models/{model}",
    tag = "models",
    params(
        ("model" = String, Path, description = "Id"),
        ("If-Match" = Option<String>, Header, description = "ETag that the model must have"),
    ),
    request_body = UpdateModel,
    responses(
        (status = 200, body = ModelBody),
        (status = 409, description = "The provider has a model of that name"),
        (status = 412, description = "Not at the version of If-Match"),
    ),
)]
pub(crate) async fn update_model(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
    if_match: IfMatch,
    JsonBody(request): JsonBody<UpdateModel>,
) -> Result<Tagged<Json<ModelBody>>, Problem> {
    let mut model = resolve::model(&app, caller.org, &reference).await?;
    if_match.check(model.version)?;
    let mut checks = Checks::default();
    if let Some(provider) = &request.provider_id {
        model.provider_id = provider_id(&app, caller.org, &mut checks, provider).await?.unwrap_or(model.provider_id);
    }
    request.apply(&mut model);
    check(checks, &model)?;
    model.version += 1;
    model.updated_at = app.moments.now();
    let updated = app.stores.provider_store.update_model(caller.org, model.clone()).await;
    updated.map_err(|error| if_match.lost(error))?;
    Ok(Tagged(model.version, Json(body(&app, caller.org, model).await?)))
}

/// Delete a model
///
/// What names it goes on with the next one in line: agent, harness, org, platform.
#[utoipa::path(
    delete,
    path = "/models/{model}",
    tag = "models",
    params(
        ("model" = String, Path, description = "Id"),
        ("If-Match" = Option<String>, Header, description = "ETag that the model must have"),
    ),
    responses(
        (status = 204, description = "It is deleted"),
        (status = 409, description = "Somebody else changed it at the same time"),
        (status = 412, description = "Not at the version of If-Match"),
    ),
)]
pub(crate) async fn delete_model(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
    if_match: IfMatch,
) -> Result<StatusCode, Problem> {
    let model = resolve::model(&app, caller.org, &reference).await?;
    if_match.check(model.version)?;
    let removed = app.stores.provider_store.remove_model(caller.org, model.id, model.version).await;
    removed.map_err(|error| if_match.lost(error))?;
    Ok(StatusCode::NO_CONTENT)
}

impl CreateModel {
    fn into_model(self, app: &App, provider_id: ProviderId) -> Result<Model, Problem> {
        let now = app.moments.now();
        let model = Model {
            id: ModelId::from_uuid(app.moments.uuid()),
            provider_id,
            display_name: self.display_name.unwrap_or_else(|| self.model_id.clone()),
            model_id: self.model_id,
            capabilities: self.capabilities,
            profile: self.profile,
            enabled: self.enabled,
            is_favorite: self.is_favorite,
            is_default: self.is_default,
            source: ModelSource::Manual,
            stale: false,
            version: 1,
            created_at: now,
            updated_at: now,
        };
        check(Checks::default(), &model)?;
        Ok(model)
    }
}

async fn provider_id(app: &App, org: OrgId, checks: &mut Checks, reference: &str) -> Result<Option<ProviderId>, Problem> {
    let store = &app.stores.provider_store;
    let found = match reference.parse() {
        Ok(id) => store.get_provider(org, id).await?,
        Err(_) => store.find_provider(org, reference).await?,
    };
    if found.is_none() {
        checks.add(Finding::at("/provider_id", "unknown_provider", format!("provider {:?} does not exist", shown(reference))));
    }
    Ok(found.map(|provider| provider.id))
}

fn check(mut checks: Checks, model: &Model) -> Result<(), Problem> {
    for (pointer, name) in [("/model_id", &model.model_id), ("/display_name", &model.display_name)] {
        if name.trim().is_empty() || name.len() > MAX_MODEL_NAME_BYTES {
            let detail = format!("the name of a model has 1 to {MAX_MODEL_NAME_BYTES} bytes and is not blank");
            checks.add(Finding::at(pointer, "invalid_name", detail));
        }
    }
    let long = |word: &String| word.is_empty() || word.len() > MAX_MODEL_NAME_BYTES;
    if model.capabilities.len() > MAX_MODEL_CAPABILITIES || model.capabilities.iter().any(long) {
        let detail = format!("at most {MAX_MODEL_CAPABILITIES} words of 1 to {MAX_MODEL_NAME_BYTES} bytes");
        checks.add(Finding::at("/capabilities", "invalid_capabilities", detail));
    }
    let profile = serde_json::to_string(&model.profile).unwrap_or_default();
    checks.text("/profile", Some(&profile), MAX_PROFILE_BYTES);
    checks.finish()
}
