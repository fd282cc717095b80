//! The composition root of an embedder: what a platform consists of. The same definition is
//! given to servers, workers and in-process runtimes.
//!
//! Invariants: a definition that was built is consistent; whatever is wrong with it is told at
//! once, by [`PlatformDefinitionBuilder::build`] or [`PlatformDefinition::validate`].
//!
//! Deliberately not here: what a tenant uploads. That is a layer over the definition.

mod agent;
mod builder;
mod check;
mod component;
mod digest;
mod harness;
mod problem;

pub use agent::SeedAgent;
pub use builder::PlatformDefinitionBuilder;
pub use component::{ComponentDefinition, ComponentSource};
pub use digest::{DefinitionDifference, DefinitionDigest};
pub use harness::{BuiltInCapabilityDefinition, BuiltInHarnessDefinition, BuiltInHarnessRole};
pub use problem::{DefinitionErrors, DefinitionProblem};

use crate::capability::CapabilityRegistry;
use crate::connection::ConnectionProviderRegistry;
use crate::driver::DriverRegistry;

/// What a platform consists of. Clones share the capabilities, drivers and connection providers.
#[derive(Clone, Default)]
pub struct PlatformDefinition {
    capability_registry: CapabilityRegistry,
    driver_registry: DriverRegistry,
    connection_providers: ConnectionProviderRegistry,
    built_in_harnesses: Vec<BuiltInHarnessDefinition>,
    seed_agents: Vec<SeedAgent>,
    components: Vec<ComponentDefinition>,
}

impl PlatformDefinition {
    /// A platform of capabilities and drivers, without connection providers and harnesses.
    pub fn new(capability_registry: CapabilityRegistry, driver_registry: DriverRegistry) -> Self {
        Self { capability_registry, driver_registry, ..Self::default() }
    }

    /// Builds a definition from nothing: only what is registered exists.
    pub fn builder() -> PlatformDefinitionBuilder {
        PlatformDefinitionBuilder::default()
    }

    /// Its capabilities.
    pub fn capability_registry(&self) -> &CapabilityRegistry {
        &self.capability_registry
    }

    /// Its capabilities, to change them.
    pub fn capability_registry_mut(&mut self) -> &mut CapabilityRegistry {
        &mut self.capability_registry
    }

    /// Its model drivers.
    pub fn driver_registry(&self) -> &DriverRegistry {
        &self.driver_registry
    }

    /// Its model drivers, to change them.
    pub fn driver_registry_mut(&mut self) -> &mut DriverRegistry {
        &mut self.driver_registry
    }

    /// Its connection providers.
    pub fn connection_providers(&self) -> &ConnectionProviderRegistry {
        &self.connection_providers
    }

    /// Its connection providers, to change them.
    pub fn connection_providers_mut(&mut self) -> &mut ConnectionProviderRegistry {
        &mut self.connection_providers
    }

    /// Its harness templates.
    pub fn built_in_harnesses(&self) -> &[BuiltInHarnessDefinition] {
        &self.built_in_harnesses
    }

    /// Its harness templates, to change them.
    pub fn built_in_harnesses_mut(&mut self) -> &mut Vec<BuiltInHarnessDefinition> {
        &mut self.built_in_harnesses
    }

    /// Adds a harness template.
    pub fn add_built_in_harness(&mut self, harness: BuiltInHarnessDefinition) {
        self.built_in_harnesses.push(harness);
    }

    /// The first harness template with a role.
    pub fn harness_for_role(&self, role: BuiltInHarnessRole) -> Option<&BuiltInHarnessDefinition> {
        self.built_in_harnesses.iter().find(|harness| harness.has_role(role))
    }

    /// Its agent templates.
    pub fn seed_agents(&self) -> &[SeedAgent] {
        &self.seed_agents
    }

    /// Its agent templates, to change them.
    pub fn seed_agents_mut(&mut self) -> &mut Vec<SeedAgent> {
        &mut self.seed_agents
    }

    /// Its components.
    pub fn components(&self) -> &[ComponentDefinition] {
        &self.components
    }

    /// Its components, to change them.
    pub fn components_mut(&mut self) -> &mut Vec<ComponentDefinition> {
        &mut self.components
    }

    /// Checks the whole definition; servers, workers and runtimes do so when they start, because
    /// a definition can be changed after it was built. What refers to a capability that may be a
    /// component is checked when the components are opened.
    ///
    /// # Errors
    /// All problems at once.
    pub fn validate(&self) -> Result<(), DefinitionErrors> {
        check::check(self)
    }
}
