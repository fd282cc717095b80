//! Agents: domain configuration on top of a harness.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::client_tool::ClientTool;
use crate::harness::{CapabilityConfig, ResourceStatus};
use crate::id::{AgentId, HarnessId};

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
    /// Its capabilities, in addition to the harness chain's.
    #[serde(default)]
    pub capabilities: Vec<CapabilityConfig>,
    /// Tools that clients of its sessions execute.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<ClientTool>,
    /// Most model calls of one turn; none means the platform's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_iterations: Option<u32>,
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
