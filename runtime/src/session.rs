//! Sessions: durable conversations.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::client_tool::ClientTool;
use crate::harness::CapabilityConfig;
use crate::id::{AgentId, HarnessId, SessionId};

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
    /// BCP 47 tag of the user's language.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// Most model calls of one turn; none means the agent's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_iterations: Option<u32>,
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
