//! The set of capabilities that a platform ships.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use super::{Capability, CapabilitySource};
use crate::error::Error;
use crate::event::PinnedCapability;
use crate::id::OrgId;

/// Capabilities by id. A clone shares the capabilities.
#[derive(Clone, Default)]
pub struct CapabilityRegistry {
    by_id: BTreeMap<String, Arc<dyn Capability>>,
}

impl CapabilityRegistry {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a capability, in place of an earlier one with the same id.
    pub fn register(&mut self, capability: impl Capability + 'static) {
        self.register_arc(Arc::new(capability));
    }

    /// As [`Self::register`], for a capability that is shared already.
    pub fn register_arc(&mut self, capability: Arc<dyn Capability>) {
        self.by_id.insert(capability.id().to_lowercase(), capability);
    }

    /// Removes a capability; tells whether it was there.
    pub fn unregister(&mut self, id: &str) -> bool {
        self.by_id.remove(&id.to_lowercase()).is_some()
    }

    /// Looks a capability up, whatever the case of `id`.
    pub fn get(&self, id: &str) -> Option<Arc<dyn Capability>> {
        self.by_id.get(&id.to_lowercase()).cloned()
    }

    /// Whether there is one with this id.
    pub fn has(&self, id: &str) -> bool {
        self.by_id.contains_key(&id.to_lowercase())
    }

    /// All of them, by id.
    pub fn list(&self) -> impl Iterator<Item = &Arc<dyn Capability>> {
        self.by_id.values()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }
}

#[async_trait]
impl CapabilitySource for CapabilityRegistry {
    async fn find(&self, _org: OrgId, id: &str) -> Result<Option<Arc<dyn Capability>>, Error> {
        Ok(self.get(id))
    }

    async fn find_pinned(&self, _org: OrgId, pin: &PinnedCapability) -> Result<Option<Arc<dyn Capability>>, Error> {
        let same = |found: &Arc<dyn Capability>| {
            let own = found.pin();
            (own.version, own.digest) == (pin.version, pin.digest)
        };
        Ok(self.get(&pin.id).filter(same))
    }
}
