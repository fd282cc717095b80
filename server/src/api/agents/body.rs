//! Agents as they are sent and answered.

use everwit_runtime::agent::Agent;
use everwit_runtime::client_tool::ClientTool;
use everwit_runtime::file::InitialFile;
use everwit_runtime::harness::{CapabilityConfig, ResourceStatus};
use everwit_runtime::id::{AgentId, HarnessId, ModelId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::check::Unsupported;
use crate::api::extract::{given, present};
use crate::api::redacted::{RedactedCapabilities, Redaction};

/// A new agent.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = CreateAgentRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateAgent {
    /// Id of the caller's choice; the server makes one if absent.
    #[schema(value_type = Option<String>, pattern = "^agent_[0-9a-f]{32}$")]
    pub(super) id: Option<AgentId>,
    /// Name, unique in the org: lower-case words joined by hyphens, at most 64 bytes.
    #[schema(example = "support-agent")]
    pub(super) name: String,
    /// Name for people.
    pub(super) display_name: Option<String>,
    /// What it is for.
    pub(super) description: Option<String>,
    /// Prompt, appended to the harness chain's.
    #[schema(example = "You answer questions about orders.")]
    pub(super) system_prompt: String,
    /// Id or name of the harness that it runs on; the base harness if absent.
    #[serde(alias = "harness", alias = "harness_name")]
    pub(super) harness_id: Option<String>,
    /// Its capabilities, in addition to the harness chain's.
    #[serde(default)]
    pub(super) capabilities: Vec<CapabilityConfig>,
    /// Tools that the clients of its sessions execute.
    #[serde(default)]
    pub(super) tools: Vec<ClientTool>,
    /// Most model calls of one turn.
    pub(super) max_iterations: Option<u32>,
    /// Files that sessions start with, of which later layers win over earlier ones.
    #[serde(default)]
    pub(super) initial_files: Vec<InitialFile>,
    /// Free-form labels.
    #[serde(default)]
    pub(super) tags: Vec<String>,
    /// Id of the model of its sessions, unless session or message name another.
    #[schema(pattern = "^model_[0-9a-f]{32}$")]
    pub(super) default_model_id: Option<String>,
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

/// What to change of an agent: absent fields stay, null clears.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = UpdateAgentRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateAgent {
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
    /// Prompt, appended to the harness chain's.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = String, required = false)]
    pub(super) system_prompt: Option<String>,
    /// Id or name of the harness that it runs on.
    #[serde(default, alias = "harness", deserialize_with = "given")]
    #[schema(value_type = String, required = false)]
    pub(super) harness_id: Option<String>,
    /// Id of the model of its sessions, unless session or message name another.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, pattern = "^model_[0-9a-f]{32}$")]
    pub(super) default_model_id: Option<Option<String>>,
    /// Its capabilities, all of them.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Vec<CapabilityConfig>, required = false)]
    pub(super) capabilities: Option<Vec<CapabilityConfig>>,
    /// Tools that the clients of its sessions execute, all of them.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Vec<ClientTool>, required = false)]
    pub(super) tools: Option<Vec<ClientTool>>,
    /// Most model calls of one turn.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u32>)]
    pub(super) max_iterations: Option<Option<u32>>,
    /// Files that sessions start with, all of them; sessions that exist keep theirs.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Vec<InitialFile>, required = false)]
    pub(super) initial_files: Option<Vec<InitialFile>>,
    /// Free-form labels, all of them.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Vec<String>, required = false)]
    pub(super) tags: Option<Vec<String>>,
    /// `active` brings an archived agent back.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = ResourceStatus, required = false)]
    pub(super) status: Option<ResourceStatus>,
}

/// An agent.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Agent)]
pub(crate) struct AgentBody {
    /// Id.
    pub(super) id: AgentId,
    /// Name, unique in the org.
    pub(super) name: String,
    /// Name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) display_name: Option<String>,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<String>,
    /// Prompt, appended to the harness chain's.
    pub(super) system_prompt: String,
    /// The harness that it runs on.
    pub(super) harness_id: HarnessId,
    /// The model of its sessions, unless session or message name another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) default_model_id: Option<ModelId>,
    /// Its capabilities, in addition to the harness chain's.
    #[schema(value_type = Vec<CapabilityConfig>)]
    pub(super) capabilities: RedactedCapabilities,
    /// Tools that the clients of its sessions execute.
    pub(super) tools: Vec<ClientTool>,
    /// Most model calls of one turn; the platform's default if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_iterations: Option<u32>,
    /// Files that sessions start with.
    pub(super) initial_files: Vec<InitialFile>,
    /// Free-form labels.
    pub(super) tags: Vec<String>,
    /// Whether it can be used.
    pub(super) status: ResourceStatus,
    /// When it was created.
    #[schema(value_type = String, format = DateTime)]
    pub(super) created_at: Timestamp,
    /// When it was last changed.
    #[schema(value_type = String, format = DateTime)]
    pub(super) updated_at: Timestamp,
}

impl AgentBody {
    pub(super) fn new(agent: Agent, redaction: &Redaction) -> Self {
        Self {
            id: agent.id,
            name: agent.name,
            display_name: agent.display_name,
            description: agent.description,
            system_prompt: agent.system_prompt,
            harness_id: agent.harness_id,
            default_model_id: agent.default_model_id,
            capabilities: redaction.show(agent.capabilities),
            tools: agent.tools,
            max_iterations: agent.max_iterations,
            initial_files: agent.initial_files,
            tags: agent.tags,
            status: agent.status,
            created_at: agent.created_at,
            updated_at: agent.updated_at,
        }
    }
}

impl UpdateAgent {
    /// Makes the changes.
    pub(super) fn apply(self, agent: &mut Agent) {
        if let Some(name) = self.name {
            agent.name = name;
        }
        if let Some(display_name) = self.display_name {
            agent.display_name = display_name;
        }
        if let Some(description) = self.description {
            agent.description = description;
        }
        if let Some(system_prompt) = self.system_prompt {
            agent.system_prompt = system_prompt;
        }
        if let Some(capabilities) = self.capabilities {
            agent.capabilities = capabilities;
        }
        if let Some(tools) = self.tools {
            agent.tools = tools;
        }
        if let Some(max_iterations) = self.max_iterations {
            agent.max_iterations = max_iterations;
        }
        if let Some(initial_files) = self.initial_files {
            agent.initial_files = initial_files;
        }
        if let Some(tags) = self.tags {
            agent.tags = tags;
        }
        if let Some(status) = self.status {
            agent.status = status;
        }
    }
}
