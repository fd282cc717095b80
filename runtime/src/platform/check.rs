//! Judges a definition. Every check adds to the same list, so that all problems are told at once.

use std::collections::{BTreeMap, BTreeSet};

use super::PlatformDefinition as Platform;
use super::component::ComponentSource;
use super::{BuiltInCapabilityDefinition, BuiltInHarnessDefinition, BuiltInHarnessRole, DefinitionErrors, DefinitionProblem, SeedAgent};
use crate::limits::{MAX_HARNESS_DEPTH, MAX_NAME_BYTES};
use crate::turn::{check_config, compile_schema};

pub(super) fn check(platform: &Platform) -> Result<(), DefinitionErrors> {
    let mut problems = Vec::new();
    check_dependencies(platform, &mut problems);
    check_schemas(platform, &mut problems);
    for harness in platform.built_in_harnesses() {
        check_capabilities(platform, harness, &mut problems);
    }
    for agent in platform.seed_agents() {
        check_agent(platform, agent, &mut problems);
    }
    check_keys(platform, &mut problems);
    check_parents(platform.built_in_harnesses(), &mut problems);
    check_roles(platform.built_in_harnesses(), &mut problems);
    if problems.is_empty() { Ok(()) } else { Err(DefinitionErrors(problems)) }
}

/// Whether a capability may exist under this id. What a component that was not opened yet is
/// called is only known once it is; then the definition is judged again.
fn may_exist(platform: &Platform, id: &str) -> bool {
    let unopened = |source: &ComponentSource| !matches!(source, ComponentSource::Opened { .. });
    platform.capability_registry().has(id) || platform.components().iter().any(|component| unopened(&component.source))
}

fn check_dependencies(platform: &Platform, problems: &mut Vec<DefinitionProblem>) {
    let mut graph: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for capability in platform.capability_registry().list() {
        let dependencies = capability.dependencies().iter().map(|dependency| dependency.to_lowercase());
        graph.insert(capability.id().to_lowercase(), dependencies.collect());
    }
    for (capability, dependencies) in &graph {
        for dependency in dependencies.iter().filter(|dependency| !may_exist(platform, dependency)) {
            let (capability, dependency) = (capability.clone(), dependency.clone());
            problems.push(DefinitionProblem::UnknownDependency { capability, dependency });
        }
    }
    problems.extend(cycles(&graph).into_iter().map(DefinitionProblem::DependencyCycle));
}

fn check_schemas(platform: &Platform, problems: &mut Vec<DefinitionProblem>) {
    for capability in platform.capability_registry().list() {
        let Some(schema) = capability.config_schema() else { continue };
        if let Err(problem) = compile_schema(schema) {
            problems.push(DefinitionProblem::BadSchema { capability: capability.id().to_owned(), problem });
        }
    }
}

fn check_capabilities(platform: &Platform, harness: &BuiltInHarnessDefinition, problems: &mut Vec<DefinitionProblem>) {
    for BuiltInCapabilityDefinition { id, config } in &harness.capabilities {
        let Some(capability) = platform.capability_registry().get(id) else {
            if !may_exist(platform, id) {
                problems.push(DefinitionProblem::UnknownCapability { harness: harness.key.clone(), capability: id.clone() });
            }
            continue;
        };
        if let Err(found) = check_config(&*capability, config.as_ref()) {
            let (harness, capability) = (harness.key.clone(), id.clone());
            problems.push(DefinitionProblem::BadConfig { harness, capability, problems: found });
        }
    }
}

/// An agent whose capabilities are not all there is skipped when an org is seeded; one that is
/// seeded must work.
fn check_agent(platform: &Platform, agent: &SeedAgent, problems: &mut Vec<DefinitionProblem>) {
    for BuiltInCapabilityDefinition { id, config } in &agent.capabilities {
        // What an agent does not configure may be configured by its harness.
        let (Some(capability), Some(config)) = (platform.capability_registry().get(id), config) else { continue };
        if let Err(found) = check_config(&*capability, Some(config)) {
            let (agent, capability) = (agent.key.clone(), id.clone());
            problems.push(DefinitionProblem::BadAgentConfig { agent, capability, problems: found });
        }
    }
}

fn check_keys(platform: &Platform, problems: &mut Vec<DefinitionProblem>) {
    let harnesses = platform.built_in_harnesses().iter().map(|harness| ("harness", harness.key.as_str()));
    let agents = platform.seed_agents().iter().map(|agent| ("agent", agent.key.as_str()));
    let mut seen = BTreeSet::new();
    for (what, key) in harnesses.chain(agents) {
        if !is_name(key) {
            problems.push(DefinitionProblem::BadKey { what, key: key.to_owned() });
        }
        if !seen.insert((what, key)) {
            problems.push(match what {
                "harness" => DefinitionProblem::DuplicateHarnessKey(key.to_owned()),
                _ => DefinitionProblem::DuplicateAgentKey(key.to_owned()),
            });
        }
    }
}

/// Words of lower-case letters and digits, joined by hyphens: what the API accepts as a name.
fn is_name(key: &str) -> bool {
    let word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    key.len() <= MAX_NAME_BYTES && key.split('-').all(word)
}

fn check_parents(harnesses: &[BuiltInHarnessDefinition], problems: &mut Vec<DefinitionProblem>) {
    let parents: BTreeMap<&str, Option<&str>> =
        harnesses.iter().map(|harness| (harness.key.as_str(), harness.parent_key.as_deref())).collect();
    for harness in harnesses {
        if let Some(parent) = harness.parent_key.as_deref().filter(|parent| !parents.contains_key(parent)) {
            problems.push(DefinitionProblem::DanglingParent { harness: harness.key.clone(), parent: parent.to_owned() });
        }
    }
    let edges = |(key, parent): (&&str, &Option<&str>)| ((*key).to_owned(), parent.iter().map(|&parent| parent.to_owned()).collect());
    let circles = cycles(&parents.iter().map(edges).collect());
    if circles.is_empty() {
        for harness in harnesses {
            let next = |key: &&str| parents.get(key).copied().flatten();
            let length = std::iter::successors(Some(harness.key.as_str()), next).count();
            if length > MAX_HARNESS_DEPTH {
                problems.push(DefinitionProblem::ChainTooLong { harness: harness.key.clone(), length });
            }
        }
    }
    problems.extend(circles.into_iter().map(DefinitionProblem::ParentCycle));
}

fn check_roles(harnesses: &[BuiltInHarnessDefinition], problems: &mut Vec<DefinitionProblem>) {
    for role in BuiltInHarnessRole::ALL {
        let mut holders = harnesses.iter().filter(|harness| harness.has_role(role));
        if let (Some(first), Some(second)) = (holders.next(), holders.next()) {
            problems.push(DefinitionProblem::DuplicateRole { role, first: first.key.clone(), second: second.key.clone() });
        }
    }
}

/// The circles of a graph, each once, written out from its first node to its first node again.
fn cycles(graph: &BTreeMap<String, Vec<String>>) -> Vec<Vec<String>> {
    let mut search = Search { graph, path: Vec::new(), done: BTreeSet::new(), found: Vec::new() };
    graph.keys().for_each(|node| search.visit(node));
    search.found
}

struct Search<'a> {
    graph: &'a BTreeMap<String, Vec<String>>,
    path: Vec<&'a str>,
    done: BTreeSet<&'a str>,
    found: Vec<Vec<String>>,
}

impl<'a> Search<'a> {
    fn visit(&mut self, node: &'a str) {
        if let Some(start) = self.path.iter().position(|known| *known == node) {
            let circle = self.path[start..].iter().chain([&node]);
            self.found.push(circle.map(|&node| node.to_owned()).collect());
            return;
        }
        if self.done.contains(node) {
            return;
        }
        self.path.push(node);
        for next in self.graph.get(node).into_iter().flatten() {
            self.visit(next);
        }
        self.path.pop();
        self.done.insert(node);
    }
}
