//! The context of what is not stored: drafts of harnesses and agents.

use super::context::{ContextSources, Layers, TurnContext, extend_harness_chain};
use super::context_error::ContextError;
use crate::agent::Agent;
use crate::harness::Harness;
use crate::id::{OrgId, SessionId};
use crate::session::{Session, SessionStatus};

/// The context that the first turn of a session on this harness and agent would have, before
/// its first message. Neither has to be stored; the parents of the harness have to be. Nothing
/// is stored.
///
/// # Errors
/// What is wrong with the drafts or the parents, as for a session.
pub async fn preview_turn_context(
    sources: ContextSources<'_>,
    org: OrgId,
    harness: Harness,
    agent: Option<Agent>,
) -> Result<TurnContext, ContextError> {
    let session = blank_session(&harness);
    let parent = harness.parent_harness_id;
    let harness_chain = extend_harness_chain(sources.backends, org, vec![harness], parent).await?;
    Layers { harness_chain, agent, session }.assemble(sources, org, Vec::new(), None).await
}

/// A session that adds nothing. Its id is nil, because there is no such session.
fn blank_session(harness: &Harness) -> Session {
    Session {
        model_id: None,
        id: SessionId::from_uuid(uuid::Uuid::nil()),
        harness_id: harness.id,
        agent_id: None,
        owner: None,
        title: None,
        status: SessionStatus::Started,
        system_prompt: None,
        capabilities: Vec::new(),
        tools: Vec::new(),
        locale: None,
        max_iterations: None,
        initial_files: Vec::new(),
        tags: Vec::new(),
        version: 1,
        created_at: harness.created_at,
        updated_at: harness.created_at,
    }
}
