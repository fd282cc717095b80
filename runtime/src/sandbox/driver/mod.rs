//! A component as a model driver. The guest translates and reaches nothing: its imports are the
//! log, the clock and random numbers. What it returns is checked like everything from a guest.
//!
//! One instance serves one completion and lives as long: it holds one of the sandbox's places
//! while the vendor thinks. Deliberately not here: sending, framing, retrying and cancelling,
//! which are the same for native drivers.

mod check;
mod codec;
mod conformance;
mod convert;
mod credentials;
mod extras;
#[cfg(feature = "testing")]
pub(super) mod fuzz;
mod session;
mod source;
mod spoken;

use std::sync::Arc;

use async_trait::async_trait;

pub(super) use conformance::replay;
pub(super) use convert::{description, http_request};
pub use source::ComponentDrivers;

use self::codec::ComponentCodec;
use self::credentials::fault;
use self::extras::{ComponentDiscovery, ComponentExchange};
use super::Sandbox;
use super::Terms;
use super::loaded::{DriverExports, Exports, Loaded};
use super::running::Running;
use super::state::{Services, Subject};
use crate::capability::{StopKind, Stopped};
use crate::component::{ComponentDescription, Digest, DriverDescription, Grant, Receipt};
use crate::driver::{Codec, Discovery, DriverError, DriverErrorKind, DriverId, Protocol, TokenExchange};
use crate::error::Error;
use crate::id::OrgId;
use crate::limits::Budget;

/// One version of a driver component, ready to be used.
#[derive(Clone)]
pub struct ComponentDriver {
    inner: Arc<Inner>,
}

#[derive(Clone)]
struct Inner {
    sandbox: Sandbox,
    services: Arc<Services>,
    loaded: Arc<Loaded>,
    id: DriverId,
    description: ComponentDescription,
    version: Option<u32>,
    digest: Digest,
    subject: Arc<Subject>,
    budget: Budget,
    /// For whom its completions run.
    org: OrgId,
}

impl ComponentDriver {
    /// # Errors
    /// If the component is a capability, or its id is blank.
    pub(super) fn new(
        sandbox: Sandbox,
        loaded: Arc<Loaded>,
        description: ComponentDescription,
        digest: Digest,
        terms: Terms,
    ) -> Result<Self, Error> {
        let (Exports::Driver(_), Some(_)) = (&loaded.exports, &description.driver) else {
            return Err(Error::Sandbox(format!("{digest} is no driver")));
        };
        let id = description.id.parse().map_err(|error| Error::Sandbox(format!("{digest}: {error}")))?;
        let subject = Arc::new(Subject { component: description.id.clone(), grant: Grant::default(), secrets: Vec::new() });
        let Terms { version, budget, .. } = terms;
        let services = sandbox.services().clone();
        let org = OrgId::from_uuid(uuid::Uuid::nil());
        Ok(Self { inner: Arc::new(Inner { sandbox, services, loaded, id, description, version, digest, subject, budget, org }) })
    }

    /// The same with other surroundings and limits.
    fn with(&self, services: Arc<Services>, budget: Budget) -> Self {
        Self { inner: Arc::new(Inner { services, budget, ..self.inner.as_ref().clone() }) }
    }

    /// The same, whose completions are those of an org and take its turns.
    pub(super) fn of(self, org: OrgId) -> Self {
        Self { inner: Arc::new(Inner { org, ..self.inner.as_ref().clone() }) }
    }

    /// What it says about itself.
    pub fn description(&self) -> &ComponentDescription {
        &self.inner.description
    }

    /// Digest of its bytes.
    pub fn digest(&self) -> Digest {
        self.inner.digest
    }

    /// Its version in its org; none for a component that was not uploaded.
    pub fn version(&self) -> Option<u32> {
        self.inner.version
    }
}

impl Inner {
    fn exports(&self) -> Result<&DriverExports, DriverError> {
        match &self.loaded.exports {
            Exports::Driver(exports) => Ok(exports),
            _ => Err(fault("it is no driver")),
        }
    }

    fn driver(&self) -> Result<&DriverDescription, DriverError> {
        self.description.driver.as_ref().ok_or_else(|| fault("it is no driver"))
    }

    async fn start(&self) -> Result<(Running, wasmtime::component::Instance), DriverError> {
        let shares = (self.sandbox.shares(), self.org);
        Running::start(&self.services, shares, &self.loaded, &self.subject, &self.budget).await.map_err(|why| halted(&why))
    }

    fn receipt(&self, running: &Running) -> Receipt {
        Receipt {
            component: self.description.id.clone(),
            version: self.version,
            digest: self.digest,
            usage: running.usage(),
            calls: Vec::new(),
        }
    }

    /// Writes the guest's log lines, which went through `scrub`, to the operator's log: a completion
    /// has no log of its own.
    fn tell(&self, running: &Running, scrub: impl Fn(&str) -> String) {
        for line in running.take_logs() {
            let (component, level, message) = (&self.description.id, &line.level, scrub(&line.message));
            tracing::info!(component, level, message, "a driver component logged");
        }
    }
}

/// The error of a completion whose guest was stopped.
fn halted(why: &Stopped) -> DriverError {
    let kind = match why.kind {
        StopKind::Busy => DriverErrorKind::Unavailable,
        StopKind::Cancelled => DriverErrorKind::Cancelled,
        _ => return fault(format!("{} ({})", why.message, why.kind.as_str())),
    };
    DriverError::new(kind, why.message.clone())
}

#[async_trait]
impl Protocol for ComponentDriver {
    fn id(&self) -> &DriverId {
        &self.inner.id
    }

    fn default_base_url(&self) -> Option<&str> {
        self.inner.description.driver.as_ref()?.default_base_url.as_deref()
    }

    async fn codec(&self) -> Result<Box<dyn Codec>, DriverError> {
        let exports = self.inner.exports()?;
        let (mut running, instance) = self.inner.start().await?;
        let guest = exports.codec.load(running.store(), &instance).map_err(|error| fault(format!("{error:#}")))?;
        Ok(Box::new(ComponentCodec::new(self.inner.clone(), running, guest)))
    }

    async fn discovery(&self) -> Result<Option<Box<dyn Discovery>>, DriverError> {
        let Some(indices) = &self.inner.exports()?.discovery else { return Ok(None) };
        let (mut running, instance) = self.inner.start().await?;
        let guest = indices.load(running.store(), &instance).map_err(|error| fault(format!("{error:#}")))?;
        Ok(Some(Box::new(ComponentDiscovery::new(self.inner.clone(), running, guest))))
    }

    async fn token_exchange(&self) -> Result<Option<Box<dyn TokenExchange>>, DriverError> {
        let Some(indices) = &self.inner.exports()?.token_exchange else { return Ok(None) };
        let (mut running, instance) = self.inner.start().await?;
        let guest = indices.load(running.store(), &instance).map_err(|error| fault(format!("{error:#}")))?;
        Ok(Some(Box::new(ComponentExchange::new(self.inner.clone(), running, guest))))
    }
}
