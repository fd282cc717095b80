//! Harnesses as they are sent and answered.

use everwit_runtime::file::InitialFile;
use everwit_runtime::harness::{CapabilityConfig, Harness, ResourceStatus};
use everwit_runtime::id::{HarnessId, ModelId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::check::Unsupported;
use crate::api::extract::{given, present};
use crate::api::redacted::{RedactedCapabilities, Redaction};

/// A new harness.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = CreateHarnessRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateHarness {
    /// Name, unique in the org: lower-case words joined by hyphens, at most 64 bytes.
    #[schema(example = "support")]
    pub(super) name: String,
    /// Name for people.
    pub(super) display_name: Option<String>,
    /// What it is for.
    pub(super) description: Option<String>,
    /// Base prompt.
    pub(super) system_prompt: Option<String>,
    /// Id or name of the harness that it extends.
    pub(super) parent_harness_id: Option<String>,
    /// Its capabilities.
    #[serde(default)]
    pub(super) capabilities: Vec<CapabilityConfig>,
    /// Files that sessions start with, of which later layers win over earlier ones.
    #[serde(default)]
    pub(super) initial_files: Vec<InitialFile>,
    /// Free-form labels.
    #[serde(default)]
    pub(super) tags: Vec<String>,
    /// Id of the model of its sessions, unless agent, session or message name another.
    #[schema(pattern = "^model_[0-9a-f]{32}$")]
    pub(super) default_model_id: Option<String>,
    #[serde(default)]
    #[schema(ignore)]
    pub(super) embedder_metadata: Unsupported,
    #[serde(default, alias = "mcpServers")]
    #[schema(ignore)]
    pub(super) mcp_servers: Unsupported,
    #[serde(default)]
    #[schema(ignore)]
    pub(super) network_access: Unsupported,
    #[serde(default)]
    #[schema(ignore)]
    pub(super) parallel_tool_calls: Unsupported,
}

/// What to change of a harness: absent fields stay, null clears.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = UpdateHarnessRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateHarness {
    /// Name.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = String, required = false)]
    pub(super) name: Option<String>,
    /// Name for people.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    pub(super) display_name: Option<Option<String>>,
    /// What it is for.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    pub(super) description: Option<Option<String>>,
    /// Base prompt.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    pub(super) system_prompt: Option<Option<String>>,
    /// Id or name of the harness that it extends.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    pub(super) parent_harness_id: Option<Option<String>>,
    /// Id of the model of its sessions, unless agent, session or message name another.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, pattern = "^model_[0-9a-f]{32}$")]
    pub(super) default_model_id: Option<Option<String>>,
    /// Its capabilities, all of them.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Vec<CapabilityConfig>, required = false)]
    pub(super) capabilities: Option<Vec<CapabilityConfig>>,
    /// Files that sessions start with, all of them; sessions that exist keep theirs.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Vec<InitialFile>, required = false)]
    pub(super) initial_files: Option<Vec<InitialFile>>,
    /// Free-form labels, all of them.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Vec<String>, required = false)]
    pub(super) tags: Option<Vec<String>>,
    /// `active` brings an archived harness back.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = ResourceStatus, required = false)]
    pub(super) status: Option<ResourceStatus>,
}

/// A harness.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Harness)]
pub(crate) struct HarnessBody {
    /// Id.
    pub(super) id: HarnessId,
    /// Name, unique in the org.
    pub(super) name: String,
    /// Name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) display_name: Option<String>,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<String>,
    /// Base prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) system_prompt: Option<String>,
    /// The harness that it extends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) parent_harness_id: Option<HarnessId>,
    /// The model of its sessions, unless agent, session or message name another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) default_model_id: Option<ModelId>,
    /// Its capabilities.
    #[schema(value_type = Vec<CapabilityConfig>)]
    pub(super) capabilities: RedactedCapabilities,
    /// Files that sessions start with.
    pub(super) initial_files: Vec<InitialFile>,
    /// Free-form labels.
    pub(super) tags: Vec<String>,
    /// Whether the platform seeded it; such a harness cannot be changed.
    pub(super) is_built_in: bool,
    /// Whether it can be used.
    pub(super) status: ResourceStatus,
    /// When it was created.
    #[schema(value_type = String, format = DateTime)]
    pub(super) created_at: Timestamp,
    /// When it was last changed.
    #[schema(value_type = String, format = DateTime)]
    pub(super) updated_at: Timestamp,
}

impl HarnessBody {
    pub(super) fn new(harness: Harness, redaction: &Redaction) -> Self {
        Self {
            id: harness.id,
            name: harness.name,
            display_name: harness.display_name,
            description: harness.description,
            system_prompt: harness.system_prompt,
            parent_harness_id: harness.parent_harness_id,
            default_model_id: harness.default_model_id,
            capabilities: redaction.show(harness.capabilities),
            initial_files: harness.initial_files,
            tags: harness.tags,
            is_built_in: harness.is_built_in,
            status: harness.status,
            created_at: harness.created_at,
            updated_at: harness.updated_at,
        }
    }
}

impl UpdateHarness {
    /// Makes the changes.
    pub(super) fn apply(self, harness: &mut Harness) {
        if let Some(name) = self.name {
            harness.name = name;
        }
        if let Some(display_name) = self.display_name {
            harness.display_name = display_name;
        }
        if let Some(description) = self.description {
            harness.description = description;
        }
        if let Some(system_prompt) = self.system_prompt {
            harness.system_prompt = system_prompt;
        }
        if let Some(capabilities) = self.capabilities {
            harness.capabilities = capabilities;
        }
        if let Some(initial_files) = self.initial_files {
            harness.initial_files = initial_files;
        }
        if let Some(tags) = self.tags {
            harness.tags = tags;
        }
        if let Some(status) = self.status {
            harness.status = status;
        }
    }
}
