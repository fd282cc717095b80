//! The drivers that a platform ships.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{BoxedChatDriver, DriverConfig, DriverError, DriverErrorKind, DriverId};

type Factory = Arc<dyn Fn(&DriverConfig) -> BoxedChatDriver + Send + Sync>;

/// A driver id that is registered already.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("driver {0} is registered already; use register_or_replace to swap it on purpose")]
pub struct DuplicateDriver(pub DriverId);

/// Driver factories by id. A clone shares the factories.
#[derive(Clone, Default)]
pub struct DriverRegistry {
    factories: BTreeMap<DriverId, Factory>,
}

impl DriverRegistry {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a driver.
    ///
    /// # Panics
    /// If the id is registered already, so that a double registration surfaces loudly.
    pub fn register(&mut self, id: DriverId, factory: impl Fn(&DriverConfig) -> BoxedChatDriver + Send + Sync + 'static) {
        if let Err(error) = self.try_register(id, factory) {
            panic!("{error}");
        }
    }

    /// As [`Self::register`].
    ///
    /// # Errors
    /// If the id is registered already.
    pub fn try_register(
        &mut self,
        id: DriverId,
        factory: impl Fn(&DriverConfig) -> BoxedChatDriver + Send + Sync + 'static,
    ) -> Result<(), DuplicateDriver> {
        if self.has(&id) {
            return Err(DuplicateDriver(id));
        }
        self.register_or_replace(id, factory);
        Ok(())
    }

    /// Adds a driver, in place of an earlier one with the same id.
    pub fn register_or_replace(&mut self, id: DriverId, factory: impl Fn(&DriverConfig) -> BoxedChatDriver + Send + Sync + 'static) {
        self.factories.insert(id, Arc::new(factory));
    }

    /// Adds a driver under a custom id, lower-cased.
    ///
    /// # Panics
    /// If the id is blank, or registered already.
    pub fn register_external(&mut self, id: &str, factory: impl Fn(&DriverConfig) -> BoxedChatDriver + Send + Sync + 'static) {
        let id: DriverId = id.parse().unwrap_or_else(|error| panic!("{error}"));
        self.register(id, factory);
    }

    /// Whether there is a driver with this id.
    pub fn has(&self, id: &DriverId) -> bool {
        self.factories.contains_key(id)
    }

    /// The ids of all drivers, in order.
    pub fn ids(&self) -> impl Iterator<Item = &DriverId> {
        self.factories.keys()
    }

    /// Makes a driver.
    ///
    /// # Errors
    /// `Configuration` if no such driver is registered.
    pub fn create(&self, id: &DriverId, config: &DriverConfig) -> Result<BoxedChatDriver, DriverError> {
        let factory = self
            .factories
            .get(id)
            .ok_or_else(|| DriverError::new(DriverErrorKind::Configuration, format!("no driver {id} is registered")))?;
        Ok(factory(config))
    }
}
