//! From lists of capability ids to the capabilities of a turn: merge, dependencies, configuration.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::context_error::ContextError;
use super::toolset::{check, compile};
use crate::capability::{Capability, CapabilitySource};
use crate::event::PinnedCapability;
use crate::harness::CapabilityConfig;
use crate::id::OrgId;
use crate::limits::MAX_CAPABILITIES;

/// A capability with its configuration.
#[derive(Clone)]
pub(super) struct ResolvedCapability {
    pub(super) id: String,
    pub(super) capability: Arc<dyn Capability>,
    pub(super) config: Value,
}

/// Merges layers by id, whatever its case: the first mention decides the place, the last
/// configuration that is given wins.
pub(super) fn merge<'a>(layers: impl Iterator<Item = &'a [CapabilityConfig]>) -> Vec<CapabilityConfig> {
    let mut merged: Vec<CapabilityConfig> = Vec::new();
    for entry in layers.flatten() {
        let id = entry.id.to_lowercase();
        match merged.iter_mut().find(|known| known.id == id) {
            Some(known) if entry.config.is_some() => known.config = entry.config.clone(),
            Some(_) => {}
            None => merged.push(CapabilityConfig { id, config: entry.config.clone() }),
        }
    }
    merged
}

/// Finds the capabilities and all that they depend on; dependencies come before dependents.
pub(super) async fn resolve(
    source: &dyn CapabilitySource,
    org: OrgId,
    wanted: Vec<CapabilityConfig>,
) -> Result<Vec<ResolvedCapability>, ContextError> {
    let found = find_all(source, org, &wanted).await?;
    let mut order = Order { found: &found, path: Vec::new(), done: Vec::new() };
    for entry in &wanted {
        order.visit(&entry.id)?;
    }
    let mut configs: HashMap<String, Option<Value>> = wanted.into_iter().map(|entry| (entry.id, entry.config)).collect();
    let mut resolved = Vec::with_capacity(order.done.len());
    for id in order.done {
        let config = configs.remove(&id).flatten();
        resolved.push(configured(id.clone(), found[&id].clone(), config)?);
    }
    Ok(resolved)
}

/// Finds exactly the capabilities with which a turn started.
pub(super) async fn resolve_pinned(
    source: &dyn CapabilitySource,
    org: OrgId,
    wanted: &[CapabilityConfig],
    pins: &[PinnedCapability],
) -> Result<Vec<ResolvedCapability>, ContextError> {
    let mut resolved = Vec::with_capacity(pins.len());
    for pin in pins {
        let found = source.find_pinned(org, pin).await?;
        let capability = found.ok_or_else(|| ContextError::PinGone { id: pin.id.clone(), version: pin.version })?;
        let id = pin.id.to_lowercase();
        let config = wanted.iter().find(|entry| entry.id == id).and_then(|entry| entry.config.clone());
        resolved.push(configured(id, capability, config)?);
    }
    Ok(resolved)
}

fn configured(id: String, capability: Arc<dyn Capability>, config: Option<Value>) -> Result<ResolvedCapability, ContextError> {
    let config = config.unwrap_or_else(|| Value::Object(Map::new()));
    if let Some(schema) = capability.config_schema() {
        let validator = compile(schema, &id, || "configuration schema".to_owned())?;
        check(&validator, &config).map_err(|problems| ContextError::ConfigInvalid { id: id.clone(), problems })?;
    }
    Ok(ResolvedCapability { id, capability, config })
}

/// Looks up the wanted capabilities and, breadth first, what they depend on.
async fn find_all(
    source: &dyn CapabilitySource,
    org: OrgId,
    wanted: &[CapabilityConfig],
) -> Result<HashMap<String, Arc<dyn Capability>>, ContextError> {
    let mut found: HashMap<String, Arc<dyn Capability>> = HashMap::new();
    let mut needed_by: HashMap<String, String> = HashMap::new();
    let mut queue: VecDeque<String> = wanted.iter().map(|entry| entry.id.clone()).collect();
    while let Some(id) = queue.pop_front() {
        if found.contains_key(&id) {
            continue;
        }
        if found.len() == MAX_CAPABILITIES {
            return Err(ContextError::TooManyCapabilities { limit: MAX_CAPABILITIES });
        }
        let Some(capability) = source.find(org, &id).await? else {
            let chain = chain_to(&id, &needed_by);
            return Err(ContextError::CapabilityUnknown { id, chain });
        };
        for dependency in capability.dependencies() {
            let dependency = dependency.to_lowercase();
            if !wanted.iter().any(|entry| entry.id == dependency) && !found.contains_key(&dependency) {
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
