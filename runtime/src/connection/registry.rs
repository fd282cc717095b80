//! The connection providers that a platform ships, and where those of an org are found.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use super::ConnectionProvider;
use crate::error::Error;
use crate::id::OrgId;

/// Connection providers by id. A clone shares the providers.
#[derive(Clone, Default)]
pub struct ConnectionProviderRegistry {
    by_id: BTreeMap<String, Arc<dyn ConnectionProvider>>,
}

impl ConnectionProviderRegistry {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a provider, in place of an earlier one with the same id.
    pub fn register(&mut self, provider: impl ConnectionProvider + 'static) {
        self.by_id.insert(provider.id().to_lowercase(), Arc::new(provider));
    }

    /// Removes a provider; tells whether it was there.
    pub fn unregister(&mut self, id: &str) -> bool {
        self.by_id.remove(&id.to_lowercase()).is_some()
    }

    /// Looks a provider up, whatever the case of `id`.
    pub fn get(&self, id: &str) -> Option<Arc<dyn ConnectionProvider>> {
        self.by_id.get(&id.to_lowercase()).cloned()
    }

    /// Whether there is one with this id.
    pub fn has(&self, id: &str) -> bool {
        self.by_id.contains_key(&id.to_lowercase())
    }

    /// All of them, by id.
    pub fn list(&self) -> impl Iterator<Item = &Arc<dyn ConnectionProvider>> {
        self.by_id.values()
    }
}

/// Where the connection providers of an org are found: the platform's own, then those that the
/// org added.
#[async_trait]
pub trait ConnectionProviderSource: Send + Sync {
    /// Finds one by id, whatever its case.
    ///
    /// # Errors
    /// Those of the store and the sandbox.
    async fn find(&self, org: OrgId, id: &str) -> Result<Option<Arc<dyn ConnectionProvider>>, Error>;

    /// All of them, by id.
    ///
    /// # Errors
    /// Those of the store and the sandbox.
    async fn all(&self, org: OrgId) -> Result<Vec<Arc<dyn ConnectionProvider>>, Error>;
}

#[async_trait]
impl ConnectionProviderSource for ConnectionProviderRegistry {
    async fn find(&self, _org: OrgId, id: &str) -> Result<Option<Arc<dyn ConnectionProvider>>, Error> {
        Ok(self.get(id))
    }

    async fn all(&self, _org: OrgId) -> Result<Vec<Arc<dyn ConnectionProvider>>, Error> {
        Ok(self.list().cloned().collect())
    }
}
