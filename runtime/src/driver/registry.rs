//! The drivers that a platform ships.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::source::Factory;
use super::{BlankDriverId, BoxedChatDriver, DriverConfig, DriverError, DriverErrorKind, DriverId};

/// Why a driver is not registered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// There is one with this id.
    #[error("driver {0} is registered already; use register_or_replace to swap it on purpose")]
    Duplicate(DriverId),
    /// The id is empty or only white space.
    #[error(transparent)]
    Blank(#[from] BlankDriverId),
}

/// Driver factories by id; ids are normalised, see [`DriverId::normalized`]. A clone shares the
/// factories.
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
    /// If the id is blank, or registered already, so that a double registration surfaces loudly.
    pub fn register(&mut self, id: DriverId, factory: impl Fn(&DriverConfig) -> BoxedChatDriver + Send + Sync + 'static) {
        if let Err(error) = self.try_register(id, factory) {
            panic!("{error}");
        }
    }

    /// As [`Self::register`].
    ///
    /// # Errors
    /// If the id is blank or registered already.
    pub fn try_register(
        &mut self,
        id: DriverId,
        factory: impl Fn(&DriverConfig) -> BoxedChatDriver + Send + Sync + 'static,
    ) -> Result<(), RegisterError> {
        let id = id.normalized()?;
        if self.has(&id) {
            return Err(RegisterError::Duplicate(id));
        }
        self.factories.insert(id, Arc::new(factory));
        Ok(())
    }

    /// Adds a driver, in place of an earlier one with the same id.
    ///
    /// # Panics
    /// If the id is blank.
    pub fn register_or_replace(&mut self, id: DriverId, factory: impl Fn(&DriverConfig) -> BoxedChatDriver + Send + Sync + 'static) {
        let id = id.normalized().unwrap_or_else(|error| panic!("{error}"));
        self.factories.insert(id, Arc::new(factory));
    }

    /// Adds a driver under a custom id, lower-cased.
    ///
    /// # Panics
    /// If the id is blank, or registered already.
    pub fn register_external(&mut self, id: &str, factory: impl Fn(&DriverConfig) -> BoxedChatDriver + Send + Sync + 'static) {
        self.register(DriverId::External(id.to_owned()), factory);
    }

    /// Whether there is a driver with this id.
    pub fn has(&self, id: &DriverId) -> bool {
        self.find(id).is_some()
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
        let missing = || DriverError::new(DriverErrorKind::Configuration, format!("no driver {id} is registered"));
        let factory = self.find(id).ok_or_else(missing)?;
        Ok(factory(config))
    }

    /// What makes the driver with this id.
    pub(super) fn factory(&self, id: &DriverId) -> Option<Factory> {
        self.find(id).cloned()
    }

    fn find(&self, id: &DriverId) -> Option<&Factory> {
        self.factories.get(&id.normalized().ok()?)
    }
}
