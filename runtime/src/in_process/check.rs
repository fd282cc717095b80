//! What is wrong with what is to be added, told before anything is stored.

use super::problem::BuildProblem;
use super::seed::{Ground, SeededFile, Seeds};
use crate::driver::{DriverRegistry, ResolvedModel};
use crate::file::FilePath;
use crate::harness::CapabilityConfig;
use crate::id::{AgentId, HarnessId};
use crate::limits::{MAX_FILE_BYTES, MAX_NAME_BYTES};
use crate::platform::{ComponentSource, PlatformDefinition};
use crate::store::StoreResult;
use crate::turn::check_config;

/// Finds problems of seeds.
pub(super) struct Check<'a> {
    pub(super) ground: &'a Ground<'a>,
    pub(super) definition: &'a PlatformDefinition,
    pub(super) problems: &'a mut Vec<BuildProblem>,
}

impl Check<'_> {
    pub(super) async fn seeds(mut self, seeds: &Seeds) -> StoreResult<()> {
        self.duplicates(seeds);
        for harness in &seeds.harnesses {
            let from = format!("harness {:?}", harness.name);
            let stored = self.ground.backends.harness_store.find_harness(self.ground.org, &harness.name).await?;
            self.name("harness", &harness.name, stored.filter(|stored| stored.id != harness.id).map(|stored| stored.id.to_string()));
            self.capabilities_of(&from, &harness.capabilities);
            if let Some(parent) = harness.parent_harness_id {
                self.harness(&from, parent, seeds).await?;
            }
        }
        for agent in &seeds.agents {
            let from = format!("agent {:?}", agent.name);
            let stored = self.ground.backends.agent_store.find_agent(self.ground.org, &agent.name).await?;
            self.name("agent", &agent.name, stored.filter(|stored| stored.id != agent.id).map(|stored| stored.id.to_string()));
            self.capabilities_of(&from, &agent.capabilities);
            self.harness(&from, agent.harness_id, seeds).await?;
        }
        for session in &seeds.sessions {
            let from = session.id.to_string();
            self.capabilities_of(&from, &session.capabilities);
            self.harness(&from, session.harness_id, seeds).await?;
            if let Some(agent) = session.agent_id {
                self.agent(&from, agent, seeds).await?;
            }
        }
        for file in &seeds.files {
            self.file(file, seeds).await?;
        }
        Ok(())
    }

    async fn file(&mut self, file: &SeededFile, seeds: &Seeds) -> StoreResult<()> {
        if let Err(error) = FilePath::parse(&file.path) {
            self.problems.push(BuildProblem::SeededFile { path: file.path.clone(), reason: error.to_string() });
        }
        if file.text.len() > MAX_FILE_BYTES {
            let reason = format!("it has {} bytes; at most {MAX_FILE_BYTES} are allowed", file.text.len());
            self.problems.push(BuildProblem::SeededFile { path: file.path.clone(), reason });
        }
        let given = seeds.sessions.iter().any(|session| session.id == file.session);
        if !given && self.ground.backends.session_store.get_session(self.ground.org, file.session).await?.is_none() {
            let from = format!("the seeded file {:?}", file.path);
            self.problems.push(BuildProblem::Dangling { from, what: "session", id: file.session.to_string() });
        }
        Ok(())
    }

    fn duplicates(&mut self, seeds: &Seeds) {
        let harnesses = seeds.harnesses.iter().flat_map(|harness| [harness.name.clone(), harness.id.to_string()]);
        let agents = seeds.agents.iter().flat_map(|agent| [agent.name.clone(), agent.id.to_string()]);
        let sessions = seeds.sessions.iter().map(|session| session.id.to_string());
        self.repeated("harnesses", harnesses.collect());
        self.repeated("agents", agents.collect());
        self.repeated("sessions", sessions.collect());
    }

    fn repeated(&mut self, what: &'static str, mut keys: Vec<String>) {
        keys.sort();
        let again = keys.chunk_by(|a, b| a == b).filter(|same| same.len() > 1);
        self.problems.extend(again.map(|same| BuildProblem::Duplicate { what, name: same[0].clone() }));
    }

    fn name(&mut self, what: &'static str, name: &str, stored_as: Option<String>) {
        let word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if name.len() > MAX_NAME_BYTES || !name.split('-').all(word) {
            self.problems.push(BuildProblem::InvalidName { what, name: name.to_owned() });
        }
        if let Some(stored) = stored_as {
            self.problems.push(BuildProblem::NameTaken { what, name: name.to_owned(), stored });
        }
    }

    /// Listed capabilities, their configurations, and all that they depend on.
    fn capabilities_of(&mut self, from: &str, listed: &[CapabilityConfig]) {
        for entry in listed {
            let Some(capability) = self.definition.capability_registry().get(&entry.id) else { continue };
            // What a layer does not configure may be configured by another one.
            let checked = entry.config.as_ref().map_or(Ok(()), |config| check_config(&*capability, Some(config)));
            if let Err(problems) = checked {
                let (from, capability) = (from.to_owned(), entry.id.clone());
                self.problems.push(BuildProblem::InvalidConfig { from, capability, problems });
            }
        }
        let mut queue: Vec<Vec<String>> = listed.iter().rev().map(|entry| vec![entry.id.to_lowercase()]).collect();
        let mut seen: Vec<String> = Vec::new();
        while let Some(chain) = queue.pop() {
            let Some(id) = chain.last().cloned() else { continue };
            if seen.contains(&id) {
                continue;
            }
            match self.definition.capability_registry().get(&id) {
                None if self.has_unopened() => {}
                None => self.problems.push(BuildProblem::UnknownCapability { from: from.to_owned(), capability: chain.join(" → ") }),
                Some(capability) => {
                    let needed = capability.dependencies().iter().map(|needed| [chain.clone(), vec![needed.to_lowercase()]].concat());
                    queue.extend(needed);
                }
            }
            seen.push(id);
        }
    }

    /// What a component that could not be opened would have been called is not known.
    fn has_unopened(&self) -> bool {
        self.definition.components().iter().any(|component| !matches!(component.source, ComponentSource::Opened { .. }))
    }

    async fn harness(&mut self, from: &str, id: HarnessId, seeds: &Seeds) -> StoreResult<()> {
        let given = seeds.harnesses.iter().any(|harness| harness.id == id);
        if !given && self.ground.backends.harness_store.get_harness(self.ground.org, id).await?.is_none() {
            self.problems.push(BuildProblem::Dangling { from: from.to_owned(), what: "harness", id: id.to_string() });
        }
        Ok(())
    }

    async fn agent(&mut self, from: &str, id: AgentId, seeds: &Seeds) -> StoreResult<()> {
        let given = seeds.agents.iter().any(|agent| agent.id == id);
        if !given && self.ground.backends.agent_store.get_agent(self.ground.org, id).await?.is_none() {
            self.problems.push(BuildProblem::Dangling { from: from.to_owned(), what: "agent", id: id.to_string() });
        }
        Ok(())
    }
}

/// Whether the model can be called.
pub(super) fn model(model: Option<&ResolvedModel>, drivers: &DriverRegistry) -> Option<BuildProblem> {
    let Some(model) = model else { return Some(BuildProblem::NoDefaultModel) };
    if drivers.has(&model.provider_type) {
        return None;
    }
    let ids: Vec<&str> = drivers.ids().map(|id| id.as_str()).collect();
    let registered = if ids.is_empty() { "none".to_owned() } else { ids.join(", ") };
    Some(BuildProblem::UnknownDriver { model: model.model.clone(), driver: model.provider_type.clone(), registered })
}
