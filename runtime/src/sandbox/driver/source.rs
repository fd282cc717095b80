//! The drivers of the platform, and those that orgs uploaded. Built-in ids win.

use std::sync::Arc;

use async_trait::async_trait;

use super::ComponentDriver;
use crate::component::{Component, ComponentKind, ComponentVersion};
use crate::driver::{CodecDriver, DriverId, DriverRegistry, DriverSource, FoundDriver};
use crate::error::Error;
use crate::event::PinnedCapability;
use crate::id::OrgId;
use crate::sandbox::{Sandbox, Terms};
use crate::store::ComponentStore;

/// What an org's turns can use: the platform's own drivers, then the org's active driver components.
#[derive(Clone)]
pub struct ComponentDrivers {
    built_ins: DriverRegistry,
    components: Arc<dyn ComponentStore>,
    sandbox: Sandbox,
}

impl ComponentDrivers {
    /// Joins both.
    pub fn new(built_ins: DriverRegistry, components: Arc<dyn ComponentStore>, sandbox: Sandbox) -> Self {
        Self { built_ins, components, sandbox }
    }

    /// Whether an upload may not take an id: it belongs to a driver that ships, registered or not.
    pub fn is_reserved(&self, id: &str) -> bool {
        match id.parse::<DriverId>() {
            Ok(DriverId::External(_)) => id.parse().is_ok_and(|id| self.built_ins.has(&id)),
            Ok(_) | Err(_) => true,
        }
    }

    async fn find(&self, org: OrgId, id: &str) -> Result<Option<Component>, Error> {
        let found = self.components.find_component(org, id).await?;
        Ok(found.filter(|component| component.kind == ComponentKind::Driver))
    }

    async fn load(&self, org: OrgId, version: ComponentVersion) -> Result<FoundDriver, Error> {
        let ComponentVersion { digest, description, grant, budget, version, .. } = version;
        let wasm = || async move {
            let wasm = self.components.read_wasm(org, digest).await?;
            wasm.ok_or_else(|| Error::Internal(format!("the bytes of {digest} are not stored")))
        };
        let terms = Terms { version: Some(version), grant, budget };
        Ok(self.sandbox.driver(digest, description, terms, wasm).await?.of(org).found())
    }
}

impl ComponentDriver {
    /// It as a driver like any other.
    pub fn found(self) -> FoundDriver {
        let inner = &self.inner;
        let pin = PinnedCapability { id: inner.description.id.clone(), version: inner.version, digest: Some(inner.digest) };
        FoundDriver::component(CodecDriver::factory(Arc::new(self)), pin)
    }
}

#[async_trait]
impl DriverSource for ComponentDrivers {
    async fn driver(&self, org: OrgId, id: &DriverId) -> Result<Option<FoundDriver>, Error> {
        if let Some(built_in) = self.built_ins.driver(org, id).await? {
            return Ok(Some(built_in));
        }
        let Some(component) = self.find(org, id.as_str()).await? else { return Ok(None) };
        let Some(version) = component.active_version.filter(|_| component.archived_at.is_none()) else { return Ok(None) };
        match self.components.get_version(org, component.id, version).await? {
            Some(version) => Ok(Some(self.load(org, version).await?)),
            None => Ok(None),
        }
    }

    async fn has_driver(&self, org: OrgId, id: &DriverId) -> Result<bool, Error> {
        if self.built_ins.has(id) {
            return Ok(true);
        }
        Ok(self
            .find(org, id.as_str())
            .await?
            .is_some_and(|component| component.active_version.is_some() && component.archived_at.is_none()))
    }

    async fn pinned_driver(&self, org: OrgId, pin: &PinnedCapability) -> Result<Option<FoundDriver>, Error> {
        let (Some(number), Some(component)) = (pin.version, self.find(org, &pin.id).await?) else { return Ok(None) };
        let version = self.components.get_version(org, component.id, number).await?;
        match version.filter(|version| Some(version.digest) == pin.digest) {
            Some(version) => Ok(Some(self.load(org, version).await?)),
            None => Ok(None),
        }
    }
}
