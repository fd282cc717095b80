//! What orgs are set up with.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;

use uuid::Uuid;

use super::{MemoryStore, Tenant};
use crate::harness::{Harness, ResourceStatus};
use crate::id::{AgentId, HarnessId, OrgId, SessionId};
use crate::store::rules::{follows, page_limit, whole_micros};
use crate::store::{Listing, Org, OrgSetupStore, Page, Seed, SeedKind, StoreError, StoreResult};

/// What one org is set up with, its settings excepted.
#[derive(Default)]
pub(super) struct Setup {
    seeds: BTreeMap<(SeedKind, String), Seed>,
    chats: HashMap<String, SessionId>,
}

fn missing(org: OrgId) -> StoreError {
    StoreError::NotFound { what: "org", id: org.to_string() }
}

impl MemoryStore {
    fn require_org(&self, org: OrgId) -> StoreResult<()> {
        self.lock().orgs.get(org).map(|_| ()).ok_or_else(|| missing(org))
    }
}

#[async_trait]
impl OrgSetupStore for MemoryStore {
    async fn list_orgs(&self, page: Page) -> StoreResult<Listing<Org>> {
        let state = self.lock();
        let all = state.orgs.list();
        let items = all.iter().skip(page.offset as usize).take(page_limit(page) as usize).cloned().collect();
        Ok(Listing { items, total: all.len() as u64 })
    }

    async fn get_org(&self, id: OrgId) -> StoreResult<Option<Org>> {
        Ok(self.lock().orgs.get(id).cloned())
    }

    async fn update_org(&self, changed: Org) -> StoreResult<()> {
        let mut state = self.lock();
        let stored = state.orgs.get_mut(changed.id).ok_or_else(|| missing(changed.id))?;
        if !follows(stored.version, changed.version) {
            return Err(StoreError::Stale { what: "org", id: changed.id.to_string() });
        }
        let (name, created_at) = (stored.name.clone(), stored.created_at);
        *stored = Org { name, created_at, updated_at: whole_micros(changed.updated_at), ..changed };
        Ok(())
    }

    async fn list_seeds(&self, org: OrgId) -> StoreResult<Vec<Seed>> {
        Ok(self.read(org, |tenant| tenant.setup.seeds.values().cloned().collect()))
    }

    async fn find_seed(&self, org: OrgId, kind: SeedKind, key: &str) -> StoreResult<Option<Seed>> {
        Ok(self.read(org, |tenant| tenant.setup.seeds.get(&(kind, key.to_owned())).cloned()))
    }

    async fn put_seed(&self, org: OrgId, seed: Seed) -> StoreResult<bool> {
        self.require_org(org)?;
        Ok(self.write(org, |tenant| tenant.setup.seeds.insert((seed.kind, seed.key.clone()), seed).is_none()))
    }

    async fn is_used(&self, org: OrgId, kind: SeedKind, id: Uuid) -> StoreResult<bool> {
        let state = self.lock();
        let none = Tenant::default();
        let tenant = state.tenants.get(&org).unwrap_or(&none);
        let sessions = || tenant.sessions.table.iter().map(|row| &row.session);
        if kind == SeedKind::Agent {
            return Ok(sessions().any(|session| session.agent_id == Some(AgentId::from_uuid(id))));
        }
        let id = HarnessId::from_uuid(id);
        let chosen = |org: &Org| org.base_harness_id == Some(id) || (org.default_harness_id == Some(id) && !org.default_is_seeded);
        let by_agent = tenant.agents.iter().any(|agent| agent.harness_id == id && agent.status == ResourceStatus::Active);
        let is_child = |child: &Harness| child.parent_harness_id == Some(id) && child.status == ResourceStatus::Active;
        let by_child = tenant.harnesses.iter().any(is_child);
        Ok(by_agent || by_child || state.orgs.get(org).is_some_and(chosen) || sessions().any(|session| session.harness_id == id))
    }

    async fn delete_unused(&self, org: OrgId, kind: SeedKind, id: Uuid, expected: u64) -> StoreResult<()> {
        let mut state = self.lock();
        let settings = state.orgs.get(org).cloned();
        let mut none = Tenant::default();
        let tenant = state.tenants.get_mut(&org).unwrap_or(&mut none);
        let mut sessions = tenant.sessions.table.iter().map(|row| &row.session);
        match kind {
            SeedKind::Agent => {
                let agent = AgentId::from_uuid(id);
                check_deletable("agent", agent, tenant.agents.get(agent).map(|agent| agent.version), expected)?;
                refuse_used("agent", agent, &[("sessions", sessions.any(|session| session.agent_id == Some(agent)))])?;
                tenant.agents.remove(agent);
            }
            SeedKind::Harness => {
                let harness = HarnessId::from_uuid(id);
                check_deletable("harness", harness, tenant.harnesses.get(harness).map(|harness| harness.version), expected)?;
                let chosen = |org: Org| [org.base_harness_id, org.default_harness_id].contains(&Some(harness));
                let uses = [
                    ("agents", tenant.agents.iter().any(|agent| agent.harness_id == harness)),
                    ("harnesses that extend it", tenant.harnesses.iter().any(|child| child.parent_harness_id == Some(harness))),
                    ("the settings of the org", settings.is_some_and(chosen)),
                    ("sessions", sessions.any(|session| session.harness_id == harness)),
                ];
                refuse_used("harness", harness, &uses)?;
                tenant.harnesses.remove(harness);
            }
        }
        Ok(())
    }

    async fn chat_session(&self, org: OrgId, subject: &str) -> StoreResult<Option<SessionId>> {
        Ok(self.read(org, |tenant| tenant.setup.chats.get(subject).copied()))
    }

    async fn replace_chat_session(&self, org: OrgId, subject: &str, stale: Option<SessionId>, fresh: SessionId) -> StoreResult<SessionId> {
        self.require_org(org)?;
        Ok(self.write(org, |tenant| match tenant.setup.chats.get(subject) {
            Some(&current) if Some(current) != stale => current,
            _ => {
                tenant.setup.chats.insert(subject.to_owned(), fresh);
                fresh
            }
        }))
    }
}

fn check_deletable(what: &'static str, id: impl ToString, version: Option<u64>, expected: u64) -> StoreResult<()> {
    match version {
        None => Err(StoreError::NotFound { what, id: id.to_string() }),
        Some(version) if version != expected => Err(StoreError::Stale { what, id: id.to_string() }),
        Some(_) => Ok(()),
    }
}

fn refuse_used(what: &'static str, id: impl ToString, uses: &[(&'static str, bool)]) -> StoreResult<()> {
    match uses.iter().find(|(_, used)| *used) {
        Some((by, _)) => Err(StoreError::InUse { what, id: id.to_string(), by }),
        None => Ok(()),
    }
}
