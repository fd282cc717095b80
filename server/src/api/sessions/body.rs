//! Sessions as they are sent and answered.

use everwit_runtime::client_tool::ClientTool;
use everwit_runtime::file::InitialFile;
use everwit_runtime::harness::CapabilityConfig;
use everwit_runtime::id::{AgentId, HarnessId, ModelId, OrgId, SessionId};
use everwit_runtime::session::{Session, SessionStatus};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::check::Unsupported;
use crate::api::extract::{given, present};
use crate::api::redacted::{RedactedCapabilities, Redaction};

/// A new session; everything is optional.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = CreateSessionRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateSession {
    /// Id or name of its agent.
    pub(super) agent_id: Option<String>,
    /// Name of its agent; not together with `agent_id`.
    #[serde(alias = "agent")]
    pub(super) agent_name: Option<String>,
    /// Id or name of its harness; the agent's if absent, else the base harness.
    pub(super) harness_id: Option<String>,
    /// Name of its harness; not together with `harness_id`.
    #[serde(alias = "harness")]
    pub(super) harness_name: Option<String>,
    /// Title.
    pub(super) title: Option<String>,
    /// Prompt, appended to the agent's.
    pub(super) system_prompt: Option<String>,
    /// Its capabilities, in addition to harness and agent.
    #[serde(default)]
    pub(super) capabilities: Vec<CapabilityConfig>,
    /// Tools that its clients execute; they take the place of the agent's with the same names.
    #[serde(default)]
    pub(super) tools: Vec<ClientTool>,
    /// Id of its model; that of agent, harness, org or platform if absent.
    #[schema(pattern = "^model_[0-9a-f]{32}$")]
    pub(super) model_id: Option<String>,
    /// BCP 47 tag of the user's language.
    #[schema(example = "uk-UA")]
    pub(super) locale: Option<String>,
    /// Most model calls of one turn; the agent's if absent.
    pub(super) max_iterations: Option<u32>,
    /// Files that it starts with, after those of harness and agent, of which later layers win over earlier ones.
    #[serde(default)]
    pub(super) initial_files: Vec<InitialFile>,
    /// Free-form labels.
    #[serde(default)]
    pub(super) tags: Vec<String>,
    #[serde(default)]
    #[schema(ignore)]
    pub(super) agent_identity_id: Unsupported,
    #[serde(default)]
    #[schema(ignore)]
    pub(super) hints: Unsupported,
    #[serde(default, alias = "mcpServers")]
    #[schema(ignore)]
    pub(super) mcp_servers: Unsupported,
    #[serde(default)]
    #[schema(ignore)]
    pub(super) network_access: Unsupported,
    #[serde(default)]
    #[schema(ignore)]
    pub(super) parallel_tool_calls: Unsupported,
    #[serde(default)]
    #[schema(ignore)]
    pub(super) workspace_id: Unsupported,
}

/// What to change of a session: absent fields stay, null clears.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = UpdateSessionRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateSession {
    /// Title.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    pub(super) title: Option<Option<String>>,
    /// Prompt, appended to the agent's.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    pub(super) system_prompt: Option<Option<String>>,
    /// Its capabilities, all of them.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Vec<CapabilityConfig>, required = false)]
    pub(super) capabilities: Option<Vec<CapabilityConfig>>,
    /// Tools that its clients execute, all of them, from the next turn on.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Vec<ClientTool>, required = false)]
    pub(super) tools: Option<Vec<ClientTool>>,
    /// Id of its model, from the next turn on.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, pattern = "^model_[0-9a-f]{32}$")]
    pub(super) model_id: Option<Option<String>>,
    /// BCP 47 tag of the user's language.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    pub(super) locale: Option<Option<String>>,
    /// Most model calls of one turn.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u32>)]
    pub(super) max_iterations: Option<Option<u32>>,
    /// Free-form labels, all of them.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Vec<String>, required = false)]
    pub(super) tags: Option<Vec<String>>,
}

/// A session.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Session)]
pub(crate) struct SessionBody {
    /// Id.
    pub(super) id: SessionId,
    /// The org that it belongs to.
    pub(super) organization_id: OrgId,
    /// The harness that it runs on.
    pub(super) harness_id: HarnessId,
    /// Its agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) agent_id: Option<AgentId>,
    /// Who it belongs to; its tools use the connections of this user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) owner_principal_id: Option<String>,
    /// Title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) title: Option<String>,
    /// What it is doing.
    pub(super) status: SessionStatus,
    /// Prompt, appended to the agent's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) system_prompt: Option<String>,
    /// Its capabilities, in addition to harness and agent.
    #[schema(value_type = Vec<CapabilityConfig>)]
    pub(super) capabilities: RedactedCapabilities,
    /// Tools that its clients execute, in addition to the agent's.
    pub(super) tools: Vec<ClientTool>,
    /// Its model, unless a message names another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) model_id: Option<ModelId>,
    /// BCP 47 tag of the user's language.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) locale: Option<String>,
    /// Most model calls of one turn; the agent's if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_iterations: Option<u32>,
    /// Files that sessions start with.
    pub(super) initial_files: Vec<InitialFile>,
    /// Free-form labels.
    pub(super) tags: Vec<String>,
    /// When it was created.
    #[schema(value_type = String, format = DateTime)]
    pub(super) created_at: Timestamp,
    /// When it was last changed.
    #[schema(value_type = String, format = DateTime)]
    pub(super) updated_at: Timestamp,
}

impl SessionBody {
    pub(super) fn new(org: OrgId, session: Session, redaction: &Redaction) -> Self {
        Self {
            id: session.id,
            organization_id: org,
            harness_id: session.harness_id,
            agent_id: session.agent_id,
            owner_principal_id: session.owner,
            title: session.title,
            status: session.status,
            system_prompt: session.system_prompt,
            capabilities: redaction.show(session.capabilities),
            tools: session.tools,
            model_id: session.model_id,
            locale: session.locale,
            max_iterations: session.max_iterations,
            initial_files: session.initial_files,
            tags: session.tags,
            created_at: session.created_at,
            updated_at: session.updated_at,
        }
    }
}

impl UpdateSession {
    /// Makes the changes.
    pub(super) fn apply(self, session: &mut Session) {
        if let Some(title) = self.title {
            session.title = title;
        }
        if let Some(system_prompt) = self.system_prompt {
            session.system_prompt = system_prompt;
        }
        if let Some(capabilities) = self.capabilities {
            session.capabilities = capabilities;
        }
        if let Some(tools) = self.tools {
            session.tools = tools;
        }
        if let Some(locale) = self.locale {
            session.locale = locale;
        }
        if let Some(max_iterations) = self.max_iterations {
            session.max_iterations = max_iterations;
        }
        if let Some(tags) = self.tags {
            session.tags = tags;
        }
    }
}
