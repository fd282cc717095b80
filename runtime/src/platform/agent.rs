//! Agent templates: what a platform seeds into each org beside its harnesses.

use serde::Serialize;

use super::BuiltInCapabilityDefinition;

/// An agent template. An org gets it if its harness template and all its capabilities are part of
/// the platform; otherwise it is skipped.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SeedAgent {
    /// What it is recognised by when an org is reconciled; also its name in the org:
    /// `[a-z0-9]+(-[a-z0-9]+)*`, at most 64 bytes.
    pub key: String,
    /// Name for people; none shows the key.
    pub display_name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Key of the harness template that it runs on.
    pub harness_key: String,
    /// Prompt, appended to the harness chain's.
    pub system_prompt: String,
    /// Its capabilities, in addition to the harness chain's.
    pub capabilities: Vec<BuiltInCapabilityDefinition>,
    /// Free-form labels.
    pub tags: Vec<String>,
}

impl SeedAgent {
    /// A template without names for people, capabilities and tags.
    pub fn new(key: impl Into<String>, harness_key: impl Into<String>, system_prompt: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            display_name: None,
            description: None,
            harness_key: harness_key.into(),
            system_prompt: system_prompt.into(),
            capabilities: Vec::new(),
            tags: Vec::new(),
        }
    }

    /// The same with a name for people and a description.
    #[must_use]
    pub fn with_display(self, name: impl Into<String>, description: impl Into<String>) -> Self {
        Self { display_name: Some(name.into()), description: Some(description.into()), ..self }
    }

    /// The same with these capabilities.
    #[must_use]
    pub fn with_capabilities(self, capabilities: impl IntoIterator<Item = BuiltInCapabilityDefinition>) -> Self {
        Self { capabilities: capabilities.into_iter().collect(), ..self }
    }

    /// The same with these labels.
    #[must_use]
    pub fn with_tags<T: Into<String>>(self, tags: impl IntoIterator<Item = T>) -> Self {
        Self { tags: tags.into_iter().map(Into::into).collect(), ..self }
    }
}
