//! Where the parts of a context come from.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::agent::Agent;
use crate::harness::Harness;
use crate::id::{AgentId, HarnessId, SessionId};
use crate::session::Session;

/// Who contributed a part of a context, or set a value of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Contributor {
    /// The platform, by its defaults.
    Platform,
    /// A harness of the chain.
    Harness {
        /// Id.
        id: HarnessId,
        /// Name.
        name: String,
    },
    /// The session's agent.
    Agent {
        /// Id.
        id: AgentId,
        /// Name.
        name: String,
    },
    /// The session, by its own settings or its conversation.
    Session {
        /// Id.
        id: SessionId,
    },
    /// The organization's settings.
    Organization,
    /// A capability.
    Capability {
        /// Id.
        id: String,
    },
}

impl From<&Harness> for Contributor {
    fn from(harness: &Harness) -> Self {
        Self::Harness { id: harness.id, name: harness.name.clone() }
    }
}

impl From<&Agent> for Contributor {
    fn from(agent: &Agent) -> Self {
        Self::Agent { id: agent.id, name: agent.name.clone() }
    }
}

impl From<&Session> for Contributor {
    fn from(session: &Session) -> Self {
        Self::Session { id: session.id }
    }
}

/// A part of a system prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptPart {
    /// Whose words these are.
    pub contributor: Contributor,
    /// Where they are in the prompt, in bytes; the blank line before them is part of it.
    pub range: Range<usize>,
}

/// Who asks for a capability, and who configured it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CapabilityProvenance {
    /// Capability id.
    pub id: String,
    /// Layers that list it, from the root on, then capabilities that depend on it.
    pub listed_by: Vec<Contributor>,
    /// The layer whose configuration it has; absent if no layer gives one, which means `{}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configured_by: Option<Contributor>,
}

/// Where the parts of one context come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provenance {
    /// The parts of the system prompt in order; together they are all of it.
    pub prompt: Vec<PromptPart>,
    /// Who chose the model.
    pub model: Contributor,
    /// Who set the locale, if there is one.
    pub locale: Option<Contributor>,
    /// Who set the most model calls of a turn.
    pub max_iterations: Contributor,
    /// The capabilities in the order of their configurations.
    pub capabilities: Vec<CapabilityProvenance>,
}

/// Joins the parts of a prompt by blank lines; tells where each of them is. Parts that are blank
/// are left out.
pub(super) fn join<'a>(parts: impl Iterator<Item = (Contributor, std::borrow::Cow<'a, str>)>) -> (String, Vec<PromptPart>) {
    let mut prompt = String::new();
    let mut places = Vec::new();
    for (contributor, text) in parts {
        let text = text.trim();
        if text.is_empty() {
            continue;
        }
        let start = prompt.len();
        if start > 0 {
            prompt.push_str("\n\n");
        }
        prompt.push_str(text);
        places.push(PromptPart { contributor, range: start..prompt.len() });
    }
    (prompt, places)
}
