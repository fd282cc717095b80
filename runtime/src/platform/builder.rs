//! Building a definition from nothing.

use std::path::PathBuf;

use bytes::Bytes;

use super::{BuiltInHarnessDefinition, ComponentDefinition, DefinitionErrors, PlatformDefinition, SeedAgent};
use crate::capability::{Capability, CapabilityRegistry};
use crate::component::Grant;
use crate::connection::{ConnectionProvider, ConnectionProviderRegistry};
use crate::driver::DriverRegistry;
use crate::limits::Budget;

/// Builds a [`PlatformDefinition`].
#[derive(Clone, Default)]
pub struct PlatformDefinitionBuilder {
    platform: PlatformDefinition,
}

impl PlatformDefinitionBuilder {
    /// Sets all capabilities.
    #[must_use]
    pub fn capability_registry(mut self, registry: CapabilityRegistry) -> Self {
        self.platform.capability_registry = registry;
        self
    }

    /// Adds a capability.
    #[must_use]
    pub fn capability(mut self, capability: impl Capability + 'static) -> Self {
        self.platform.capability_registry.register(capability);
        self
    }

    /// Sets all model drivers.
    #[must_use]
    pub fn driver_registry(mut self, registry: DriverRegistry) -> Self {
        self.platform.driver_registry = registry;
        self
    }

    /// Sets all connection providers.
    #[must_use]
    pub fn connection_providers(mut self, registry: ConnectionProviderRegistry) -> Self {
        self.platform.connection_providers = registry;
        self
    }

    /// Adds a connection provider.
    #[must_use]
    pub fn connection_provider(mut self, provider: impl ConnectionProvider + 'static) -> Self {
        self.platform.connection_providers.register(provider);
        self
    }

    /// Sets all harness templates.
    #[must_use]
    pub fn built_in_harnesses(mut self, harnesses: impl IntoIterator<Item = BuiltInHarnessDefinition>) -> Self {
        self.platform.built_in_harnesses = harnesses.into_iter().collect();
        self
    }

    /// Adds a harness template.
    #[must_use]
    pub fn add_built_in_harness(mut self, harness: BuiltInHarnessDefinition) -> Self {
        self.platform.built_in_harnesses.push(harness);
        self
    }

    /// Adds an agent template.
    #[must_use]
    pub fn seed_agent(mut self, agent: SeedAgent) -> Self {
        self.platform.seed_agents.push(agent);
        self
    }

    /// Adds a component from a file, with what it may reach and the limits of each of its calls.
    /// The file is read when a server, worker or runtime starts.
    #[must_use]
    pub fn component_file(mut self, path: impl Into<PathBuf>, grant: Grant, budget: Budget) -> Self {
        self.platform.components.push(ComponentDefinition::file(path, grant, budget));
        self
    }

    /// Adds a component, with what it may reach and the limits of each of its calls.
    #[must_use]
    pub fn component_bytes(mut self, wasm: impl Into<Bytes>, grant: Grant, budget: Budget) -> Self {
        self.platform.components.push(ComponentDefinition::bytes(wasm, grant, budget));
        self
    }

    /// The definition.
    ///
    /// # Errors
    /// All problems at once.
    pub fn build(self) -> Result<PlatformDefinition, DefinitionErrors> {
        self.platform.validate()?;
        Ok(self.platform)
    }
}
