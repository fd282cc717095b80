//! The connection providers that a platform ships.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ConnectionProvider;

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
