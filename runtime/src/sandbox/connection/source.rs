//! The connection providers of the platform, and those that orgs uploaded. Built-in ids win.

use std::sync::Arc;

use async_trait::async_trait;

use crate::component::{Component, ComponentKind};
use crate::connection::{ConnectionProvider, ConnectionProviderRegistry, ConnectionProviderSource};
use crate::error::Error;
use crate::id::OrgId;
use crate::limits::MAX_PAGE;
use crate::sandbox::{Sandbox, Terms};
use crate::store::{ComponentStore, Page};

/// What an org's users can connect with: the platform's own, then the org's active components.
#[derive(Clone)]
pub struct ComponentConnectionProviders {
    built_ins: ConnectionProviderRegistry,
    components: Arc<dyn ComponentStore>,
    sandbox: Sandbox,
}

impl ComponentConnectionProviders {
    /// Joins both.
    pub fn new(built_ins: ConnectionProviderRegistry, components: Arc<dyn ComponentStore>, sandbox: Sandbox) -> Self {
        Self { built_ins, components, sandbox }
    }

    /// Whether an upload may not take an id.
    pub fn is_reserved(&self, id: &str) -> bool {
        self.built_ins.has(id)
    }

    /// The active version of a component; none if it has none, or is of another kind.
    async fn active(&self, org: OrgId, component: &Component) -> Result<Option<Arc<dyn ConnectionProvider>>, Error> {
        let usable = component.kind == ComponentKind::ConnectionProvider && component.archived_at.is_none();
        let Some(number) = component.active_version.filter(|_| usable) else { return Ok(None) };
        let Some(version) = self.components.get_version(org, component.id, number).await? else { return Ok(None) };
        let digest = version.digest;
        let wasm = || async move {
            let wasm = self.components.read_wasm(org, digest).await?;
            wasm.ok_or_else(|| Error::Internal(format!("the bytes of {digest} are not stored")))
        };
        let terms = Terms { version: Some(version.version), grant: version.grant, budget: version.budget };
        Ok(Some(Arc::new(self.sandbox.connection_provider(digest, version.description, terms, wasm).await?.of(org))))
    }
}

#[async_trait]
impl ConnectionProviderSource for ComponentConnectionProviders {
    async fn find(&self, org: OrgId, id: &str) -> Result<Option<Arc<dyn ConnectionProvider>>, Error> {
        if let Some(built_in) = self.built_ins.get(id) {
            return Ok(Some(built_in));
        }
        match self.components.find_component(org, &id.to_lowercase()).await? {
            Some(component) => self.active(org, &component).await,
            None => Ok(None),
        }
    }

    async fn all(&self, org: OrgId) -> Result<Vec<Arc<dyn ConnectionProvider>>, Error> {
        let mut all: Vec<Arc<dyn ConnectionProvider>> = self.built_ins.list().cloned().collect();
        let mut offset = 0;
        loop {
            let listing = self.components.list_components(org, Page { offset, limit: MAX_PAGE }).await?;
            let last = listing.items.len() < MAX_PAGE as usize;
            for component in listing.items.iter().filter(|component| !self.built_ins.has(&component.name)) {
                all.extend(self.active(org, component).await?);
            }
            if last {
                all.sort_by(|one, other| one.id().cmp(other.id()));
                return Ok(all);
            }
            offset += MAX_PAGE;
        }
    }
}
