//! Components that a definition ships: bytes or a file, with what they may and how much.

use std::fmt;
use std::path::PathBuf;

use bytes::Bytes;
use serde::Serialize;

use crate::component::{Digest, Grant};
use crate::limits::Budget;

/// Where the bytes of a component are.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ComponentSource {
    /// In a file, which is read when the component is opened.
    File(PathBuf),
    /// Here.
    Bytes(Bytes),
    /// Opened already: it is among the definition's capabilities.
    Opened {
        /// Its id.
        id: String,
        /// Digest of its bytes.
        digest: Digest,
    },
}

impl fmt::Debug for ComponentSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for ComponentSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Bytes(bytes) => write!(f, "{} bytes with the digest {}", bytes.len(), Digest::of(bytes)),
            Self::Opened { id, digest } => write!(f, "{id} with the digest {digest}"),
        }
    }
}

/// A component that a platform ships. It becomes a capability, a driver or a connection provider under the id that it
/// states itself, for every org, and no upload can take that id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentDefinition {
    /// Where its bytes are.
    pub source: ComponentSource,
    /// What it may reach.
    pub grant: Grant,
    /// Limits of each of its calls.
    pub budget: Budget,
}

impl ComponentDefinition {
    /// A component in a file.
    pub fn file(path: impl Into<PathBuf>, grant: Grant, budget: Budget) -> Self {
        Self { source: ComponentSource::File(path.into()), grant, budget }
    }

    /// A component in memory.
    pub fn bytes(wasm: impl Into<Bytes>, grant: Grant, budget: Budget) -> Self {
        Self { source: ComponentSource::Bytes(wasm.into()), grant, budget }
    }

    /// What decides how it behaves, for the digest of the definition.
    pub(super) fn terms(&self) -> impl Serialize {
        (&self.grant, &self.budget)
    }
}

#[cfg(feature = "sandbox")]
mod open {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::{ComponentDefinition, ComponentSource};
    use crate::capability::Capability;
    use crate::component::ComponentKind;
    use crate::connection::ConnectionProvider as _;
    use crate::driver::{CodecDriver, DriverId};
    use crate::limits::MAX_COMPONENT_BYTES;
    use crate::platform::{DefinitionErrors, DefinitionProblem, PlatformDefinition};
    use crate::sandbox::{Admission, AdmitError, ComponentCapability, ComponentConnectionProvider, ComponentDriver, Sandbox, Terms};

    impl PlatformDefinition {
        /// The same definition with its components opened: each is one of its capabilities then.
        /// Hosts do so when they start; what is opened already stays as it is.
        ///
        /// # Errors
        /// All problems at once: files that cannot be read, components that the sandbox rejects
        /// with what it found, grants and limits beyond what is possible, ids that are taken, and
        /// whatever [`Self::validate`] finds, references to components included.
        pub async fn open(mut self, sandbox: &Sandbox) -> Result<Self, DefinitionErrors> {
            let mut problems = Vec::new();
            for at in 0..self.components.len() {
                let definition = self.components[at].clone();
                if matches!(definition.source, ComponentSource::Opened { .. }) {
                    continue;
                }
                match open(sandbox, &definition).await {
                    Ok(Opened::Capability(component)) => self.add_opened(at, *component, &mut problems),
                    Ok(Opened::Driver(driver)) => self.add_driver(at, driver, &mut problems),
                    Ok(Opened::ConnectionProvider(provider)) => self.add_connection_provider(at, provider, &mut problems),
                    Err(problem) => problems.push(problem),
                }
            }
            if problems.is_empty() { self.validate().map(|()| self) } else { Err(DefinitionErrors(problems)) }
        }

        fn add_opened(&mut self, at: usize, component: ComponentCapability, problems: &mut Vec<DefinitionProblem>) {
            let id = component.id().to_owned();
            let component_source = &mut self.components[at].source;
            if self.capability_registry.has(&id) {
                problems.push(DefinitionProblem::DuplicateCapability { capability: id, source_of_second: component_source.to_string() });
                return;
            }
            if let Some(digest) = component.pin().digest {
                *component_source = ComponentSource::Opened { id, digest };
            }
            self.capability_registry.register(component);
        }

        /// A shipped driver may not take the id of another one, built-in ids included.
        fn add_driver(&mut self, at: usize, driver: ComponentDriver, problems: &mut Vec<DefinitionProblem>) {
            let (id, digest) = (driver.description().id.clone(), driver.digest());
            let component_source = &mut self.components[at].source;
            let registered = self.driver_registry.try_register(DriverId::External(id.clone()), CodecDriver::factory(Arc::new(driver)));
            match registered {
                Ok(()) => *component_source = ComponentSource::Opened { id, digest },
                Err(error) => {
                    let component = component_source.to_string();
                    problems.push(DefinitionProblem::BadComponent { component, problems: vec![error.to_string()] });
                }
            }
        }

        /// A shipped connection provider may not take the id of another one.
        fn add_connection_provider(&mut self, at: usize, provider: ComponentConnectionProvider, problems: &mut Vec<DefinitionProblem>) {
            let (id, digest) = (provider.id().to_owned(), provider.digest());
            let component_source = &mut self.components[at].source;
            if self.connection_providers.has(&id) {
                let taken = vec![format!("there is another connection provider with the id {id:?}")];
                problems.push(DefinitionProblem::BadComponent { component: component_source.to_string(), problems: taken });
                return;
            }
            *component_source = ComponentSource::Opened { id, digest };
            self.connection_providers.register(provider);
        }
    }

    enum Opened {
        Capability(Box<ComponentCapability>),
        Driver(ComponentDriver),
        ConnectionProvider(ComponentConnectionProvider),
    }

    async fn open(sandbox: &Sandbox, definition: &ComponentDefinition) -> Result<Opened, DefinitionProblem> {
        let refused = |problems: Vec<String>| DefinitionProblem::BadComponent { component: definition.source.to_string(), problems };
        let limits = definition.budget.problems();
        if !limits.is_empty() {
            return Err(refused(limits));
        }
        let wasm = read(&definition.source).await.map_err(|problem| refused(vec![problem]))?;
        let terms = Terms { version: None, grant: definition.grant.clone(), budget: definition.budget };
        let Admission { digest, description, .. } = sandbox.admit(wasm.clone()).await.map_err(|error| refused(findings(error)))?;
        let beyond = definition.grant.beyond(&description.permissions);
        if !beyond.is_empty() {
            return Err(refused(beyond.into_iter().map(|entry| format!("grant: {entry}")).collect()));
        }
        let failed = |error: crate::error::Error| refused(vec![error.to_string()]);
        let bytes = || async { Ok(wasm.to_vec()) };
        match description.kind() {
            ComponentKind::Capability => {
                sandbox.component(digest, description, terms, bytes).await.map(Box::new).map(Opened::Capability).map_err(failed)
            }
            ComponentKind::Driver => sandbox.driver(digest, description, terms, bytes).await.map(Opened::Driver).map_err(failed),
            ComponentKind::ConnectionProvider => {
                sandbox.connection_provider(digest, description, terms, bytes).await.map(Opened::ConnectionProvider).map_err(failed)
            }
        }
    }

    async fn read(source: &ComponentSource) -> Result<Bytes, String> {
        let wasm = match source {
            ComponentSource::Bytes(bytes) => bytes.clone(),
            ComponentSource::File(path) => tokio::fs::read(path).await.map_err(|error| format!("it cannot be read: {error}"))?.into(),
            ComponentSource::Opened { .. } => return Err("it is open already".to_owned()),
        };
        if wasm.len() > MAX_COMPONENT_BYTES {
            return Err(format!("it has {} bytes; a component has at most {MAX_COMPONENT_BYTES}", wasm.len()));
        }
        Ok(wasm)
    }

    fn findings(error: AdmitError) -> Vec<String> {
        match error {
            AdmitError::Rejected(rejection) => {
                rejection.findings.iter().map(|finding| format!("{}: {}; {}", finding.code, finding.detail, finding.fix)).collect()
            }
            error => vec![error.to_string()],
        }
    }
}
