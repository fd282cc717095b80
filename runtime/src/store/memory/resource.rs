//! Harnesses and agents: named rows with a version.

use async_trait::async_trait;

use super::table::Table;
use super::{MemoryStore, Tenant};
use crate::agent::Agent;
use crate::harness::Harness;
use crate::id::{AgentId, HarnessId, OrgId};
use crate::store::rules::{follows, whole_micros};
use crate::store::{Listing, Page, RuntimeAgentStore, RuntimeHarnessStore, StoreError, StoreResult};

/// What harnesses and agents have in common.
pub(super) trait Resource: Clone + Sized {
    const WHAT: &'static str;
    type Id: Copy + Eq + std::hash::Hash + ToString;

    fn id(&self) -> Self::Id;
    fn name(&self) -> &str;
    fn version(&self) -> u64;
    /// The row with its times as they are stored.
    fn into_stored(self) -> Self;
}

impl Resource for Harness {
    const WHAT: &'static str = "harness";
    type Id = HarnessId;

    fn id(&self) -> HarnessId {
        self.id
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> u64 {
        self.version
    }

    fn into_stored(self) -> Self {
        Self { created_at: whole_micros(self.created_at), updated_at: whole_micros(self.updated_at), ..self }
    }
}

impl Resource for Agent {
    const WHAT: &'static str = "agent";
    type Id = AgentId;

    fn id(&self) -> AgentId {
        self.id
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> u64 {
        self.version
    }

    fn into_stored(self) -> Self {
        Self { created_at: whole_micros(self.created_at), updated_at: whole_micros(self.updated_at), ..self }
    }
}

impl<T: Resource> Table<T::Id, T> {
    fn find(&self, name: &str) -> Option<&T> {
        self.iter().find(|row| row.name() == name)
    }

    fn add_named(&mut self, row: T) -> StoreResult<()> {
        let id = row.id();
        if self.contains(id) {
            return Err(StoreError::Duplicate { what: T::WHAT, id: id.to_string() });
        }
        if self.find(row.name()).is_some() {
            return Err(StoreError::Duplicate { what: T::WHAT, id: row.name().to_owned() });
        }
        self.add(id, row.into_stored());
        Ok(())
    }

    fn update_named(&mut self, row: T) -> StoreResult<()> {
        let id = row.id();
        let name_taken = self.find(row.name()).is_some_and(|other| other.id() != id);
        let Some(stored) = self.get_mut(id) else {
            return Err(StoreError::NotFound { what: T::WHAT, id: id.to_string() });
        };
        if !follows(stored.version(), row.version()) {
            return Err(StoreError::Stale { what: T::WHAT, id: id.to_string() });
        }
        if name_taken {
            return Err(StoreError::Duplicate { what: T::WHAT, id: row.name().to_owned() });
        }
        *stored = row.into_stored();
        Ok(())
    }
}

#[async_trait]
impl RuntimeHarnessStore for MemoryStore {
    async fn add_harness(&self, org: OrgId, harness: Harness) -> StoreResult<()> {
        self.write(org, |tenant: &mut Tenant| tenant.harnesses.add_named(harness))
    }

    async fn get_harness(&self, org: OrgId, id: HarnessId) -> StoreResult<Option<Harness>> {
        Ok(self.read(org, |tenant| tenant.harnesses.get(id).cloned()))
    }

    async fn find_harness(&self, org: OrgId, name: &str) -> StoreResult<Option<Harness>> {
        Ok(self.read(org, |tenant| tenant.harnesses.find(name).cloned()))
    }

    async fn update_harness(&self, org: OrgId, harness: Harness) -> StoreResult<()> {
        self.write(org, |tenant| tenant.harnesses.update_named(harness))
    }

    async fn list_harnesses(&self, org: OrgId, page: Page) -> StoreResult<Listing<Harness>> {
        Ok(self.read(org, |tenant| tenant.harnesses.list(page, Clone::clone)))
    }
}

#[async_trait]
impl RuntimeAgentStore for MemoryStore {
    async fn add_agent(&self, org: OrgId, agent: Agent) -> StoreResult<()> {
        self.write(org, |tenant| tenant.agents.add_named(agent))
    }

    async fn get_agent(&self, org: OrgId, id: AgentId) -> StoreResult<Option<Agent>> {
        Ok(self.read(org, |tenant| tenant.agents.get(id).cloned()))
    }

    async fn find_agent(&self, org: OrgId, name: &str) -> StoreResult<Option<Agent>> {
        Ok(self.read(org, |tenant| tenant.agents.find(name).cloned()))
    }

    async fn update_agent(&self, org: OrgId, agent: Agent) -> StoreResult<()> {
        self.write(org, |tenant| tenant.agents.update_named(agent))
    }

    async fn list_agents(&self, org: OrgId, page: Page) -> StoreResult<Listing<Agent>> {
        Ok(self.read(org, |tenant| tenant.agents.list(page, Clone::clone)))
    }
}
