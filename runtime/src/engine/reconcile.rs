//! Tells an engine what it does not know: the store is the truth, and an engine may have lost a
//! submission, or all of them.

use std::time::Duration;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use super::{Engine, TurnKey, TurnStatus};
use crate::error::{Error, ErrorKind};
use crate::id::{OrgId, SessionId};
use crate::store::SessionLog;

/// Sessions that one round asks the engine about. With a round every 30 seconds, 100,000 open sessions take 13 minutes.
pub const SESSIONS_PER_ROUND: usize = 4_096;
/// Of those, how many at once.
const SESSIONS_AT_ONCE: usize = 8;
/// How often an engine is asked that does not answer, and the pause between.
const TRIES: usize = 3;
const PAUSE: Duration = Duration::from_millis(500);

/// What came of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reconciled {
    /// Turns that the engine was told of.
    pub told: usize,
    /// The last session of the round, after which the next one begins; none if there was no further one.
    pub reached: Option<(OrgId, SessionId)>,
}

/// Submits the open turns of sessions that the engine knows nothing of, and signals those that it lets wait
/// although what they waited for has come: whoever stored that may have died before it told. Looks at the first
/// [`SESSIONS_PER_ROUND`] sessions with open turns after `after`. To be called at the start and from time to time.
///
/// # Errors
/// Those of the store and the engine; what was not reached yet is found the next time.
pub async fn reconcile(log: &dyn SessionLog, engine: &dyn Engine, after: Option<(OrgId, SessionId)>) -> Result<Reconciled, Error> {
    round(log, engine, after, SESSIONS_PER_ROUND).await
}

async fn round(log: &dyn SessionLog, engine: &dyn Engine, after: Option<(OrgId, SessionId)>, limit: usize) -> Result<Reconciled, Error> {
    let mut sessions = log.sessions_with_open_turns().await?;
    sessions.retain(|session| after.is_none_or(|after| *session > after));
    sessions.sort_unstable();
    let is_last = sessions.len() <= limit;
    sessions.truncate(limit);
    let reached = sessions.last().copied().filter(|_| !is_last);
    let telling = stream::iter(sessions).map(|(org, session)| insist(log, engine, org, session)).buffer_unordered(SESSIONS_AT_ONCE);
    let told = telling.try_fold(0, |sum, told| async move { Ok(sum + told) }).await?;
    Ok(Reconciled { told, reached })
}

/// Tells of the turns of a session, also if the engine does not answer at first. To tell of a turn twice does nothing.
async fn insist(log: &dyn SessionLog, engine: &dyn Engine, org: OrgId, session: SessionId) -> Result<usize, Error> {
    let mut tries = 1;
    loop {
        match tell(log, engine, org, session).await {
            Err(error) if error.kind() == ErrorKind::Unavailable && tries < TRIES => tries += 1,
            outcome => return outcome,
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn tell(log: &dyn SessionLog, engine: &dyn Engine, org: OrgId, session: SessionId) -> Result<usize, Error> {
    let open = log.open_turns(org, session).await?;
    let Some(&turn) = open.first() else { return Ok(0) };
    let oldest = TurnKey { org, session, turn };
    match engine.status(oldest).await? {
        TurnStatus::Unknown => {
            for &turn in &open {
                engine.submit(TurnKey { org, session, turn }).await?;
            }
            Ok(open.len())
        }
        // A parked turn has no owner. One whose worker has just died is told once too often, which does nothing.
        TurnStatus::Waiting if log.owner(org, session, turn).await?.is_some() => {
            engine.signal(oldest).await?;
            Ok(1)
        }
        TurnStatus::Waiting | TurnStatus::Running => Ok(0),
    }
}

#[cfg(test)]
mod tests;
