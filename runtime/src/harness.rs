//! Harnesses: what an agent runs on.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::{HarnessId, ModelId};

/// A capability with its configuration, as harnesses, agents and sessions list it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CapabilityConfig {
    /// Capability id.
    #[serde(rename = "ref")]
    pub id: String,
    /// Configuration, valid against the capability's schema; none means `{}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub config: Option<Value>,
}

impl CapabilityConfig {
    /// A capability without configuration.
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), config: None }
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
