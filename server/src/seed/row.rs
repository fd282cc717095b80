//! Harnesses and agents as one thing, so that the rules of seeding are written once.

use everwit_runtime::agent::Agent;
use everwit_runtime::component::Digest;
use everwit_runtime::harness::{CapabilityConfig, Harness, ResourceStatus};
use everwit_runtime::id::{AgentId, HarnessId, OrgId};
use everwit_runtime::platform::{BuiltInCapabilityDefinition, BuiltInHarnessDefinition, SeedAgent};
use everwit_runtime::store::{RuntimeBackends, SeedKind, StoreError, StoreResult};
use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use crate::moments::Moments;

/// What is not content: it changes without anybody changing the resource, or says who made it.
const NOT_CONTENT: [&str; 6] = ["id", "version", "status", "is_built_in", "created_at", "updated_at"];

/// A resource that can be seeded.
#[derive(Debug, Clone)]
pub(super) enum Row {
    Harness(Harness),
    Agent(Agent),
}

fn configs(capabilities: &[BuiltInCapabilityDefinition]) -> Vec<CapabilityConfig> {
    capabilities.iter().map(BuiltInCapabilityDefinition::to_config).collect()
}

impl Row {
    /// The harness that a template becomes.
    pub(super) fn of_harness(template: &BuiltInHarnessDefinition, parent: Option<HarnessId>, moments: &Moments) -> Self {
        let now = moments.now();
        Self::Harness(Harness {
            id: HarnessId::from_uuid(moments.uuid()),
            name: template.key.clone(),
            display_name: Some(template.name.clone()),
            description: Some(template.description.clone()),
            system_prompt: Some(template.system_prompt.clone()),
            parent_harness_id: parent,
            default_model_id: None,
            capabilities: configs(&template.capabilities),
            initial_files: Vec::new(),
            tags: template.tags.clone(),
            is_built_in: true,
            status: ResourceStatus::Active,
            version: 1,
            created_at: now,
            updated_at: now,
        })
    }

    /// The agent that a template becomes.
    pub(super) fn of_agent(template: &SeedAgent, harness_id: HarnessId, moments: &Moments) -> Self {
        let now = moments.now();
        Self::Agent(Agent {
            id: AgentId::from_uuid(moments.uuid()),
            name: template.key.clone(),
            display_name: template.display_name.clone(),
            description: template.description.clone(),
            system_prompt: template.system_prompt.clone(),
            harness_id,
            capabilities: configs(&template.capabilities),
            default_model_id: None,
            tools: Vec::new(),
            max_iterations: None,
            initial_files: Vec::new(),
            tags: template.tags.clone(),
            status: ResourceStatus::Active,
            version: 1,
            created_at: now,
            updated_at: now,
        })
    }

    pub(super) fn kind(&self) -> SeedKind {
        match self {
            Self::Harness(_) => SeedKind::Harness,
            Self::Agent(_) => SeedKind::Agent,
        }
    }

    pub(super) fn id(&self) -> Uuid {
        match self {
            Self::Harness(harness) => harness.id.uuid(),
            Self::Agent(agent) => agent.id.uuid(),
        }
    }

    pub(super) fn is_active(&self) -> bool {
        match self {
            Self::Harness(harness) => harness.status == ResourceStatus::Active,
            Self::Agent(agent) => agent.status == ResourceStatus::Active,
        }
    }

    /// Whether nobody but seeding can have made it.
    pub(super) fn is_built_in(&self) -> bool {
        matches!(self, Self::Harness(harness) if harness.is_built_in)
    }

    /// Digest of its content.
    pub(super) fn digest(&self) -> StoreResult<Digest> {
        let json = match self {
            Self::Harness(harness) => serde_json::to_value(harness),
            Self::Agent(agent) => serde_json::to_value(agent),
        };
        let mut json = json.map_err(|error| StoreError::Corrupt(format!("a resource cannot be written as JSON: {error}")))?;
        if let Value::Object(members) = &mut json {
            NOT_CONTENT.iter().for_each(|name| drop(members.remove(*name)));
        }
        Ok(Digest::of(json.to_string().as_bytes()))
    }

    /// The next version of this resource, active and with the content of another.
    pub(super) fn with_content_of(self, other: Self, now: Timestamp) -> Self {
        match (self, other) {
            (Self::Harness(own), Self::Harness(other)) => {
                Self::Harness(Harness { id: own.id, version: own.version + 1, created_at: own.created_at, updated_at: now, ..other })
            }
            (Self::Agent(own), Self::Agent(other)) => {
                Self::Agent(Agent { id: own.id, version: own.version + 1, created_at: own.created_at, updated_at: now, ..other })
            }
            (own, _) => own,
        }
    }

    /// The next version of this resource, archived.
    pub(super) fn archived(self, now: Timestamp) -> Self {
        let status = ResourceStatus::Archived;
        match self {
            Self::Harness(own) => Self::Harness(Harness { status, version: own.version + 1, updated_at: now, ..own }),
            Self::Agent(own) => Self::Agent(Agent { status, version: own.version + 1, updated_at: now, ..own }),
        }
    }

    pub(super) async fn get(stores: &RuntimeBackends, org: OrgId, kind: SeedKind, id: Uuid) -> StoreResult<Option<Self>> {
        Ok(match kind {
            SeedKind::Harness => stores.harness_store.get_harness(org, HarnessId::from_uuid(id)).await?.map(Self::Harness),
            SeedKind::Agent => stores.agent_store.get_agent(org, AgentId::from_uuid(id)).await?.map(Self::Agent),
        })
    }

    pub(super) async fn find(stores: &RuntimeBackends, org: OrgId, kind: SeedKind, name: &str) -> StoreResult<Option<Self>> {
        Ok(match kind {
            SeedKind::Harness => stores.harness_store.find_harness(org, name).await?.map(Self::Harness),
            SeedKind::Agent => stores.agent_store.find_agent(org, name).await?.map(Self::Agent),
        })
    }

    pub(super) async fn add(self, stores: &RuntimeBackends, org: OrgId) -> StoreResult<()> {
        match self {
            Self::Harness(harness) => stores.harness_store.add_harness(org, harness).await,
            Self::Agent(agent) => stores.agent_store.add_agent(org, agent).await,
        }
    }

    pub(super) async fn update(self, stores: &RuntimeBackends, org: OrgId) -> StoreResult<()> {
        match self {
            Self::Harness(harness) => stores.harness_store.update_harness(org, harness).await,
            Self::Agent(agent) => stores.agent_store.update_agent(org, agent).await,
        }
    }
}
