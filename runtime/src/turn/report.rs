//! What fills a context: who contributed how much, and who set which value.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::context::{ContextSources, Layers, TurnContext};
use super::context_error::ContextError;
use super::history::with_history;
use super::provenance::{CapabilityProvenance, Contributor};
use crate::capability::{Capability, redact_config};
use crate::event::TokenUsage;
use crate::id::{OrgId, SessionId};
use crate::message::{ContentPart, Message, Role};
use crate::tokens::{estimate_tokens, message_bytes, tool_bytes};

/// Which part of a model's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum SectionKind {
    /// The system prompt.
    SystemPrompt,
    /// The tools on offer.
    Tools,
    /// The conversation.
    Messages,
}

/// One part of a model's input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ContextSection {
    /// Which.
    pub section: SectionKind,
    /// Parts of the prompt, tools or messages.
    pub items: usize,
    /// Bytes of their texts.
    pub bytes: usize,
    /// Sum over its contributions.
    pub estimated_tokens: u64,
}

/// What one contributor adds to one section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Contribution {
    /// Who.
    pub contributor: Contributor,
    /// To which section.
    pub section: SectionKind,
    /// Name of the tool as models know it, or the role of the messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Parts of the prompt, tools or messages.
    pub items: usize,
    /// Bytes of their texts.
    pub bytes: usize,
    /// Estimated by [`crate::tokens::estimate_tokens`] from the bytes.
    pub estimated_tokens: u64,
}

/// A value of a context, and the layer that set it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Setting {
    /// "model", "locale", "max_iterations", or "config:" and the id of a capability.
    pub name: String,
    /// The value.
    pub value: Value,
    /// Who set it.
    pub set_by: Contributor,
}

/// What a turn of a session would send to the model, and where it comes from. It has no
/// credential of the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ContextReport {
    /// Model name.
    pub model: String,
    /// Driver id of the model's provider.
    pub provider: String,
    /// Sum over the sections.
    pub estimated_input_tokens: u64,
    /// System prompt, tools and messages, in this order.
    pub sections: Vec<ContextSection>,
    /// What each contributor adds: prompts in order, tools by name, messages by speaker.
    pub contributions: Vec<Contribution>,
    /// The capabilities, dependencies before dependents.
    pub capabilities: Vec<CapabilityProvenance>,
    /// Which layer set each value.
    pub settings: Vec<Setting>,
    /// Tokens of all model calls of the session; absent if the session is not stored, or its
    /// messages come from a message store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cumulative_usage: Option<TokenUsage>,
}

/// Reports what a turn of the session would send now; also works before the first message.
///
/// # Errors
/// As [`super::inspect_turn_context`].
pub async fn context_report(sources: ContextSources<'_>, org: OrgId, session: SessionId) -> Result<ContextReport, ContextError> {
    let layers = Layers::of_session(sources.backends, org, session).await?;
    let look = |history: &super::History| (history.conversation().as_sent(), history.usage());
    let (messages, cumulative_usage) = with_history(sources.backends, org, session, look).await?;
    let context = layers.assemble(sources, org, messages, None).await?;
    Ok(ContextReport { cumulative_usage, ..context.report() })
}

impl TurnContext {
    /// What fills this context.
    pub fn report(&self) -> ContextReport {
        let mut contributions = self.prompt_contributions();
        contributions.extend(self.tool_contributions());
        contributions.extend(self.message_contributions());
        let kinds = [SectionKind::SystemPrompt, SectionKind::Tools, SectionKind::Messages];
        let sections: Vec<ContextSection> = kinds.into_iter().map(|kind| section(kind, &contributions)).collect();
        ContextReport {
            model: self.model_with_provider.model.clone(),
            provider: self.model_with_provider.provider_type.to_string(),
            estimated_input_tokens: sections.iter().map(|section| section.estimated_tokens).sum(),
            sections,
            contributions,
            capabilities: self.provenance.capabilities.clone(),
            settings: self.settings(),
            cumulative_usage: None,
        }
    }

    fn prompt_contributions(&self) -> Vec<Contribution> {
        let part = |part: &super::PromptPart| contribution(&part.contributor, SectionKind::SystemPrompt, None, 1, part.range.len());
        self.provenance.prompt.iter().map(part).collect()
    }

    fn tool_contributions(&self) -> impl Iterator<Item = Contribution> {
        self.runtime_agent.tools.iter().map(|tool| {
            let contributor = self.owner_of(&tool.name);
            contribution(&contributor, SectionKind::Tools, Some(tool.name.clone()), 1, tool_bytes(tool))
        })
    }

    /// Messages by who caused them: results of tools are their capability's, all else is the
    /// session's.
    fn message_contributions(&self) -> Vec<Contribution> {
        let mut tools_by_call: HashMap<&str, &str> = HashMap::new();
        let mut sums: Vec<(Contributor, &'static str, usize, usize)> = Vec::new();
        for message in &self.messages {
            tools_by_call.extend(message.tool_calls().map(|call| (call.id.as_str(), call.name.as_str())));
            let contributor = match called_tool(message, &tools_by_call) {
                Some(tool) => self.owner_of(tool),
                None => Contributor::from(&self.session),
            };
            let (role, bytes) = (role_name(message.role), message_bytes(message));
            match sums.iter_mut().find(|sum| sum.0 == contributor && sum.1 == role) {
                Some(sum) => (sum.2, sum.3) = (sum.2 + 1, sum.3 + bytes),
                None => sums.push((contributor, role, 1, bytes)),
            }
        }
        let of_sum = |(contributor, role, items, bytes): (Contributor, &str, usize, usize)| {
            contribution(&contributor, SectionKind::Messages, Some(role.to_owned()), items, bytes)
        };
        sums.into_iter().map(of_sum).collect()
    }

    /// The capability that has a tool; the session, if there is no such tool any more.
    fn owner_of(&self, tool: &str) -> Contributor {
        match self.tools.get(tool) {
            Some(tool) => Contributor::Capability { id: tool.capability.id().to_owned() },
            None => Contributor::from(&self.session),
        }
    }

    fn settings(&self) -> Vec<Setting> {
        let provenance = &self.provenance;
        let setting = |name: &str, value: Value, set_by: &Contributor| Setting { name: name.to_owned(), value, set_by: set_by.clone() };
        let mut settings = vec![setting("model", self.model_with_provider.model.clone().into(), &provenance.model)];
        if let (Some(locale), Some(set_by)) = (&self.resolved_locale, &provenance.locale) {
            settings.push(setting("locale", locale.clone().into(), set_by));
        }
        settings.push(setting("max_iterations", self.runtime_agent.max_iterations.into(), &provenance.max_iterations));
        for (resolved, origin) in self.resolved_capability_configs.iter().zip(&provenance.capabilities) {
            if let (Some(config), Some(set_by)) = (&resolved.config, &origin.configured_by) {
                let schema = self.capability(&resolved.id).and_then(Capability::config_schema);
                settings.push(setting(&format!("config:{}", resolved.id), redact_config(schema, config), set_by));
            }
        }
        settings
    }
}

fn contribution(contributor: &Contributor, section: SectionKind, name: Option<String>, items: usize, bytes: usize) -> Contribution {
    Contribution { contributor: contributor.clone(), section, name, items, bytes, estimated_tokens: estimate_tokens(bytes) }
}

fn section(section: SectionKind, contributions: &[Contribution]) -> ContextSection {
    let own = contributions.iter().filter(|contribution| contribution.section == section);
    let empty = ContextSection { section, items: 0, bytes: 0, estimated_tokens: 0 };
    own.fold(empty, |sum, own| ContextSection {
        section,
        items: sum.items + own.items,
        bytes: sum.bytes + own.bytes,
        estimated_tokens: sum.estimated_tokens + own.estimated_tokens,
    })
}

/// The tool whose result a message is.
fn called_tool<'a>(message: &Message, tools_by_call: &HashMap<&str, &'a str>) -> Option<&'a str> {
    message.content.iter().find_map(|part| match part {
        ContentPart::ToolResult { tool_call_id, .. } => tools_by_call.get(tool_call_id.as_str()).copied(),
        _ => None,
    })
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Agent => "agent",
        Role::ToolResult => "tool_result",
    }
}
