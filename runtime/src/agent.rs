//! Agents: domain configuration on top of a harness.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::client_tool::ClientTool;
use crate::clock::{Clock, SystemClock};
use crate::file::InitialFile;
use crate::harness::{CapabilityConfig, ResourceStatus};
use crate::id::{AgentId, HarnessId, ModelId, fresh};

/// An agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Agent {
    /// Id.
    pub id: AgentId,
    /// Name, unique in the org: `[a-z0-9]+(-[a-z0-9]+)*`, at most 64 bytes.
    pub name: String,
    /// Name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Prompt, appended to the harness chain's.
    pub system_prompt: String,
    /// The harness that it runs on.
    pub harness_id: HarnessId,
    /// The model of its sessions, unless session or message name another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_model_id: Option<ModelId>,
    /// Its capabilities, in addition to the harness chain's.
    #[serde(default)]
    pub capabilities: Vec<CapabilityConfig>,
    /// Tools that clients of its sessions execute.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<ClientTool>,
    /// Most model calls of one turn; none means the platform's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_iterations: Option<u32>,
    /// Files that sessions start with, after those of the harness; of the same path, the later one wins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub initial_files: Vec<InitialFile>,
    /// Free-form labels.
    #[serde(default)]
    pub tags: Vec<String>,
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

impl Agent {
    /// An agent of a prompt on a harness, with a fresh id; its times are now.
    pub fn new(name: impl Into<String>, system_prompt: impl Into<String>, harness_id: HarnessId) -> Self {
        let now = SystemClock.now();
        Self {
            default_model_id: None,
            id: AgentId::from_uuid(fresh()),
            name: name.into(),
            display_name: None,
            description: None,
            system_prompt: system_prompt.into(),
            harness_id,
            capabilities: Vec::new(),
            tools: Vec::new(),
            max_iterations: None,
            initial_files: Vec::new(),
            tags: Vec::new(),
            status: ResourceStatus::Active,
            version: 1,
            created_at: now,
            updated_at: now,
        }
    }

    /// The same with this id, for agents that a durable store keeps from one start to the next.
    #[must_use]
    pub fn with_id(self, id: AgentId) -> Self {
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

    /// The same with one more capability, by id or with its configuration.
    #[must_use]
    pub fn with_capability(mut self, capability: impl Into<CapabilityConfig>) -> Self {
        self.capabilities.push(capability.into());
        self
    }

    /// The same with so many model calls a turn at most.
    #[must_use]
    pub fn with_max_iterations(self, most: u32) -> Self {
        Self { max_iterations: Some(most), ..self }
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
