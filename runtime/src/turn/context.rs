//! What a turn works with: prompts, capabilities, tools and model, merged from the harness chain
//! (root to leaf), the agent and the session. Assembled once per turn.

use std::sync::Arc;

use super::context_error::ContextError;
use super::conversation::Conversation;
use super::model::{candidates, choose, named_by_message};
use super::resolve::{ResolvedCapability, merge, resolve, resolve_pinned};
use super::toolset::Toolset;
use crate::agent::Agent;
use crate::capability::CapabilitySource;
use crate::driver::{DriverRegistry, OfferedTool, ResolvedModel};
use crate::event::PinnedCapability;
use crate::harness::{CapabilityConfig, Harness, ResourceStatus};
use crate::id::{HarnessId, ModelId, OrgId, SessionId};
use crate::limits::{DEFAULT_MAX_ITERATIONS, MAX_EVENTS_PER_PAGE, MAX_HARNESS_DEPTH};
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
    pub drivers: &'a DriverRegistry,
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
    /// Id of the model; none for the platform's default.
    pub resolved_model_id: Option<ModelId>,
    /// BCP 47 tag of the user's language.
    pub resolved_locale: Option<String>,
    /// The tools, ready to be called.
    pub tools: Toolset,
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
    assemble(sources, org, session, messages, pins).await
}

/// The context that a turn of the session would have now; also works before the first message.
///
/// # Errors
/// As [`assemble_turn_context`], except `NoMessages`.
pub async fn inspect_turn_context(sources: ContextSources<'_>, org: OrgId, session: SessionId) -> Result<TurnContext, ContextError> {
    let messages = read_messages(sources.backends, org, session).await?;
    assemble(sources, org, session, messages, None).await
}

async fn read_messages(backends: &RuntimeBackends, org: OrgId, session: SessionId) -> Result<Vec<Arc<Message>>, ContextError> {
    let mut conversation = Conversation::of_session();
    let mut after = 0;
    loop {
        let page = backends.log.read_events(org, session, after, MAX_EVENTS_PER_PAGE).await?;
        for event in &page {
            conversation.fold(event);
        }
        match page.last().and_then(|event| event.sequence) {
            Some(last) if page.len() == MAX_EVENTS_PER_PAGE => after = last,
            _ => return Ok(conversation.messages()),
        }
    }
}

async fn assemble(
    sources: ContextSources<'_>,
    org: OrgId,
    session_id: SessionId,
    messages: Vec<Arc<Message>>,
    pins: Option<&[PinnedCapability]>,
) -> Result<TurnContext, ContextError> {
    let backends = sources.backends;
    let session = backends.session_store.get_session(org, session_id).await?.ok_or(ContextError::SessionMissing(session_id))?;
    let agent = find_agent(backends, org, &session).await?;
    let harness_chain = find_harness_chain(backends, org, session.harness_id).await?;
    let wanted = merge(capability_layers(&harness_chain, agent.as_ref(), &session));
    let capabilities = match pins {
        Some(pins) => resolve_pinned(sources.capabilities, org, &wanted, pins).await?,
        None => resolve(sources.capabilities, org, wanted).await?,
    };
    let tools = Toolset::bind(&capabilities)?;
    let named = candidates(named_by_message(&messages), &session, agent.as_ref(), &harness_chain);
    let model = choose(sources, org, named).await?;
    let runtime_agent = RuntimeAgent {
        system_prompt: system_prompt(&harness_chain, agent.as_ref(), &session, &capabilities),
        model: model.resolved.model.clone(),
        tools: tools.offered(),
        max_iterations: session.max_iterations.or(agent.as_ref().and_then(|agent| agent.max_iterations)).unwrap_or(DEFAULT_MAX_ITERATIONS),
    };
    let config = |resolved: &ResolvedCapability| CapabilityConfig { id: resolved.id.clone(), config: Some(resolved.config.clone()) };
    Ok(TurnContext {
        resolved_capability_configs: capabilities.iter().map(config).collect(),
        pins: capabilities.iter().map(|resolved| resolved.capability.pin()).collect(),
        messages,
        runtime_agent,
        model_with_provider: model.resolved,
        resolved_model_id: model.id,
        resolved_locale: session.locale.clone(),
        tools,
        harness_chain,
        agent,
        session,
    })
}

async fn find_agent(backends: &RuntimeBackends, org: OrgId, session: &Session) -> Result<Option<Agent>, ContextError> {
    let Some(id) = session.agent_id else { return Ok(None) };
    let agent = backends.agent_store.get_agent(org, id).await?.ok_or(ContextError::AgentMissing(id))?;
    match agent.status {
        ResourceStatus::Active => Ok(Some(agent)),
        ResourceStatus::Archived => Err(ContextError::AgentArchived { name: agent.name }),
    }
}

/// Follows the parents from the leaf; returns the chain root first.
async fn find_harness_chain(backends: &RuntimeBackends, org: OrgId, leaf: HarnessId) -> Result<Vec<Harness>, ContextError> {
    let mut chain: Vec<Harness> = Vec::new();
    let mut at = Some(leaf);
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

fn capability_layers<'a>(
    chain: &'a [Harness],
    agent: Option<&'a Agent>,
    session: &'a Session,
) -> impl Iterator<Item = &'a [CapabilityConfig]> {
    let harnesses = chain.iter().map(|harness| harness.capabilities.as_slice());
    harnesses.chain(agent.map(|agent| agent.capabilities.as_slice())).chain([session.capabilities.as_slice()])
}

/// Prompts in order of the layers, then the additions of the capabilities.
fn system_prompt(chain: &[Harness], agent: Option<&Agent>, session: &Session, capabilities: &[ResolvedCapability]) -> String {
    let prompts = chain
        .iter()
        .filter_map(|harness| harness.system_prompt.as_deref())
        .chain(agent.map(|agent| agent.system_prompt.as_str()))
        .chain(session.system_prompt.as_deref());
    let mut parts: Vec<String> = prompts.map(str::trim).filter(|prompt| !prompt.is_empty()).map(str::to_owned).collect();
    for resolved in capabilities {
        if let Some(addition) = resolved.capability.system_prompt_addition() {
            parts.push(wrapped(&resolved.id, addition.trim()));
        }
    }
    parts.join("\n\n")
}

/// An addition cannot close its own element and go on in the name of the platform.
fn wrapped(id: &str, addition: &str) -> String {
    let addition = addition.replace("</capability", "&lt;/capability").replace("<capability", "&lt;capability");
    format!("<capability id=\"{id}\">\n{addition}\n</capability>")
}
