//! The files that a session starts with.

use super::context::{find_agent, find_harness_chain};
use super::context_error::ContextError;
use crate::file::InitialFile;
use crate::id::OrgId;
use crate::session::Session;
use crate::store::RuntimeBackends;

/// Writes the files that a session starts with: those of its harness chain from the root on, of its
/// agent and its own, of which later ones win. To be called once, before the session is stored. A
/// repetition writes what is missing and replaces nothing.
///
/// # Errors
/// If harness or agent cannot be used, and those of the file store: files of different layers can
/// contradict each other, for example where one has a directory that is a file of another.
pub async fn write_initial_files(backends: &RuntimeBackends, org: OrgId, session: &Session) -> Result<(), ContextError> {
    let agent = find_agent(backends, org, session).await?;
    let chain = find_harness_chain(backends, org, session.harness_id).await?;
    let layers = chain.iter().map(|harness| harness.initial_files.as_slice());
    let layers = layers.chain(agent.as_ref().map(|agent| agent.initial_files.as_slice())).chain([session.initial_files.as_slice()]);
    for file in InitialFile::merge(layers) {
        backends.file_store.seed_initial_file(org, session.id, &file, session.created_at).await?;
    }
    Ok(())
}
