//! Sessions: durable conversations.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::client_tool::ClientTool;
use crate::clock::{Clock, SystemClock};
use crate::file::InitialFile;
use crate::harness::CapabilityConfig;
use crate::id::{AgentId, HarnessId, ModelId, SessionId, fresh};

/// What a session is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum SessionStatus {
    /// Created; no message yet.
    Started,
    /// A turn is running or waiting to run.
    Active,
    /// The oldest open turn waits for somebody outside: for results of client-side tools, an
    /// answer, or an approval.
    WaitingForToolResults,
    /// The oldest open turn waits before its next model call, because what was used reaches the soft
    /// limit of a budget.
    Paused,
    /// All turns have ended.
    Idle,
}

/// A session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Session {
    /// Id.
    pub id: SessionId,
    /// The harness that it runs on.
    pub harness_id: HarnessId,
    /// Its agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<AgentId>,
    /// Who it belongs to, as callers of the API are named; its tools use that user's connections.
    #[serde(default, rename = "owner_principal_id", skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What it is doing.
    pub status: SessionStatus,
    /// Prompt, appended to the agent's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_prompt: Option<String>,
    /// Its capabilities, in addition to harness and agent.
    #[serde(default)]
    pub capabilities: Vec<CapabilityConfig>,
    /// Tools that its clients execute, in addition to the agent's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<ClientTool>,
    /// Its model, unless a message names another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_id: Option<ModelId>,
    /// BCP 47 tag of the user's language.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// Most model calls of one turn; none means the agent's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_iterations: Option<u32>,
    /// Files that sessions start with, after those of harness and agent; of the same path, the later one wins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub initial_files: Vec<InitialFile>,
    /// Free-form labels.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Grows by one with each change; the resource's ETag.
    pub version: u64,
    /// When it was created.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created_at: Timestamp,
    /// When it was last changed.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub updated_at: Timestamp,
}

impl Session {
    /// A session on a harness, with a fresh id; its times are now.
    pub fn new(harness_id: HarnessId) -> Self {
        let now = SystemClock.now();
        Self {
            model_id: None,
            id: SessionId::from_uuid(fresh()),
            harness_id,
            agent_id: None,
            owner: None,
            title: None,
            status: SessionStatus::Started,
            system_prompt: None,
            capabilities: Vec::new(),
            tools: Vec::new(),
            locale: None,
            max_iterations: None,
            initial_files: Vec::new(),
            tags: Vec::new(),
            version: 1,
            created_at: now,
            updated_at: now,
        }
    }

    /// The same with this id, for sessions that a durable store keeps from one start to the next.
    #[must_use]
    pub fn with_id(self, id: SessionId) -> Self {
        Self { id, ..self }
    }

    /// The same with an agent.
    #[must_use]
    pub fn with_agent(self, agent: AgentId) -> Self {
        Self { agent_id: Some(agent), ..self }
    }

    /// The same with a title.
    #[must_use]
    pub fn with_title(self, title: impl Into<String>) -> Self {
        Self { title: Some(title.into()), ..self }
    }

    /// The same with a prompt of its own.
    #[must_use]
    pub fn with_system_prompt(self, prompt: impl Into<String>) -> Self {
        Self { system_prompt: Some(prompt.into()), ..self }
    }

    /// The same with one more capability, by id or with its configuration.
    #[must_use]
    pub fn with_capability(mut self, capability: impl Into<CapabilityConfig>) -> Self {
        self.capabilities.push(capability.into());
        self
    }

    /// The same with one more tool that its clients execute.
    #[must_use]
    pub fn with_tool(mut self, tool: ClientTool) -> Self {
        self.tools.push(tool);
        self
    }

    /// The same in a language, as a BCP 47 tag.
    #[must_use]
    pub fn with_locale(self, locale: impl Into<String>) -> Self {
        Self { locale: Some(locale.into()), ..self }
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
