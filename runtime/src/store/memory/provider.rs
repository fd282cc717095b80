//! Providers and models. Unlike other rows they can be removed, so they are plain lists; an org
//! has few of them.

use std::collections::HashMap;

use async_trait::async_trait;
use uuid::Uuid;

use super::MemoryStore;
use crate::id::{ModelId, OrgId, ProviderId};
use crate::provider::{Model, Provider};
use crate::store::rules::{follows, page_limit, whole_micros};
use crate::store::{Listing, Page, RuntimeProviderStore, Seeded, StoreError, StoreResult};

/// Providers and models of an org, in order of creation.
#[derive(Default)]
pub(super) struct Providers {
    providers: Vec<Provider>,
    models: Vec<Model>,
    /// What was seeded under which id.
    seeds: HashMap<String, Uuid>,
}

fn provider_missing(id: ProviderId) -> StoreError {
    StoreError::NotFound { what: "provider", id: id.to_string() }
}

fn model_missing(id: ModelId) -> StoreError {
    StoreError::NotFound { what: "model", id: id.to_string() }
}

impl Providers {
    fn provider(&self, id: ProviderId) -> Option<&Provider> {
        self.providers.iter().find(|provider| provider.id == id)
    }

    fn model(&self, id: ModelId) -> Option<&Model> {
        self.models.iter().find(|model| model.id == id)
    }

    fn check_provider_name(&self, provider: &Provider) -> StoreResult<()> {
        match self.providers.iter().any(|other| other.name == provider.name && other.id != provider.id) {
            true => Err(StoreError::Duplicate { what: "provider", id: provider.name.clone() }),
            false => Ok(()),
        }
    }

    fn add_provider(&mut self, provider: Provider) -> StoreResult<()> {
        if self.provider(provider.id).is_some() {
            return Err(StoreError::Duplicate { what: "provider", id: provider.id.to_string() });
        }
        self.check_provider_name(&provider)?;
        self.providers.push(stored_provider(provider));
        Ok(())
    }

    fn update_provider(&mut self, provider: Provider) -> StoreResult<()> {
        let stored = self.provider(provider.id).ok_or_else(|| provider_missing(provider.id))?;
        if !follows(stored.version, provider.version) {
            return Err(StoreError::Stale { what: "provider", id: provider.id.to_string() });
        }
        self.check_provider_name(&provider)?;
        if let Some(stored) = self.providers.iter_mut().find(|stored| stored.id == provider.id) {
            *stored = stored_provider(provider);
        }
        Ok(())
    }

    fn remove_provider(&mut self, id: ProviderId, version: u64) -> StoreResult<()> {
        if self.provider(id).ok_or_else(|| provider_missing(id))?.version != version {
            return Err(StoreError::Stale { what: "provider", id: id.to_string() });
        }
        self.providers.retain(|provider| provider.id != id);
        self.models.retain(|model| model.provider_id != id);
        Ok(())
    }

    fn check_model(&self, model: &Model) -> StoreResult<()> {
        if self.provider(model.provider_id).is_none() {
            return Err(provider_missing(model.provider_id));
        }
        let same = |other: &Model| (other.provider_id, &other.model_id) == (model.provider_id, &model.model_id) && other.id != model.id;
        match self.models.iter().any(same) {
            true => Err(StoreError::Duplicate { what: "model", id: model.model_id.clone() }),
            false => Ok(()),
        }
    }

    /// Takes the default away from another model if this one is to be it.
    fn make_room_for_default(&mut self, model: &Model) {
        if !model.is_default {
            return;
        }
        for other in self.models.iter_mut().filter(|other| other.is_default && other.id != model.id) {
            other.is_default = false;
            other.version += 1;
            other.updated_at = whole_micros(model.updated_at);
        }
    }

    fn add_model(&mut self, model: Model) -> StoreResult<()> {
        if self.model(model.id).is_some() {
            return Err(StoreError::Duplicate { what: "model", id: model.id.to_string() });
        }
        self.check_model(&model)?;
        self.make_room_for_default(&model);
        self.models.push(stored_model(model));
        Ok(())
    }

    fn update_model(&mut self, model: Model) -> StoreResult<()> {
        let stored = self.model(model.id).ok_or_else(|| model_missing(model.id))?;
        if !follows(stored.version, model.version) {
            return Err(StoreError::Stale { what: "model", id: model.id.to_string() });
        }
        self.check_model(&model)?;
        self.make_room_for_default(&model);
        if let Some(stored) = self.models.iter_mut().find(|stored| stored.id == model.id) {
            *stored = stored_model(model);
        }
        Ok(())
    }

    fn remove_model(&mut self, id: ModelId, version: u64) -> StoreResult<()> {
        if self.model(id).ok_or_else(|| model_missing(id))?.version != version {
            return Err(StoreError::Stale { what: "model", id: id.to_string() });
        }
        self.models.retain(|model| model.id != id);
        Ok(())
    }
}

fn stored_provider(provider: Provider) -> Provider {
    Provider { created_at: whole_micros(provider.created_at), updated_at: whole_micros(provider.updated_at), ..provider }
}

fn stored_model(model: Model) -> Model {
    Model { created_at: whole_micros(model.created_at), updated_at: whole_micros(model.updated_at), ..model }
}

fn listing<'a, T: Clone + 'a>(rows: impl Iterator<Item = &'a T> + Clone, page: Page) -> Listing<T> {
    let total = rows.clone().count() as u64;
    Listing { items: rows.skip(page.offset as usize).take(page_limit(page) as usize).cloned().collect(), total }
}

#[async_trait]
impl RuntimeProviderStore for MemoryStore {
    async fn add_provider(&self, org: OrgId, provider: Provider) -> StoreResult<()> {
        self.write(org, |tenant| tenant.providers.add_provider(provider))
    }

    async fn get_provider(&self, org: OrgId, id: ProviderId) -> StoreResult<Option<Provider>> {
        Ok(self.read(org, |tenant| tenant.providers.provider(id).cloned()))
    }

    async fn find_provider(&self, org: OrgId, name: &str) -> StoreResult<Option<Provider>> {
        Ok(self.read(org, |tenant| tenant.providers.providers.iter().find(|provider| provider.name == name).cloned()))
    }

    async fn update_provider(&self, org: OrgId, provider: Provider) -> StoreResult<()> {
        self.write(org, |tenant| tenant.providers.update_provider(provider))
    }

    async fn remove_provider(&self, org: OrgId, id: ProviderId, version: u64) -> StoreResult<()> {
        self.write(org, |tenant| tenant.providers.remove_provider(id, version))
    }

    async fn list_providers(&self, org: OrgId, page: Page) -> StoreResult<Listing<Provider>> {
        Ok(self.read(org, |tenant| listing(tenant.providers.providers.iter(), page)))
    }

    async fn add_model(&self, org: OrgId, model: Model) -> StoreResult<()> {
        self.write(org, |tenant| tenant.providers.add_model(model))
    }

    async fn get_model(&self, org: OrgId, id: ModelId) -> StoreResult<Option<Model>> {
        Ok(self.read(org, |tenant| tenant.providers.model(id).cloned()))
    }

    async fn update_model(&self, org: OrgId, model: Model) -> StoreResult<()> {
        self.write(org, |tenant| tenant.providers.update_model(model))
    }

    async fn remove_model(&self, org: OrgId, id: ModelId, version: u64) -> StoreResult<()> {
        self.write(org, |tenant| tenant.providers.remove_model(id, version))
    }

    async fn list_models(&self, org: OrgId, provider: Option<ProviderId>, page: Page) -> StoreResult<Listing<Model>> {
        let wanted = move |model: &&Model| provider.is_none_or(|id| model.provider_id == id);
        Ok(self.read(org, |tenant| listing(tenant.providers.models.iter().filter(wanted), page)))
    }

    async fn default_model(&self, org: OrgId) -> StoreResult<Option<Model>> {
        Ok(self.read(org, |tenant| tenant.providers.models.iter().find(|model| model.is_default).cloned()))
    }

    async fn seed_provider(&self, org: OrgId, seed: &str, provider: Provider) -> StoreResult<Seeded<ProviderId>> {
        self.write(org, |tenant| {
            let rows = &mut tenant.providers;
            if let Some(&id) = rows.seeds.get(seed) {
                return Ok(Seeded::Before(ProviderId::from_uuid(id)));
            }
            let id = provider.id;
            rows.add_provider(provider)?;
            rows.seeds.insert(seed.to_owned(), id.uuid());
            Ok(Seeded::Added(id))
        })
    }

    async fn seed_model(&self, org: OrgId, seed: &str, model: Model) -> StoreResult<Seeded<ModelId>> {
        self.write(org, |tenant| {
            let rows = &mut tenant.providers;
            if let Some(&id) = rows.seeds.get(seed) {
                return Ok(Seeded::Before(ModelId::from_uuid(id)));
            }
            let id = model.id;
            rows.add_model(model)?;
            rows.seeds.insert(seed.to_owned(), id.uuid());
            Ok(Seeded::Added(id))
        })
    }

    async fn sealed_providers(&self, after: Option<(OrgId, ProviderId)>, limit: u32) -> StoreResult<Vec<(OrgId, Provider)>> {
        let state = self.lock();
        let mut found: Vec<(OrgId, Provider)> = Vec::new();
        for (&org, tenant) in &state.tenants {
            let mut sealed: Vec<&Provider> = tenant.providers.providers.iter().filter(|row| has_credentials(row)).collect();
            sealed.sort_by_key(|provider| provider.id);
            let behind = sealed.into_iter().filter(|provider| after.is_none_or(|after| (org, provider.id) > after));
            found.extend(behind.take(limit as usize - found.len()).map(|provider| (org, provider.clone())));
        }
        Ok(found)
    }
}

fn has_credentials(provider: &Provider) -> bool {
    provider.api_key.is_some() || provider.provider_metadata.is_some()
}
