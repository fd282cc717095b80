//! What a turn works with: prompts, capabilities, tools and model, merged from the harness chain
//! (root to leaf), the agent and the session. Assembled once per turn.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::context_error::ContextError;
use super::history::with_history;
use super::model::{candidates, choose, controls_of};
use super::provenance::{CapabilityProvenance, Contributor, Provenance, join};
use super::resolve::{ResolvedCapability, merge, resolve, resolve_pinned};
use super::risk::{allowed_risk, require_risk};
use super::toolset::{Toolset, cut};
use crate::agent::Agent;
use crate::capability::{Capability, CapabilitySource, PromptContext, TurnRules};
use crate::driver::profile::ModelProfile;
use crate::driver::{DriverSource, FoundDriver, OfferedTool, ResolvedModel};
use crate::error::Error;
use crate::event::PinnedCapability;
use crate::harness::{CapabilityConfig, Harness, ResourceStatus};
use crate::id::{HarnessId, ModelId, OrgId, ProviderId, SessionId};
use crate::limits::{DEFAULT_MAX_ITERATIONS, MAX_HARNESS_DEPTH, MAX_PROMPT_CONTRIBUTION_BYTES};
use crate::message::Message;
use crate::mutation::off;
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
    /// What is known of the model, for example how long a conversation may be.
    pub model_profile: ModelProfile,
    /// BCP 47 tag of the user's language: the last message's, else the session's.
    pub resolved_locale: Option<String>,
    /// The tools, ready to be called.
    pub tools: Arc<Toolset>,
    /// What the capabilities have to say about the course of the turn.
    pub rules: TurnRules,
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
    let messages = with_history(sources.backends, org, session, |history| history.conversation().as_sent()).await?;
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
        require_allowed(sources.backends, org, &capabilities).await?;
        let agent_tools = self.agent.as_ref().map(|agent| agent.tools.as_slice()).unwrap_or_default();
        let tools = Toolset::bind(&capabilities, agent_tools, &self.session.tools)?;
        let additions = self.additions(sources.backends, org, &capabilities).await?;
        let (system_prompt, prompt) = join(self.prompts(&additions));
        let (max_iterations, max_iterations_by) = self.max_iterations();
        let controls = controls_of(&messages);
        let by_message = controls.and_then(|controls| controls.model_id);
        let locale = controls.and_then(|controls| controls.locale.clone()).or_else(|| self.session.locale.clone());
        let named = candidates(by_message, &self.session, self.agent.as_ref(), &self.harness_chain);
        let model = choose(sources, org, named).await?;
        let name = model.resolved.model.clone();
        let runtime_agent = RuntimeAgent { system_prompt, model: name, tools: tools.offered(), max_iterations };
        let provenance = Provenance {
            prompt,
            model: model.chosen_by,
            locale: locale.as_ref().map(|_| Contributor::from(&self.session)),
            max_iterations: max_iterations_by,
            capabilities: capabilities.iter().map(origin).collect(),
        };
        let config = |resolved: &ResolvedCapability| CapabilityConfig::with_config(&*resolved.id, resolved.config.clone());
        Ok(TurnContext {
            resolved_capability_configs: capabilities.iter().map(config).collect(),
            pins: capabilities.iter().map(|resolved| resolved.capability.pin()).collect(),
            messages,
            runtime_agent,
            model_with_provider: model.resolved,
            driver: model.driver,
            resolved_model_id: model.id,
            resolved_provider_id: model.provider_id,
            model_profile: model.profile,
            resolved_locale: locale,
            tools: Arc::new(tools),
            rules: capabilities.iter().rev().fold(TurnRules::default(), |rules, own| rules.or(own.capability.turn_rules(&own.config))),
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
    fn prompts<'a>(&'a self, additions: &'a [(String, String)]) -> impl Iterator<Item = (Contributor, Cow<'a, str>)> {
        let harness = |harness: &'a Harness| Some((harness.into(), Cow::from(harness.system_prompt.as_deref()?)));
        let harnesses = self.harness_chain.iter().filter_map(harness);
        let agent = self.agent.iter().map(|agent| (agent.into(), Cow::from(agent.system_prompt.as_str())));
        let session = self.session.system_prompt.iter().map(|prompt| ((&self.session).into(), Cow::from(prompt.as_str())));
        let addition = |(id, addition): &'a (String, String)| (Contributor::Capability { id: id.clone() }, Cow::from(addition.as_str()));
        harnesses.chain(agent).chain(session).chain(additions.iter().map(addition))
    }

    /// What the capabilities add to the prompt, by their ids.
    async fn additions(
        &self,
        backends: &RuntimeBackends,
        org_id: OrgId,
        capabilities: &[ResolvedCapability],
    ) -> Result<Vec<(String, String)>, ContextError> {
        let (session_id, locale) = (self.session.id, self.session.locale.as_deref());
        let mut additions = Vec::new();
        for ResolvedCapability { id, capability, config, .. } in capabilities {
            let context = PromptContext { org_id, session_id, config, locale, backends };
            match capability.prompt_contribution(&context).await {
                Ok(Some(addition)) if !addition.trim().is_empty() => additions.push((id.clone(), wrapped(id, addition.trim()))),
                Ok(_) => {}
                Err(error) if error.is_retryable() => return Err(error.into()),
                Err(error) => return Err(ContextError::ContributionFailed { id: id.clone(), problem: error.to_string() }),
            }
        }
        Ok(additions)
    }

    fn max_iterations(&self) -> (u32, Contributor) {
        let agent = self.agent.as_ref();
        let by_session = self.session.max_iterations.map(|most| (most, Contributor::from(&self.session)));
        let by_agent = agent.and_then(|agent| Some((agent.max_iterations?, Contributor::from(agent))));
        by_session.or(by_agent).unwrap_or((DEFAULT_MAX_ITERATIONS, Contributor::Platform))
    }
}

/// Whether the org allows the risk of all capabilities.
async fn require_allowed(backends: &RuntimeBackends, org: OrgId, capabilities: &[ResolvedCapability]) -> Result<(), ContextError> {
    let levels = capabilities.iter().map(|resolved| resolved.capability.risk_level());
    let allowed = allowed_risk(&*backends.setup_store, org, levels).await.map_err(Error::from)?;
    let beyond = capabilities.iter().find_map(|resolved| require_risk(&*resolved.capability, allowed).err());
    beyond.filter(|_| !off("risk.turn")).map_or(Ok(()), |beyond| Err(beyond.into()))
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
        if chain.len() >= MAX_HARNESS_DEPTH && !off("turn.harness_depth") {
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
    let shown = cut(addition, if off("turn.prompt_bytes") { usize::MAX } else { MAX_PROMPT_CONTRIBUTION_BYTES });
    let note = match shown.len() < addition.len() {
        true => format!("\n[cut: the addition has {} bytes; only the first {} are shown]", addition.len(), shown.len()),
        false => String::new(),
    };
    let addition = shown.replace("</capability", "&lt;/capability").replace("<capability", "&lt;capability");
    format!("<capability id=\"{id}\">\n{addition}{note}\n</capability>")
}
