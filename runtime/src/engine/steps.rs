//! Turns as steps: what engines call to have a turn of the platform run.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use jiff::Timestamp;

use super::{Next, Step, StepError, StepHandler};
use crate::error::Error;
use crate::id::{OrgId, SessionId};
use crate::turn::{TurnPlatform, TurnRun, panic_message};

/// How long after a failure a wait is looked at again.
const RETRY: Duration = Duration::from_secs(60);

#[async_trait]
impl StepHandler for TurnPlatform {
    async fn step(&self, step: Step) -> Result<Next, StepError> {
        let (org, session) = (step.key.org, step.key.session);
        let run = AssertUnwindSafe(self.run_claimed(step.key, step.claim.clone(), step.signals.clone())).catch_unwind().await;
        let run = match run {
            Ok(Err(error)) if error.is_retryable() => Err(error),
            Ok(Err(error)) => {
                tracing::error!(%error, "a turn cannot go on; it is sealed");
                seal(self, step).await.map(|run| (run, false))
            }
            Ok(run) => run,
            Err(panic) => {
                tracing::error!(panic = panic_message(panic.as_ref()), "a turn panicked; it is sealed");
                seal(self, step).await.map(|run| (run, false))
            }
        };
        match run {
            Ok((TurnRun::Ended(end), is_last)) => {
                tracing::info!(?end, "a turn ended");
                // A turn that was submitted since then has its own way of being told.
                Ok(if is_last { Next::Done } else { Next::Again })
            }
            // Whoever settles what it waits for tells the engine.
            Ok((TurnRun::Parked, _)) => Ok(match waiting(self, org, session).await {
                Ok(next) => next,
                Err(error) => {
                    tracing::warn!(%error, "it is not known until when a session waits; looking again later");
                    Next::Signal { limit: RETRY }
                }
            }),
            Ok((TurnRun::Drained, _)) => Ok(Next::Again),
            Ok((TurnRun::Lost, _)) => Err(StepError::Lost),
            Err(error) if error.is_retryable() => Err(StepError::Retry(error)),
            Err(error) => Err(StepError::Fatal(error)),
        }
    }

    async fn idle(&self, org: OrgId, session: SessionId) -> Result<Next, Error> {
        match self.outside_desk().expire(org, session).await {
            Ok(Some(accepted)) if accepted.wakes_turn => {
                tracing::info!(%session, "what a turn waited for did not come in time; it goes on without");
                Ok(Next::Again)
            }
            Ok(_) => waiting(self, org, session).await,
            Err(error) => {
                tracing::warn!(%session, %error, "a wait that is over could not be ended; trying again later");
                Ok(Next::Signal { limit: RETRY })
            }
        }
    }
}

/// Until when a session waits for somebody outside; nothing is to be done if it does not wait, or for
/// as long as it takes.
async fn waiting(platform: &TurnPlatform, org: OrgId, session: SessionId) -> Result<Next, Error> {
    let deadline = platform.outside_desk().deadline(org, session).await?;
    let left = |deadline: Timestamp| Duration::try_from(deadline.duration_since(platform.clock.now())).unwrap_or_default();
    Ok(deadline.map_or(Next::Done, |deadline| Next::Signal { limit: left(deadline) }))
}

/// Ends a turn that cannot go on, also if ending it panics.
async fn seal(platform: &TurnPlatform, step: Step) -> Result<TurnRun, Error> {
    let sealing = platform.seal_turn(step.key, step.claim, "an internal error ended the turn");
    AssertUnwindSafe(sealing)
        .catch_unwind()
        .await
        .unwrap_or_else(|panic| Err(Error::Internal(format!("sealing the turn panicked: {}", panic_message(panic.as_ref())))))
}
