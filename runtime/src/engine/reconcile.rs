//! Tells an engine what it does not know: the store is the truth, and an engine may have lost a
//! submission, or all of them.

use super::{Engine, TurnKey, TurnStatus};
use crate::error::Error;
use crate::store::SessionLog;

/// Submits the open turns of every session that the engine knows nothing of; returns how many
/// turns that were. To be called at the start and from time to time.
///
/// # Errors
/// Those of the store and the engine; what was not reached yet is found the next time.
pub async fn reconcile(log: &dyn SessionLog, engine: &dyn Engine) -> Result<usize, Error> {
    let mut submitted = 0;
    for (org, session) in log.sessions_with_open_turns().await? {
        let open = log.open_turns(org, session).await?;
        let Some(&oldest) = open.first() else { continue };
        if engine.status(TurnKey { org, session, turn: oldest }).await? != TurnStatus::Unknown {
            continue;
        }
        for turn in open {
            engine.submit(TurnKey { org, session, turn }).await?;
            submitted += 1;
        }
    }
    Ok(submitted)
}
