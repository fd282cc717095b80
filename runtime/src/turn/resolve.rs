//! From lists of capability ids to the capabilities of a turn: merge, dependencies, configuration.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::context_error::ContextError;
use super::provenance::Contributor;
use super::toolset::{check, compile};
use crate::capability::{Capability, CapabilitySource};
use crate::event::PinnedCapability;
use crate::harness::CapabilityConfig;
use crate::id::OrgId;
use crate::limits::MAX_CAPABILITIES;
use crate::mutation::off;

/// A capability with its configuration.
#[derive(Clone)]
pub(super) struct ResolvedCapability {
    pub(super) id: String,
    pub(super) capability: Arc<dyn Capability>,
    pub(super) config: Value,
    /// Who asks for it: layers, from the root on, then capabilities that depend on it.
    pub(super) listed_by: Vec<Contributor>,
    /// The layer whose configuration it has; none if no layer gives one.
    pub(super) configured_by: Option<Contributor>,
}

/// A capability that layers ask for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wanted {
    pub(super) entry: CapabilityConfig,
    pub(super) listed_by: Vec<Contributor>,
    pub(super) configured_by: Option<Contributor>,
}

/// Merges layers by id, whatever its case: the first mention decides the place, the last
/// configuration and the last choice of a version that are given win.
pub(super) fn merge<'a>(layers: impl Iterator<Item = (Contributor, &'a [CapabilityConfig])>) -> Vec<Wanted> {
    let mut merged: Vec<Wanted> = Vec::new();
    for (layer, entries) in layers {
        for entry in entries {
            let id = entry.id.to_lowercase();
            let at = merged.iter().position(|known| known.entry.id == id).unwrap_or_else(|| {
                merged.push(Wanted { entry: CapabilityConfig::new(id), listed_by: Vec::new(), configured_by: None });
                merged.len() - 1
            });
            let known = &mut merged[at];
            if known.listed_by.last() != Some(&layer) {
                known.listed_by.push(layer.clone());
            }
            if entry.choice().is_some() {
                (known.entry.version, known.entry.channel) = (entry.version, entry.channel.clone());
            }
            if entry.config.is_some() {
                known.entry.config = entry.config.clone();
                known.configured_by = Some(layer.clone());
            }
        }
    }
    merged
}

/// Finds the capabilities and all that they depend on; dependencies come before dependents.
pub(super) async fn resolve(
    source: &dyn CapabilitySource,
    org: OrgId,
    wanted: Vec<Wanted>,
) -> Result<Vec<ResolvedCapability>, ContextError> {
    let found = find_all(source, org, &wanted).await?;
    let mut order = Order { found: &found, path: Vec::new(), done: Vec::new() };
    for wanted in &wanted {
        order.visit(&wanted.entry.id)?;
    }
    let mut resolved = Vec::with_capacity(order.done.len());
    for id in order.done {
        let capability = found[&id].clone();
        resolved.push(configured(id, capability, &wanted)?);
    }
    note_dependents(&mut resolved);
    Ok(resolved)
}

/// Finds exactly the capabilities with which a turn started.
pub(super) async fn resolve_pinned(
    source: &dyn CapabilitySource,
    org: OrgId,
    wanted: &[Wanted],
    pins: &[PinnedCapability],
) -> Result<Vec<ResolvedCapability>, ContextError> {
    let mut resolved = Vec::with_capacity(pins.len());
    for pin in pins {
        let found = source.find_pinned(org, pin).await?;
        let capability = found.ok_or_else(|| ContextError::PinGone { id: pin.id.clone(), version: pin.version })?;
        resolved.push(configured(pin.id.to_lowercase(), capability, wanted)?);
    }
    note_dependents(&mut resolved);
    Ok(resolved)
}

fn configured(id: String, capability: Arc<dyn Capability>, wanted: &[Wanted]) -> Result<ResolvedCapability, ContextError> {
    let wanted = wanted.iter().find(|wanted| wanted.entry.id == id);
    let config = wanted.and_then(|wanted| wanted.entry.config.clone()).unwrap_or_else(|| Value::Object(Map::new()));
    if let Some(schema) = capability.config_schema() {
        let validator = compile(schema, &id, || "configuration schema".to_owned())?;
        check(&validator, &config).map_err(|problems| ContextError::ConfigInvalid { id: id.clone(), problems })?;
    }
    if let Err(problems) = capability.validate_config(&config) {
        return Err(ContextError::ConfigInvalid { id, problems: problems.join("; ") });
    }
    let listed_by = wanted.map(|wanted| wanted.listed_by.clone()).unwrap_or_default();
    let configured_by = wanted.and_then(|wanted| wanted.configured_by.clone());
    Ok(ResolvedCapability { id, capability, config, listed_by, configured_by })
}

/// Adds to each capability the ones that depend on it.
fn note_dependents(resolved: &mut [ResolvedCapability]) {
    let capabilities: Vec<(String, Arc<dyn Capability>)> =
        resolved.iter().map(|resolved| (resolved.id.clone(), resolved.capability.clone())).collect();
    for needed in resolved {
        let needs = |capability: &Arc<dyn Capability>| capability.dependencies().iter().any(|id| id.to_lowercase() == needed.id);
        let dependents = capabilities.iter().filter(|(_, capability)| needs(capability));
        let dependents: Vec<Contributor> = dependents.map(|(id, _)| Contributor::Capability { id: id.clone() }).collect();
        needed.listed_by.extend(dependents);
    }
}

/// Looks up the wanted capabilities and, breadth first, what they depend on.
async fn find_all(
    source: &dyn CapabilitySource,
    org: OrgId,
    wanted: &[Wanted],
) -> Result<HashMap<String, Arc<dyn Capability>>, ContextError> {
    let mut found: HashMap<String, Arc<dyn Capability>> = HashMap::new();
    let mut needed_by: HashMap<String, String> = HashMap::new();
    let mut queue: VecDeque<String> = wanted.iter().map(|wanted| wanted.entry.id.clone()).collect();
    while let Some(id) = queue.pop_front() {
        if found.contains_key(&id) {
            continue;
        }
        if found.len() >= MAX_CAPABILITIES && !off("turn.capabilities") {
            return Err(ContextError::TooManyCapabilities { limit: MAX_CAPABILITIES });
        }
        let choice = wanted.iter().find(|wanted| wanted.entry.id == id).and_then(|wanted| wanted.entry.choice());
        let capability = match choice {
            Some(choice) => {
                let chosen = source.find_chosen(org, &id, &choice).await?;
                chosen.map_err(|problem| ContextError::VersionUnavailable { problem })?
            }
            None => match source.find(org, &id).await? {
                Some(capability) => capability,
                None => return Err(ContextError::CapabilityUnknown { chain: chain_to(&id, &needed_by), id }),
            },
        };
        for dependency in capability.dependencies() {
            let dependency = dependency.to_lowercase();
            if !wanted.iter().any(|wanted| wanted.entry.id == dependency) && !found.contains_key(&dependency) {
                needed_by.entry(dependency.clone()).or_insert_with(|| id.clone());
            }
            queue.push_back(dependency);
        }
        found.insert(id, capability);
    }
    Ok(found)
}

fn chain_to(id: &str, needed_by: &HashMap<String, String>) -> String {
    let mut chain = vec![id];
    let mut at = id;
    while let Some(parent) = needed_by.get(at) {
        chain.push(parent);
        at = parent;
    }
    chain.reverse();
    chain.join(" → ")
}

/// Depth-first order of dependencies.
struct Order<'a> {
    found: &'a HashMap<String, Arc<dyn Capability>>,
    path: Vec<String>,
    done: Vec<String>,
}

impl Order<'_> {
    fn visit(&mut self, id: &str) -> Result<(), ContextError> {
        if self.done.iter().any(|known| known == id) {
            return Ok(());
        }
        self.path.push(id.to_owned());
        if let Some(start) = self.path[..self.path.len() - 1].iter().position(|known| known == id) {
            return Err(ContextError::CapabilityCycle { chain: self.path[start..].join(" → ") });
        }
        let capability = self.found[id].clone();
        for dependency in capability.dependencies() {
            self.visit(&dependency.to_lowercase())?;
        }
        self.path.pop();
        self.done.push(id.to_owned());
        Ok(())
    }
}
