//! Providers and models. Credentials come sealed and leave sealed: a store never sees one.

use async_trait::async_trait;

use super::{Listing, Page, StoreResult};
use crate::id::{ModelId, OrgId, ProviderId};
use crate::provider::{Model, Provider};

/// What became of a seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seeded<T> {
    /// It was added now.
    Added(T),
    /// It was added before under this id; it may have been removed since.
    Before(T),
}

/// Providers and models of orgs.
#[async_trait]
pub trait RuntimeProviderStore: Send + Sync {
    /// Adds a provider. `Duplicate` if its id or name is taken.
    async fn add_provider(&self, org: OrgId, provider: Provider) -> StoreResult<()>;
    /// Reads one.
    async fn get_provider(&self, org: OrgId, id: ProviderId) -> StoreResult<Option<Provider>>;
    /// Reads one by name.
    async fn find_provider(&self, org: OrgId, name: &str) -> StoreResult<Option<Provider>>;
    /// Replaces one whose stored version is `provider.version - 1`; `Stale` otherwise,
    /// `NotFound` if absent, `Duplicate` if the new name is taken.
    async fn update_provider(&self, org: OrgId, provider: Provider) -> StoreResult<()>;
    /// Removes one with all its models if its stored version is `version`; `Stale` otherwise,
    /// `NotFound` if absent.
    async fn remove_provider(&self, org: OrgId, id: ProviderId, version: u64) -> StoreResult<()>;
    /// Lists them in order of creation.
    async fn list_providers(&self, org: OrgId, page: Page) -> StoreResult<Listing<Provider>>;

    /// Adds a model. `NotFound` if its provider is absent, `Duplicate` if its id is taken or the
    /// provider has a model of that name. A default takes the place of the default before it,
    /// whose version grows by one.
    async fn add_model(&self, org: OrgId, model: Model) -> StoreResult<()>;
    /// Reads one.
    async fn get_model(&self, org: OrgId, id: ModelId) -> StoreResult<Option<Model>>;
    /// Replaces one whose stored version is `model.version - 1`; errors and defaults as for
    /// [`Self::add_model`] and [`Self::update_provider`].
    async fn update_model(&self, org: OrgId, model: Model) -> StoreResult<()>;
    /// Removes one whose stored version is `version`; `Stale` otherwise, `NotFound` if absent.
    async fn remove_model(&self, org: OrgId, id: ModelId, version: u64) -> StoreResult<()>;
    /// Lists them in order of creation: those of a provider, or all.
    async fn list_models(&self, org: OrgId, provider: Option<ProviderId>, page: Page) -> StoreResult<Listing<Model>>;
    /// The org's default model.
    async fn default_model(&self, org: OrgId) -> StoreResult<Option<Model>>;

    /// Adds a provider that the platform gives, unless the org was given one under this seed
    /// before: what an org renamed, changed or removed does not come back. `Duplicate` as for
    /// [`Self::add_provider`]; the seed stays free then.
    async fn seed_provider(&self, org: OrgId, seed: &str, provider: Provider) -> StoreResult<Seeded<ProviderId>>;
    /// The same for a model; errors as for [`Self::add_model`].
    async fn seed_model(&self, org: OrgId, seed: &str, model: Model) -> StoreResult<Seeded<ModelId>>;

    /// Providers of all orgs that have credentials, by org and id, after a position; for
    /// maintenance of the whole installation.
    async fn sealed_providers(&self, after: Option<(OrgId, ProviderId)>, limit: u32) -> StoreResult<Vec<(OrgId, Provider)>>;
}
