//! What a turn works with: prompts, capabilities, tools and model, merged from the harness chain
//! (root to leaf), the agent and the session. Assembled once per turn.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::context_error::ContextError;
use super::history::session_messages;
use super::model::{candidates, choose, named_by_message};
use super::provenance::{CapabilityProvenance, Contributor, Provenance, join};
use super::resolve::{ResolvedCapability, merge, resolve, resolve_pinned};
use super::toolset::Toolset;
use crate::agent::Agent;
use crate::capability::{Capability, CapabilitySource};
use crate::driver::{DriverSource, FoundDriver, OfferedTool, ResolvedModel};
use crate::event::PinnedCapability;
use crate::harness::{CapabilityConfig, Harness, ResourceStatus};
use crate::id::{HarnessId, ModelId, OrgId, ProviderId, SessionId};
use crate::limits::{DEFAULT_MAX_ITERATIONS, MAX_HARNESS_DEPTH};
use crate::message::Message;
use crate::session::Session;
use crate::store::RuntimeBackends;

/// Where the parts of a context come from.
#[derive(Clone, Copy)]
pub struct ContextSources<'a> {
    /// Harnesses, agents, sessions and the log.
    pub backends: &'a RuntimeBackends,
    /// Capabilities.
    pub capabilities: &'a dyn CapabilitySource,
    /// Model drivers: a model whose driver is missing cannot be used.
    pub drivers: &'a dyn DriverSource,
    /// The platform's default model.
    pub default_model: &'a ResolvedModel,
}

/// The agent as a model meets it.
#[derive(Debug, Clone)]
pub struct RuntimeAgent {
    /// The merged prompt with the additions of the capabilities.
    pub system_prompt: String,
    /// Model name.
    pub model: String,
    /// The tools that are offered, by name.
    pub tools: Vec<OfferedTool>,
    /// Most model calls of one turn: the session's, else the agent's, else the default.
    pub max_iterations: u32,
}

/// The capabilities of a context. Its `Debug` shows their ids.
#[derive(Clone, Default)]
pub struct Capabilities(pub Vec<Arc<dyn Capability>>);

impl fmt::Debug for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|capability| capability.id())).finish()
    }
}

/// Everything that the model calls and tool calls of one turn use.
#[derive(Debug)]
pub struct TurnContext {
    /// The harness chain, root first.
    pub harness_chain: Vec<Harness>,
    /// The session's agent.
    pub agent: Option<Agent>,
    /// The session.
    pub session: Session,
    /// The capabilities with their configuration, dependencies before dependents.
    pub resolved_capability_configs: Vec<CapabilityConfig>,
    /// What a turn records about its capabilities, in the same order.
    pub pins: Vec<PinnedCapability>,
    /// The conversation when the context was assembled.
    pub messages: Vec<Arc<Message>>,
    /// Prompt, model name and tools.
    pub runtime_agent: RuntimeAgent,
    /// The model and how to reach it.
    pub model_with_provider: ResolvedModel,
    /// The driver of the model; none if the platform's default names one that is not registered.
    pub driver: Option<FoundDriver>,
    /// Id of the model; none for the platform's default.
    pub resolved_model_id: Option<ModelId>,
    /// Id of the model's provider; none for the platform's default.
    pub resolved_provider_id: Option<ProviderId>,
    /// BCP 47 tag of the user's language.
    pub resolved_locale: Option<String>,
    /// The tools, ready to be called.
    pub tools: Toolset,
    /// The capabilities, in the order of their configurations.
    pub capabilities: Capabilities,
    /// Who contributed its parts and set its values.
    pub provenance: Provenance,
}

/// Assembles the context of a turn that is to run. `pins` are what the turn recorded at its
/// start, if it has started: they decide which capabilities it has, whatever was changed since.
///
/// # Errors
/// `NoMessages` if there is nothing to answer; others name what is missing or wrong.
pub async fn assemble_turn_context(
    sources: ContextSources<'_>,
    org: OrgId,
    session: SessionId,
    messages: Vec<Arc<Message>>,
    pins: Option<&[PinnedCapability]>,
) -> Result<TurnContext, ContextError> {
    if messages.is_empty() {
        return Err(ContextError::NoMessages);
    }
    Layers::of_session(sources.backends, org, session).await?.assemble(sources, org, messages, pins).await
}

/// The context that a turn of the session would have now; also works before the first message.
///
/// # Errors
/// As [`assemble_turn_context`], except `NoMessages`.
pub async fn inspect_turn_context(sources: ContextSources<'_>, org: OrgId, session: SessionId) -> Result<TurnContext, ContextError> {
    let messages = session_messages(sources.backends, org, session).await?;
    Layers::of_session(sources.backends, org, session).await?.assemble(sources, org, messages, None).await
}

impl TurnContext {
    /// One of its capabilities, by its id in any case.
    pub fn capability(&self, id: &str) -> Option<&dyn Capability> {
        let capability = self.capabilities.0.iter().find(|capability| capability.id().eq_ignore_ascii_case(id))?;
        Some(capability.as_ref())
    }
}

/// What a context is merged from, in the order in which the layers win.
pub(super) struct Layers {
    /// Root first.
    pub(super) harness_chain: Vec<Harness>,
    pub(super) agent: Option<Agent>,
    pub(super) session: Session,
}

impl Layers {
    /// The layers of a stored session.
    pub(super) async fn of_session(backends: &RuntimeBackends, org: OrgId, session: SessionId) -> Result<Self, ContextError> {
        let session = backends.session_store.get_session(org, session).await?.ok_or(ContextError::SessionMissing(session))?;
        let agent = find_agent(backends, org, &session).await?;
        let harness_chain = find_harness_chain(backends, org, session.harness_id).await?;
        Ok(Self { harness_chain, agent, session })
    }

    /// The one merge of all contexts: of turns that run, that are inspected, and of drafts.
    pub(super) async fn assemble(
        self,
        sources: ContextSources<'_>,
        org: OrgId,
        messages: Vec<Arc<Message>>,
        pins: Option<&[PinnedCapability]>,
    ) -> Result<TurnContext, ContextError> {
        let wanted = merge(self.capabilities());
        let capabilities = match pins {
            Some(pins) => resolve_pinned(sources.capabilities, org, &wanted, pins).await?,
            None => resolve(sources.capabilities, org, wanted).await?,
        };
        let agent_tools = self.agent.as_ref().map(|agent| agent.tools.as_slice()).unwrap_or_default();
        let tools = Toolset::bind(&capabilities, agent_tools, &self.session.tools)?;
        let (system_prompt, prompt) = join(self.prompts(&capabilities));
        let (max_iterations, max_iterations_by) = self.max_iterations();
        let named = candidates(named_by_message(&messages), &self.session, self.agent.as_ref(), &self.harness_chain);
        let model = choose(sources, org, named).await?;
        let name = model.resolved.model.clone();
        let runtime_agent = RuntimeAgent { system_prompt, model: name, tools: tools.offered(), max_iterations };
        let provenance = Provenance {
            prompt,
            model: model.chosen_by,
            locale: self.session.locale.as_ref().map(|_| Contributor::from(&self.session)),
            max_iterations: max_iterations_by,
            capabilities: capabilities.iter().map(origin).collect(),
        };
        let config = |resolved: &ResolvedCapability| CapabilityConfig { id: resolved.id.clone(), config: Some(resolved.config.clone()) };
        Ok(TurnContext {
            resolved_capability_configs: capabilities.iter().map(config).collect(),
            pins: capabilities.iter().map(|resolved| resolved.capability.pin()).collect(),
            messages,
            runtime_agent,
            model_with_provider: model.resolved,
            driver: model.driver,
            resolved_model_id: model.id,
            resolved_provider_id: model.provider_id,
            resolved_locale: self.session.locale.clone(),
            tools,
            capabilities: Capabilities(capabilities.into_iter().map(|resolved| resolved.capability).collect()),
            provenance,
            harness_chain: self.harness_chain,
            agent: self.agent,
            session: self.session,
        })
    }

    fn capabilities(&self) -> impl Iterator<Item = (Contributor, &[CapabilityConfig])> {
        let harnesses = self.harness_chain.iter().map(|harness| (harness.into(), harness.capabilities.as_slice()));
        let agent = self.agent.iter().map(|agent| (agent.into(), agent.capabilities.as_slice()));
        harnesses.chain(agent).chain([((&self.session).into(), self.session.capabilities.as_slice())])
    }

    /// Prompts in order of the layers, then the additions of the capabilities.
    fn prompts<'a>(&'a self, capabilities: &'a [ResolvedCapability]) -> impl Iterator<Item = (Contributor, Cow<'a, str>)> {
        let harness = |harness: &'a Harness| Some((harness.into(), Cow::from(harness.system_prompt.as_deref()?)));
        let harnesses = self.harness_chain.iter().filter_map(harness);
        let agent = self.agent.iter().map(|agent| (agent.into(), Cow::from(agent.system_prompt.as_str())));
        let session = self.session.system_prompt.iter().map(|prompt| ((&self.session).into(), Cow::from(prompt.as_str())));
        let addition = |resolved: &'a ResolvedCapability| {
            let addition = resolved.capability.system_prompt_addition()?;
            Some((Contributor::Capability { id: resolved.id.clone() }, Cow::from(wrapped(&resolved.id, addition.trim()))))
        };
        harnesses.chain(agent).chain(session).chain(capabilities.iter().filter_map(addition))
    }

    fn max_iterations(&self) -> (u32, Contributor) {
        let agent = self.agent.as_ref();
        let by_session = self.session.max_iterations.map(|most| (most, Contributor::from(&self.session)));
        let by_agent = agent.and_then(|agent| Some((agent.max_iterations?, Contributor::from(agent))));
        by_session.or(by_agent).unwrap_or((DEFAULT_MAX_ITERATIONS, Contributor::Platform))
    }
}

fn origin(resolved: &ResolvedCapability) -> CapabilityProvenance {
    let (listed_by, configured_by) = (resolved.listed_by.clone(), resolved.configured_by.clone());
    CapabilityProvenance { id: resolved.id.clone(), listed_by, configured_by }
}

pub(super) async fn find_agent(backends: &RuntimeBackends, org: OrgId, session: &Session) -> Result<Option<Agent>, ContextError> {
    let Some(id) = session.agent_id else { return Ok(None) };
    let agent = backends.agent_store.get_agent(org, id).await?.ok_or(ContextError::AgentMissing(id))?;
    match agent.status {
        ResourceStatus::Active => Ok(Some(agent)),
        ResourceStatus::Archived => Err(ContextError::AgentArchived { name: agent.name }),
    }
}

/// The chain of a stored harness, root first.
pub(super) async fn find_harness_chain(backends: &RuntimeBackends, org: OrgId, leaf: HarnessId) -> Result<Vec<Harness>, ContextError> {
    extend_harness_chain(backends, org, Vec::new(), Some(leaf)).await
}

/// Follows the parents; `chain` begins with the leaf and may have harnesses that are not stored.
/// Returns the chain root first.
pub(super) async fn extend_harness_chain(
    backends: &RuntimeBackends,
    org: OrgId,
    mut chain: Vec<Harness>,
    mut at: Option<HarnessId>,
) -> Result<Vec<Harness>, ContextError> {
    while let Some(id) = at {
        if let Some(again) = chain.iter().find(|harness| harness.id == id) {
            return Err(ContextError::HarnessCycle { chain: named(&chain, &again.name) });
        }
        let Some(harness) = backends.harness_store.get_harness(org, id).await? else {
            return Err(ContextError::HarnessMissing { chain: named(&chain, &id.to_string()) });
        };
        if chain.len() == MAX_HARNESS_DEPTH {
            return Err(ContextError::HarnessTooDeep { limit: MAX_HARNESS_DEPTH, chain: named(&chain, &harness.name) });
        }
        if harness.status == ResourceStatus::Archived {
            return Err(ContextError::HarnessArchived { chain: named(&chain, &harness.name) });
        }
        at = harness.parent_harness_id;
        chain.push(harness);
    }
    chain.reverse();
    Ok(chain)
}

fn named(chain: &[Harness], last: &str) -> String {
    let names: Vec<&str> = chain.iter().map(|harness| harness.name.as_str()).chain([last]).collect();
    names.join(" → ")
}

/// An addition cannot close its own element and go on in the name of the platform.
fn wrapped(id: &str, addition: &str) -> String {
    let addition = addition.replace("</capability", "&lt;/capability").replace("<capability", "&lt;capability");
    format!("<capability id=\"{id}\">\n{addition}\n</capability>")
}
