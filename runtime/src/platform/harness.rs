//! Harness templates: what a platform seeds into each org.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::harness::CapabilityConfig;

/// What the platform uses a harness for. Behaviour follows roles, never names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BuiltInHarnessRole {
    /// Used when a session names no harness and its org has chosen none.
    Base,
    /// Set as the org's default when the org is initialised.
    Default,
    /// Used by the global chat session.
    Chat,
}

impl BuiltInHarnessRole {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Base, Self::Default, Self::Chat];

    /// Its text form.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Default => "default",
            Self::Chat => "chat",
        }
    }
}

/// A capability that a harness template lists. Its `Debug` does not show the configuration, which may
/// hold a credential.
#[derive(Clone, PartialEq, Serialize)]
pub struct BuiltInCapabilityDefinition {
    /// Capability id.
    pub id: String,
    /// Configuration; none means `{}`.
    pub config: Option<Value>,
}

impl fmt::Debug for BuiltInCapabilityDefinition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BuiltInCapabilityDefinition")
            .field("id", &self.id)
            .field("has_config", &self.config.is_some())
            .finish_non_exhaustive()
    }
}

impl BuiltInCapabilityDefinition {
    /// A capability without configuration.
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), config: None }
    }

    /// A capability with configuration.
    pub fn with_config(id: impl Into<String>, config: Value) -> Self {
        Self { id: id.into(), config: Some(config) }
    }

    /// As harnesses and agents of an org list it.
    pub fn to_config(&self) -> CapabilityConfig {
        CapabilityConfig { config: self.config.clone(), ..CapabilityConfig::new(&*self.id) }
    }
}

/// A harness template.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BuiltInHarnessDefinition {
    /// What it is recognised by when an org is reconciled; also its name in the org:
    /// `[a-z0-9]+(-[a-z0-9]+)*`, at most 64 bytes.
    pub key: String,
    /// Name for people.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Base prompt.
    pub system_prompt: String,
    /// Key of the template that it extends.
    pub parent_key: Option<String>,
    /// Free-form labels.
    pub tags: Vec<String>,
    /// Its capabilities.
    pub capabilities: Vec<BuiltInCapabilityDefinition>,
    /// What the platform uses it for.
    pub roles: Vec<BuiltInHarnessRole>,
}

impl BuiltInHarnessDefinition {
    /// A template without capabilities, tags and roles.
    pub fn new(key: impl Into<String>, name: impl Into<String>, description: impl Into<String>, system_prompt: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            name: name.into(),
            description: description.into(),
            system_prompt: system_prompt.into(),
            parent_key: None,
            tags: Vec::new(),
            capabilities: Vec::new(),
            roles: Vec::new(),
        }
    }

    /// The same extending another template.
    #[must_use]
    pub fn with_parent_key(self, key: impl Into<String>) -> Self {
        Self { parent_key: Some(key.into()), ..self }
    }

    /// The same with these labels.
    #[must_use]
    pub fn with_tags<T: Into<String>>(self, tags: impl IntoIterator<Item = T>) -> Self {
        Self { tags: tags.into_iter().map(Into::into).collect(), ..self }
    }

    /// The same with these capabilities.
    #[must_use]
    pub fn with_capabilities(self, capabilities: impl IntoIterator<Item = BuiltInCapabilityDefinition>) -> Self {
        Self { capabilities: capabilities.into_iter().collect(), ..self }
    }

    /// The same with these roles.
    #[must_use]
    pub fn with_roles(self, roles: impl IntoIterator<Item = BuiltInHarnessRole>) -> Self {
        Self { roles: roles.into_iter().collect(), ..self }
    }

    /// Whether it has a role.
    pub fn has_role(&self, role: BuiltInHarnessRole) -> bool {
        self.roles.contains(&role)
    }
}
