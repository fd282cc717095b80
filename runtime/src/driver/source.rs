//! Where drivers are found: those of the platform, and with a sandbox those that an org uploaded.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::{BoxedChatDriver, DriverConfig, DriverId, DriverRegistry};
use crate::error::Error;
use crate::event::PinnedCapability;
use crate::id::OrgId;

/// Makes a driver of a configuration.
pub(super) type Factory = Arc<dyn Fn(&DriverConfig) -> BoxedChatDriver + Send + Sync>;

/// Finds drivers.
#[async_trait]
pub trait DriverSource: Send + Sync {
    /// The driver that new turns of an org use under an id.
    ///
    /// # Errors
    /// Those of the store and the sandbox.
    async fn driver(&self, org: OrgId, id: &DriverId) -> Result<Option<FoundDriver>, Error>;

    /// Whether there is such a driver, without making it ready.
    ///
    /// # Errors
    /// Those of the store.
    async fn has_driver(&self, org: OrgId, id: &DriverId) -> Result<bool, Error>;

    /// The very version that a turn recorded at its start.
    ///
    /// # Errors
    /// As for [`Self::driver`].
    async fn pinned_driver(&self, org: OrgId, pin: &PinnedCapability) -> Result<Option<FoundDriver>, Error>;
}

/// A driver that was found. Cloning shares it.
#[derive(Clone)]
pub struct FoundDriver {
    factory: Factory,
    pin: Option<PinnedCapability>,
}

impl FoundDriver {
    /// A driver of the platform.
    pub(super) fn native(factory: Factory) -> Self {
        Self { factory, pin: None }
    }

    /// A driver component.
    pub fn component(factory: impl Fn(&DriverConfig) -> BoxedChatDriver + Send + Sync + 'static, pin: PinnedCapability) -> Self {
        Self { factory: Arc::new(factory), pin: Some(pin) }
    }

    /// A driver for one provider.
    pub fn create(&self, config: &DriverConfig) -> BoxedChatDriver {
        (self.factory)(config)
    }

    /// What a turn records of it; none for a driver of the platform.
    pub fn pin(&self) -> Option<&PinnedCapability> {
        self.pin.as_ref()
    }
}

impl fmt::Debug for FoundDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FoundDriver").field("pin", &self.pin).finish_non_exhaustive()
    }
}

#[async_trait]
impl DriverSource for DriverRegistry {
    async fn driver(&self, _org: OrgId, id: &DriverId) -> Result<Option<FoundDriver>, Error> {
        Ok(self.factory(id).map(FoundDriver::native))
    }

    async fn has_driver(&self, _org: OrgId, id: &DriverId) -> Result<bool, Error> {
        Ok(self.has(id))
    }

    /// A platform keeps no versions of its drivers.
    async fn pinned_driver(&self, _org: OrgId, _pin: &PinnedCapability) -> Result<Option<FoundDriver>, Error> {
        Ok(None)
    }
}
