//! What a definition amounts to, so that two processes can tell whether they run the same one.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::PlatformDefinition;
use crate::component::Digest;

/// Parts that one side of a difference names; the others are counted.
const MAX_NAMED_PARTS: usize = 10;

/// The digests of the parts of a definition, by name, such as `capability/current_time`. Equal
/// definitions have equal digests in every process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefinitionDigest {
    parts: BTreeMap<String, Digest>,
}

/// How two definitions differ.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DefinitionDifference {
    /// Parts that only the first has.
    pub only_first: Vec<String>,
    /// Parts that only the second has.
    pub only_second: Vec<String>,
    /// Parts that both have, and that are not the same.
    pub changed: Vec<String>,
}

impl DefinitionDigest {
    /// One digest over everything.
    pub fn whole(&self) -> Digest {
        let lines: String = self.parts.iter().map(|(name, digest)| format!("{name} {digest}\n")).collect();
        Digest::of(lines.as_bytes())
    }

    /// How this definition differs from another; none if it does not.
    pub fn difference(&self, other: &Self) -> Option<DefinitionDifference> {
        let missing = |of: &Self, from: &Self| of.parts.keys().filter(|name| !from.parts.contains_key(*name)).cloned().collect();
        let changed = self.parts.iter().filter(|(name, digest)| other.parts.get(*name).is_some_and(|other| other != *digest));
        let difference = DefinitionDifference {
            only_first: missing(self, other),
            only_second: missing(other, self),
            changed: changed.map(|(name, _)| name.clone()).collect(),
        };
        (difference != DefinitionDifference::default()).then_some(difference)
    }
}

impl fmt::Display for DefinitionDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.whole().fmt(f)
    }
}

impl fmt::Display for DefinitionDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sides = [("only in the first", &self.only_first), ("only in the second", &self.only_second), ("not the same", &self.changed)];
        let mut between = "";
        for (what, parts) in sides.into_iter().filter(|(_, parts)| !parts.is_empty()) {
            write!(f, "{between}{what}: {}", parts[..parts.len().min(MAX_NAMED_PARTS)].join(", "))?;
            if parts.len() > MAX_NAMED_PARTS {
                write!(f, " and {} more", parts.len() - MAX_NAMED_PARTS)?;
            }
            between = "; ";
        }
        Ok(())
    }
}

impl PlatformDefinition {
    /// What the definition amounts to: ids, versions, schemas and prompts of everything that is
    /// registered. Code is known by its id only, drivers and connection providers therefore by
    /// nothing else; components by their bytes once they are opened.
    pub fn digest(&self) -> DefinitionDigest {
        let mut parts = BTreeMap::new();
        let mut add = |kind: &str, name: &str, value: Value| {
            // Maps of `serde_json` are in the order of their keys, so that the text is canonical.
            parts.insert(format!("{kind}/{name}"), Digest::of(canonical(&value).to_string().as_bytes()));
        };
        for capability in self.capability_registry.list() {
            add(
                "capability",
                capability.id(),
                json!({
                    "name": capability.name(),
                    "description": capability.description(),
                    "prompt": capability.system_prompt_addition(),
                    "tools": capability.tools(),
                    "dependencies": capability.dependencies(),
                    "config_schema": capability.config_schema(),
                    "features": capability.features(),
                    "risk": capability.risk_level(),
                    "component": capability.pin().digest,
                }),
            );
        }
        for id in self.driver_registry.ids() {
            add("driver", &id.to_string(), Value::Null);
        }
        for provider in self.connection_providers.list() {
            add("connection", provider.id(), json!(provider.name()));
        }
        for component in &self.components {
            add("component", &component.source.to_string(), json!(component.terms()));
        }
        for harness in &self.built_in_harnesses {
            add("harness", &harness.key, json!(harness));
        }
        for agent in &self.seed_agents {
            add("agent", &agent.key, json!(agent));
        }
        DefinitionDigest { parts }
    }
}

/// The same value with the members of all objects in order, whatever map the JSON library uses.
pub(crate) fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let sorted: BTreeMap<&String, Value> = members.iter().map(|(name, value)| (name, canonical(value))).collect();
            Value::Object(sorted.into_iter().map(|(name, value)| (name.clone(), value)).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(canonical).collect()),
        plain => plain.clone(),
    }
}
