//! What is to be in the stores when a runtime starts.

use super::single::SingleSession;
use crate::agent::Agent;
use crate::clock::Clock;
use crate::error::Error;
use crate::event::{EventContext, EventData, NewEvent};
use crate::file::{FilePath, InitialFile};
use crate::harness::{CapabilityConfig, Harness, ResourceStatus};
use crate::id::{AgentId, EventId, HarnessId, IdSource, OrgId, SessionId};
use crate::platform::{BuiltInCapabilityDefinition, BuiltInHarnessDefinition, BuiltInHarnessRole, PlatformDefinition, SeedAgent};
use crate::session::Session;
use crate::store::{RuntimeBackends, StoreError, StoreResult};
use crate::turn::write_initial_files;

/// What the builder is told to add.
#[derive(Default)]
pub(super) struct Seeds {
    pub(super) harnesses: Vec<Harness>,
    pub(super) agents: Vec<Agent>,
    pub(super) sessions: Vec<Session>,
    pub(super) single: Option<SingleSession>,
    pub(super) files: Vec<SeededFile>,
}

/// A file that a session starts with.
pub(super) struct SeededFile {
    pub(super) session: SessionId,
    pub(super) path: String,
    pub(super) text: String,
}

/// The harnesses of the roles.
pub(super) type RoleHarnesses = Vec<(BuiltInHarnessRole, HarnessId)>;

/// Where things are stored, and what they are made with.
pub(super) struct Ground<'a> {
    pub(super) backends: &'a RuntimeBackends,
    pub(super) org: OrgId,
    pub(super) clock: &'a dyn Clock,
    pub(super) ids: &'a dyn IdSource,
}

impl Seeds {
    /// Turns the single session into a harness, an agent and a session; returns its id.
    pub(super) async fn unfold_single(&mut self, ground: &Ground<'_>, roles: &RoleHarnesses) -> StoreResult<Option<SessionId>> {
        let Some(single) = self.single.take() else { return Ok(None) };
        let base = roles.iter().find(|(role, _)| *role == BuiltInHarnessRole::Base).map(|(_, id)| *id);
        let (mut harness, mut agent, mut session) = single.parts(base);
        if let Some(harness) = &mut harness
            && let Some(stored) = ground.backends.harness_store.find_harness(ground.org, &harness.name).await?
        {
            harness.id = stored.id;
            session.harness_id = stored.id;
        }
        if let Some(agent) = &mut agent {
            agent.harness_id = session.harness_id;
            if let Some(stored) = ground.backends.agent_store.find_agent(ground.org, &agent.name).await? {
                agent.id = stored.id;
                session.agent_id = Some(stored.id);
            }
        }
        let id = session.id;
        self.harnesses.extend(harness);
        self.agents.extend(agent);
        self.sessions.push(session);
        Ok(Some(id))
    }

    /// Adds the harnesses and agents of a platform, each under the id of the stored one of this name
    /// if there is one; returns which harness has which role. An agent whose harness or capabilities
    /// are not part of the platform is left out.
    pub(super) async fn add_templates(&mut self, ground: &Ground<'_>, definition: &PlatformDefinition) -> StoreResult<RoleHarnesses> {
        let mut ids: Vec<(String, HarnessId)> = Vec::new();
        for template in definition.built_in_harnesses() {
            let stored = ground.backends.harness_store.find_harness(ground.org, &template.key).await?;
            let id = stored.map_or_else(|| HarnessId::from_uuid(ground.ids.next()), |stored| stored.id);
            ids.push((template.key.clone(), id));
        }
        let id_of = |key: &str| ids.iter().find(|(known, _)| known == key).map(|(_, id)| *id);
        let mut roles = Vec::new();
        for template in definition.built_in_harnesses() {
            let Some(id) = id_of(&template.key) else { continue };
            let parent = template.parent_key.as_deref().and_then(id_of);
            self.harnesses.push(Harness { id, parent_harness_id: parent, ..of_template(template, ground) });
            roles.extend(template.roles.iter().map(|role| (*role, id)));
        }
        for template in definition.seed_agents() {
            let Some(harness) = id_of(&template.harness_key) else { continue };
            if !template.capabilities.iter().all(|listed| definition.capability_registry().has(&listed.id)) {
                continue;
            }
            let stored = ground.backends.agent_store.find_agent(ground.org, &template.key).await?;
            let id = stored.map_or_else(|| AgentId::from_uuid(ground.ids.next()), |stored| stored.id);
            self.agents.push(Agent { id, ..of_agent_template(template, harness, ground) });
        }
        Ok(roles)
    }

    /// Stores what is not stored yet; a harness after the one that it extends.
    pub(super) async fn store(self, ground: &Ground<'_>) -> Result<(), Error> {
        let Ground { backends, org, .. } = ground;
        let mut waiting = self.harnesses;
        while !waiting.is_empty() {
            let left: Vec<HarnessId> = waiting.iter().map(|harness| harness.id).collect();
            let is_ready = |harness: &Harness| !harness.parent_harness_id.is_some_and(|parent| left.contains(&parent));
            let (mut ready, later): (Vec<_>, Vec<_>) = waiting.into_iter().partition(is_ready);
            waiting = later;
            if ready.is_empty() {
                // They extend each other in a circle, of which turns and `load_context` name the chain.
                ready = std::mem::take(&mut waiting);
            }
            for harness in ready {
                if backends.harness_store.get_harness(*org, harness.id).await?.is_none() {
                    backends.harness_store.add_harness(*org, harness).await?;
                }
            }
        }
        for agent in self.agents {
            if backends.agent_store.get_agent(*org, agent.id).await?.is_none() {
                backends.agent_store.add_agent(*org, agent).await?;
            }
        }
        for session in self.sessions {
            if backends.session_store.get_session(*org, session.id).await?.is_none() {
                add_session(ground, session).await?;
            }
        }
        for file in self.files {
            let path = FilePath::parse(&file.path).map_err(|error| StoreError::Invalid(error.to_string()))?;
            let file_store = &backends.file_store;
            file_store.seed_initial_file(*org, file.session, &InitialFile::text(path, file.text), ground.clock.now()).await?;
        }
        Ok(())
    }
}

/// Stores a session with its starter files and its first event, and tells the listeners.
pub(super) async fn add_session(ground: &Ground<'_>, session: Session) -> Result<(), Error> {
    // Before the session is there, so that no turn can run without them.
    write_initial_files(ground.backends, ground.org, &session).await?;
    let data = EventData::SessionStarted { harness_id: session.harness_id, agent_id: session.agent_id };
    let id = EventId::from_uuid(ground.ids.next());
    let started = NewEvent { id, ts: ground.clock.now(), context: EventContext::default(), data };
    let event = ground.backends.session_store.add_session(ground.org, session, started).await?;
    ground.backends.event_bus.emit(event);
    Ok(())
}

fn of_template(template: &BuiltInHarnessDefinition, ground: &Ground<'_>) -> Harness {
    let now = ground.clock.now();
    Harness {
        display_name: Some(template.name.clone()),
        description: Some(template.description.clone()),
        capabilities: capabilities_of(&template.capabilities),
        initial_files: Vec::new(),
        tags: template.tags.clone(),
        is_built_in: true,
        status: ResourceStatus::Active,
        created_at: now,
        updated_at: now,
        ..Harness::new(template.key.clone(), template.system_prompt.clone())
    }
}

fn of_agent_template(template: &SeedAgent, harness: HarnessId, ground: &Ground<'_>) -> Agent {
    let now = ground.clock.now();
    Agent {
        display_name: template.display_name.clone(),
        description: template.description.clone(),
        capabilities: capabilities_of(&template.capabilities),
        tags: template.tags.clone(),
        created_at: now,
        updated_at: now,
        ..Agent::new(template.key.clone(), template.system_prompt.clone(), harness)
    }
}

fn capabilities_of(listed: &[BuiltInCapabilityDefinition]) -> Vec<CapabilityConfig> {
    listed.iter().map(BuiltInCapabilityDefinition::to_config).collect()
}
