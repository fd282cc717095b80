//! Bringing the models of a provider in line with the vendor's list.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use everwit_runtime::Error;
use everwit_runtime::driver::profile::facts_of_list;
use everwit_runtime::driver::{DriverContext, DriverError, DriverErrorKind, ModelInfo};
use everwit_runtime::id::{ModelId, OrgId, ProviderId};
use everwit_runtime::limits::MAX_PAGE;
use everwit_runtime::provider::{Model, ModelSource, Provider};
use everwit_runtime::store::{Page, StoreError};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::{App, providers, resolve};
use crate::auth::Caller;
use crate::problem::Problem;

/// Models of one list; the largest marketplaces have several hundred.
const MAX_LISTED_MODELS: usize = 2_000;
/// How often one model is tried again because somebody else changed it at the same time.
const MAX_RACES: u32 = 3;

/// What a list changed.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = SyncModelsResponse)]
pub(crate) struct SyncOutcome {
    /// Models on the list.
    listed: usize,
    /// Models that are new here.
    added: usize,
    /// Discovered models of which the list says something new.
    updated: usize,
    /// Discovered models that the list has no more; they are kept, marked as stale.
    stale: usize,
}

/// Discover the models of a provider
///
/// Asks the vendor which models there are, and adds those that are new. What the org added or
/// changed stays. The request goes where the provider's completions go, and nowhere else.
#[utoipa::path(
    post,
    path = "/providers/{provider}/sync-models",
    tag = "providers",
    params(("provider" = String, Path, description = "Id or name")),
    responses(
        (status = 200, body = SyncOutcome),
        (status = 409, description = "The driver is not registered, or cannot list models"),
        (status = 502, description = "The vendor does not answer, or refuses"),
    ),
)]
pub(crate) async fn sync_models(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
) -> Result<Json<SyncOutcome>, Problem> {
    let provider = resolve::provider(&app, caller.org, &reference).await?;
    let listed = list(&app, caller.org, &provider).await?;
    let known = known(&app, caller.org, provider.id).await?;
    let mut outcome = SyncOutcome { listed: listed.len(), ..SyncOutcome::default() };
    for info in listed.values() {
        match known.get(&info.id) {
            None => outcome.added += usize::from(add(&app, caller.org, provider.id, info).await?),
            Some(model) => outcome.updated += usize::from(change(&app, caller.org, model.id, |model| refresh(model, info)).await?),
        }
    }
    for model in known.values().filter(|model| !listed.contains_key(&model.model_id)) {
        outcome.stale += usize::from(change(&app, caller.org, model.id, forget).await?);
    }
    Ok(Json(outcome))
}

/// The vendor's list, by name.
async fn list(app: &App, org: OrgId, provider: &Provider) -> Result<BTreeMap<String, ModelInfo>, Problem> {
    let resolved = provider.resolve(&app.stores.cipher, org, "").await.map_err(Error::from)?;
    let context = DriverContext { provider: Some(provider.id), ..DriverContext::new(org, app.turns.driver_host.clone()) };
    let listed = match providers::driver(app.drivers.as_ref(), org, &resolved).await {
        Ok(driver) => driver.list_models(context).await,
        Err(error) => Err(error),
    };
    let failed = |error: DriverError| {
        let detail = resolved.redact(&error.to_string());
        match error.kind {
            DriverErrorKind::Configuration => Problem::conflict("provider_configuration", detail),
            kind => Problem::new(StatusCode::BAD_GATEWAY, "provider_failed", format!("{}: {detail}", kind.as_str())),
        }
    };
    let Some(models) = listed.map_err(failed)? else {
        let detail =
            format!("the driver {} cannot list models; add them: POST /v1/providers/{}/models", resolved.provider_type, provider.id);
        return Err(Problem::conflict("no_discovery", detail));
    };
    let usable = |info: &ModelInfo| !info.id.trim().is_empty() && info.id.len() <= super::MAX_MODEL_NAME_BYTES;
    Ok(models.into_iter().filter(usable).take(MAX_LISTED_MODELS).map(|info| (info.id.clone(), info)).collect())
}

/// What the org has of the provider, by name.
async fn known(app: &App, org: OrgId, provider: ProviderId) -> Result<BTreeMap<String, Model>, Problem> {
    let (mut known, mut offset) = (BTreeMap::new(), 0);
    loop {
        let page = app.stores.provider_store.list_models(org, Some(provider), Page { offset, limit: MAX_PAGE }).await?;
        let count = u32::try_from(page.items.len()).unwrap_or(u32::MAX);
        known.extend(page.items.into_iter().map(|model| (model.model_id.clone(), model)));
        offset = offset.saturating_add(count);
        if count < MAX_PAGE {
            return Ok(known);
        }
    }
}

async fn add(app: &App, org: OrgId, provider_id: ProviderId, info: &ModelInfo) -> Result<bool, Problem> {
    let now = app.moments.now();
    let model = Model {
        id: ModelId::from_uuid(app.moments.uuid()),
        provider_id,
        model_id: info.id.clone(),
        display_name: title(info),
        capabilities: info.features.iter().filter(|word| !word.is_empty() && word.len() <= super::MAX_MODEL_NAME_BYTES).cloned().collect(),
        profile: facts_of_list(info),
        enabled: true,
        is_favorite: false,
        is_default: false,
        source: ModelSource::Discovered,
        stale: false,
        version: 1,
        created_at: now,
        updated_at: now,
    };
    match app.stores.provider_store.add_model(org, model).await {
        Ok(()) => Ok(true),
        // Somebody added it at the same time.
        Err(StoreError::Duplicate { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn title(info: &ModelInfo) -> String {
    let fits = !info.title.trim().is_empty() && info.title.len() <= super::MAX_MODEL_NAME_BYTES;
    if fits { info.title.clone() } else { info.id.clone() }
}

/// What the list says goes into what came from a list; what somebody of the org wrote stays.
fn refresh(model: &mut Model, info: &ModelInfo) -> bool {
    let mut fresh = Model { stale: false, ..model.clone() };
    if model.source == ModelSource::Discovered {
        fresh.display_name = title(info);
        fresh.profile = facts_of_list(info);
    }
    let changed = fresh != *model;
    *model = fresh;
    changed
}

fn forget(model: &mut Model) -> bool {
    let goes = model.source == ModelSource::Discovered && !model.stale;
    model.stale |= goes;
    goes
}

/// Changes a model, whoever else does at the same time; says whether there was something to change.
async fn change(app: &App, org: OrgId, id: ModelId, edit: impl Fn(&mut Model) -> bool) -> Result<bool, Problem> {
    let store = &app.stores.provider_store;
    for _ in 0..MAX_RACES {
        let Some(mut model) = store.get_model(org, id).await? else { return Ok(false) };
        if !edit(&mut model) {
            return Ok(false);
        }
        model.version += 1;
        model.updated_at = app.moments.now();
        match store.update_model(org, model).await {
            Ok(()) => return Ok(true),
            Err(StoreError::Stale { .. }) => {}
            Err(StoreError::NotFound { .. }) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
    Err(Problem::conflict("stale", format!("{id} is changed all the time; try again")))
}
