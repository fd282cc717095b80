//! Which model a turn uses. The first that is named wins: by the message, the session, the agent,
//! the harnesses from leaf to root, the org's default, the platform's default. A model that was
//! removed is passed over; one that is there and cannot be used ends the search with an error, so
//! that nobody talks to another model than the one that was chosen.

use serde_json::Map;

use super::context::ContextSources;
use super::context_error::ContextError;
use super::provenance::Contributor;
use crate::agent::Agent;
use crate::driver::profile::ModelProfile;
use crate::driver::{FoundDriver, ResolvedModel};
use crate::error::ErrorKind;
use crate::harness::Harness;
use crate::id::{ModelId, OrgId, ProviderId};
use crate::message::{Controls, Message, Role};
use crate::provider::{Model, Provider, ProviderStatus};
use crate::session::Session;

/// The model of a turn.
pub(super) struct ChosenModel {
    /// How to reach it.
    pub(super) resolved: ResolvedModel,
    /// Its driver; none if the platform's default names one that is not registered.
    pub(super) driver: Option<FoundDriver>,
    /// Its id; none for the platform's default.
    pub(super) id: Option<ModelId>,
    /// Id of its provider; none for the platform's default.
    pub(super) provider_id: Option<ProviderId>,
    /// What is known of it.
    pub(super) profile: ModelProfile,
    /// Which layer chose it.
    pub(super) chosen_by: Contributor,
}

/// Chooses the model.
///
/// # Errors
/// If the chosen model is disabled, its provider is, its driver is not registered, or its
/// credentials cannot be opened; those of the store.
pub(super) async fn choose(
    sources: ContextSources<'_>,
    org: OrgId,
    candidates: impl Iterator<Item = (ModelId, Contributor)>,
) -> Result<ChosenModel, ContextError> {
    let store = &sources.backends.provider_store;
    for (id, chosen_by) in candidates {
        match store.get_model(org, id).await? {
            Some(model) => return use_model(sources, org, model, chosen_by).await,
            None => tracing::info!(model = %id, "a model that is named was removed; the next one in line is used"),
        }
    }
    match store.default_model(org).await? {
        Some(model) => use_model(sources, org, model, Contributor::Organization).await,
        None => {
            let resolved = sources.default_model.clone();
            let driver = sources.drivers.driver(org, &resolved.provider_type).await?;
            let profile = ModelProfile::of(&resolved.provider_type, &resolved.model, &Map::new());
            Ok(ChosenModel { resolved, driver, id: None, provider_id: None, profile, chosen_by: Contributor::Platform })
        }
    }
}

/// The models that are named, the one that wins first.
pub(super) fn candidates<'a>(
    message: Option<ModelId>,
    session: &'a Session,
    agent: Option<&'a Agent>,
    chain: &'a [Harness],
) -> impl Iterator<Item = (ModelId, Contributor)> + use<'a> {
    let by_session = [message, session.model_id].into_iter().flatten().map(|id| (id, session.into()));
    let by_agent = agent.and_then(|agent| Some((agent.default_model_id?, agent.into())));
    let by_harnesses = chain.iter().rev().filter_map(|harness| Some((harness.default_model_id?, harness.into())));
    by_session.chain(by_agent).chain(by_harnesses)
}

/// What the last message of a user wants.
pub(super) fn controls_of(messages: &[std::sync::Arc<Message>]) -> Option<&Controls> {
    messages.iter().rev().find(|message| message.role == Role::User)?.controls.as_ref()
}

async fn use_model(sources: ContextSources<'_>, org: OrgId, model: Model, chosen_by: Contributor) -> Result<ChosenModel, ContextError> {
    let provider = sources.backends.provider_store.get_provider(org, model.provider_id).await?;
    let Some(provider) = provider else {
        return Err(ContextError::ProviderMissing { model: model.model_id });
    };
    check_usable(&model, &provider)?;
    let Some(driver) = sources.drivers.driver(org, &provider.provider_type).await? else {
        let (model, driver) = (model.model_id, provider.provider_type.to_string());
        return Err(ContextError::DriverMissing { model, provider: provider.name, driver });
    };
    let resolved = provider.resolve(&sources.backends.cipher, org, &model.model_id).await.map_err(|error| {
        if error.kind() == ErrorKind::Unavailable {
            return ContextError::Runtime(error.into());
        }
        let (model, provider) = (model.model_id.clone(), provider.name.clone());
        ContextError::CredentialsUnreadable { model, provider, problem: error.to_string() }
    })?;
    let profile = ModelProfile::of(&provider.provider_type, &model.model_id, &model.profile);
    Ok(ChosenModel { resolved, driver: Some(driver), id: Some(model.id), provider_id: Some(provider.id), profile, chosen_by })
}

fn check_usable(model: &Model, provider: &Provider) -> Result<(), ContextError> {
    let names = || (model.model_id.clone(), provider.name.clone());
    if !model.enabled {
        let (model, provider) = names();
        return Err(ContextError::ModelDisabled { model, provider });
    }
    if provider.status == ProviderStatus::Disabled {
        let (model, provider) = names();
        return Err(ContextError::ProviderDisabled { model, provider });
    }
    Ok(())
}
