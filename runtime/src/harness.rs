//! Harnesses: what an agent runs on.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::{Clock, SystemClock};
use crate::file::InitialFile;
use crate::id::{HarnessId, ModelId, fresh};

/// A capability with its configuration, as harnesses, agents and sessions list it. Its `Debug` does
/// not show the configuration, which may hold a credential.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CapabilityConfig {
    /// Capability id.
    #[serde(rename = "ref")]
    pub id: String,
    /// Configuration, valid against the capability's schema; none means `{}`. Over HTTP, "[redacted]"
    /// stands for what the schema marks as `writeOnly`, which is never answered; sent back in a change,
    /// it keeps the stored value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub config: Option<Value>,
    /// The version of a component, whatever is active; one that was agreed to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// In place of a version: the component's channel that names it when a turn starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
}

/// Which version of a component an entry asks for, in place of the active one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VersionChoice {
    /// This one.
    Version(u32),
    /// The one that a channel of the component points to.
    Channel(String),
}

impl fmt::Display for VersionChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => write!(f, "version {version}"),
            Self::Channel(channel) => write!(f, "channel {channel:?}"),
        }
    }
}

impl fmt::Debug for CapabilityConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CapabilityConfig")
            .field("id", &self.id)
            .field("has_config", &self.config.is_some())
            .field("choice", &self.choice())
            .finish_non_exhaustive()
    }
}

impl CapabilityConfig {
    /// A capability without configuration.
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), config: None, version: None, channel: None }
    }

    /// A capability with configuration.
    pub fn with_config(id: impl Into<String>, config: Value) -> Self {
        Self { config: Some(config), ..Self::new(id) }
    }

    /// The version that it asks for; none for the active one. A version wins over a channel.
    pub fn choice(&self) -> Option<VersionChoice> {
        let channel = || self.channel.clone().map(VersionChoice::Channel);
        self.version.map(VersionChoice::Version).or_else(channel)
    }
}

impl From<&str> for CapabilityConfig {
    fn from(id: &str) -> Self {
        Self::new(id)
    }
}

/// Whether a harness or an agent can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ResourceStatus {
    /// It can.
    Active,
    /// It cannot be assigned any more; sessions that have it end their turns with an explanation.
    Archived,
}

/// What an agent runs on: base prompt, capabilities, model. Harnesses form chains by their
/// parents; a chain is merged from the root to the leaf.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Harness {
    /// Id.
    pub id: HarnessId,
    /// Name, unique in the org: `[a-z0-9]+(-[a-z0-9]+)*`, at most 64 bytes.
    pub name: String,
    /// Name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Base prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_prompt: Option<String>,
    /// The harness that it extends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_harness_id: Option<HarnessId>,
    /// The model of its sessions, unless agent, session or message name another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_model_id: Option<ModelId>,
    /// Its capabilities.
    #[serde(default)]
    pub capabilities: Vec<CapabilityConfig>,
    /// Files that sessions start with, after those of its parents; of the same path, the later one wins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub initial_files: Vec<InitialFile>,
    /// Free-form labels.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Whether the platform seeded it.
    #[serde(default)]
    pub is_built_in: bool,
    /// Whether it can be used.
    pub status: ResourceStatus,
    /// Grows by one with each change; the resource's ETag.
    pub version: u64,
    /// When it was created.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created_at: Timestamp,
    /// When it was last changed.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub updated_at: Timestamp,
}

impl Harness {
    /// A harness of a prompt, with a fresh id; its times are now.
    pub fn new(name: impl Into<String>, system_prompt: impl Into<String>) -> Self {
        let now = SystemClock.now();
        Self {
            default_model_id: None,
            id: HarnessId::from_uuid(fresh()),
            name: name.into(),
            display_name: None,
            description: None,
            system_prompt: Some(system_prompt.into()),
            parent_harness_id: None,
            capabilities: Vec::new(),
            initial_files: Vec::new(),
            tags: Vec::new(),
            is_built_in: false,
            status: ResourceStatus::Active,
            version: 1,
            created_at: now,
            updated_at: now,
        }
    }

    /// The same with this id, for harnesses that a durable store keeps from one start to the next.
    #[must_use]
    pub fn with_id(self, id: HarnessId) -> Self {
        Self { id, ..self }
    }

    /// The same with a name for people.
    #[must_use]
    pub fn with_display_name(self, name: impl Into<String>) -> Self {
        Self { display_name: Some(name.into()), ..self }
    }

    /// The same with a description.
    #[must_use]
    pub fn with_description(self, description: impl Into<String>) -> Self {
        Self { description: Some(description.into()), ..self }
    }

    /// The same extending another harness.
    #[must_use]
    pub fn with_parent(self, parent: HarnessId) -> Self {
        Self { parent_harness_id: Some(parent), ..self }
    }

    /// The same with one more capability, by id or with its configuration.
    #[must_use]
    pub fn with_capability(mut self, capability: impl Into<CapabilityConfig>) -> Self {
        self.capabilities.push(capability.into());
        self
    }

    /// The same with one more file that sessions start with.
    #[must_use]
    pub fn with_initial_file(mut self, file: InitialFile) -> Self {
        self.initial_files.push(file);
        self
    }

    /// The same with one more label.
    #[must_use]
    pub fn with_tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }
}
