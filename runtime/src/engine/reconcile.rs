//! Tells an engine what it does not know: the store is the truth, and an engine may have lost a
//! submission, or all of them.

use super::{Engine, TurnKey, TurnStatus};
use crate::error::Error;
use crate::store::SessionLog;

/// Submits the open turns of every session that the engine knows nothing of, and signals those that it lets wait
/// although what they waited for has come: whoever stored that may have died before it told. Returns how many turns
/// that were. To be called at the start and from time to time.
///
/// # Errors
/// Those of the store and the engine; what was not reached yet is found the next time.
pub async fn reconcile(log: &dyn SessionLog, engine: &dyn Engine) -> Result<usize, Error> {
    let mut told = 0;
    for (org, session) in log.sessions_with_open_turns().await? {
        let open = log.open_turns(org, session).await?;
        let Some(&turn) = open.first() else { continue };
        let oldest = TurnKey { org, session, turn };
        match engine.status(oldest).await? {
            TurnStatus::Unknown => {
                for turn in open {
                    engine.submit(TurnKey { org, session, turn }).await?;
                    told += 1;
                }
            }
            // A parked turn has no owner. One whose worker has just died is told once too often, which does nothing.
            TurnStatus::Waiting if log.owner(org, session, turn).await?.is_some() => {
                engine.signal(oldest).await?;
                told += 1;
            }
            TurnStatus::Waiting | TurnStatus::Running => {}
        }
    }
    Ok(told)
}
