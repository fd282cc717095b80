//! One harness, one session, at most one agent: the shortest way to a conversation.

use crate::agent::Agent;
use crate::harness::{CapabilityConfig, Harness};
use crate::id::{HarnessId, SessionId};
use crate::session::Session;

/// Name of the harness if neither the platform nor the caller has one.
const HARNESS_NAME: &str = "embedded";

/// What [`InProcessRuntimeBuilder::single_session`](super::InProcessRuntimeBuilder::single_session)
/// configures. All of it is optional.
#[derive(Debug, Clone, Default)]
pub struct SingleSession {
    harness: Option<Harness>,
    capabilities: Vec<CapabilityConfig>,
    agent: Option<(String, String)>,
    agent_display_name: Option<String>,
    agent_description: Option<String>,
    harness_display_name: Option<String>,
    harness_description: Option<String>,
    session_id: Option<SessionId>,
    title: Option<String>,
    locale: Option<String>,
    max_iterations: Option<u32>,
    tags: Vec<String>,
}

impl SingleSession {
    /// The harness: its name and prompt. Default: the platform's harness with the role Base, else
    /// one without a prompt.
    #[must_use]
    pub fn harness(self, name: impl Into<String>, system_prompt: impl Into<String>) -> Self {
        Self { harness: Some(Harness::new(name, system_prompt)), ..self }
    }

    /// The harness's name for people; without effect on one of the platform.
    #[must_use]
    pub fn harness_display_name(self, name: impl Into<String>) -> Self {
        Self { harness_display_name: Some(name.into()), ..self }
    }

    /// The harness's description; without effect on one of the platform.
    #[must_use]
    pub fn harness_description(self, description: impl Into<String>) -> Self {
        Self { harness_description: Some(description.into()), ..self }
    }

    /// One more capability with its configuration.
    #[must_use]
    pub fn harness_capability(mut self, capability: CapabilityConfig) -> Self {
        self.capabilities.push(capability);
        self
    }

    /// One more capability.
    #[must_use]
    pub fn with_capability(self, id: impl Into<String>) -> Self {
        self.harness_capability(CapabilityConfig::new(id))
    }

    /// The agent: its name and prompt. Default: none.
    #[must_use]
    pub fn agent(self, name: impl Into<String>, system_prompt: impl Into<String>) -> Self {
        Self { agent: Some((name.into(), system_prompt.into())), ..self }
    }

    /// The agent's name for people.
    #[must_use]
    pub fn agent_display_name(self, name: impl Into<String>) -> Self {
        Self { agent_display_name: Some(name.into()), ..self }
    }

    /// The agent's description.
    #[must_use]
    pub fn agent_description(self, description: impl Into<String>) -> Self {
        Self { agent_description: Some(description.into()), ..self }
    }

    /// The session's id. Default: a fresh one.
    #[must_use]
    pub fn session_id(self, id: SessionId) -> Self {
        Self { session_id: Some(id), ..self }
    }

    /// The session's title.
    #[must_use]
    pub fn session_title(self, title: impl Into<String>) -> Self {
        Self { title: Some(title.into()), ..self }
    }

    /// The user's language, as a BCP 47 tag.
    #[must_use]
    pub fn locale(self, locale: impl Into<String>) -> Self {
        Self { locale: Some(locale.into()), ..self }
    }

    /// Most model calls of one turn.
    #[must_use]
    pub fn max_iterations(self, most: u32) -> Self {
        Self { max_iterations: Some(most), ..self }
    }

    /// One more label of the session.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// What is to be stored. `base` is the platform's harness with the role Base.
    pub(super) fn parts(self, base: Option<HarnessId>) -> (Option<Harness>, Option<Agent>, Session) {
        let (harness, harness_id) = match (self.harness, base) {
            (None, Some(base)) => (None, base),
            (given, _) => {
                let harness = Harness {
                    display_name: self.harness_display_name,
                    description: self.harness_description,
                    capabilities: self.capabilities.clone(),
                    ..given.unwrap_or_else(|| Harness::new(HARNESS_NAME, ""))
                };
                let id = harness.id;
                (Some(harness), id)
            }
        };
        let agent = self.agent.map(|(name, prompt)| Agent {
            display_name: self.agent_display_name,
            description: self.agent_description,
            ..Agent::new(name, prompt, harness_id)
        });
        let session = Session::new(harness_id);
        let session = Session {
            id: self.session_id.unwrap_or(session.id),
            agent_id: agent.as_ref().map(|agent| agent.id),
            title: self.title,
            // A harness of the platform is shared: what comes on top of it is the session's own.
            capabilities: if harness.is_none() { self.capabilities } else { Vec::new() },
            locale: self.locale,
            max_iterations: self.max_iterations,
            initial_files: Vec::new(),
            tags: self.tags,
            ..session
        };
        (harness, agent, session)
    }
}
