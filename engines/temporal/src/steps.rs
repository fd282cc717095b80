//! The activity: works on a session's turn until that has ended or has to wait.

use std::sync::Arc;
use std::time::Duration;

use everwit_runtime::engine::{Next, Step, StepError, StepHandler, TurnKey, WorkEnd};
use everwit_runtime::store::{Fence, SessionLog, StoreError};
use everwit_runtime::turn::TurnSignals;
use temporalio_common::error::ApplicationFailure;
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use tokio_util::sync::CancellationToken;

use crate::payload::{StepsInput, StepsOutput, millis};

/// The fence of an activity's attempt is the number of its claim times this, plus that of the attempt.
pub const FENCES_PER_CLAIM: u64 = 1_000_000;
/// How often a worker tells that it lives. The answer tells it to stop, so that this is how long a cancel takes.
pub(crate) const HEARTBEAT: Duration = Duration::from_millis(400);
/// How long a session rests that another owner has taken over: one that does not belong here.
const LOST_PAUSE: Duration = Duration::from_secs(1);

/// What workers do.
pub struct Steps {
    pub(crate) handler: Arc<dyn StepHandler>,
    pub(crate) log: Arc<dyn SessionLog>,
    /// Lets running steps end, or drops them.
    pub(crate) end: WorkEnd,
}

#[activities]
impl Steps {
    /// Works on the session's oldest turn, if that is the one that the workflow knows as the next.
    #[activity]
    pub async fn run(self: Arc<Self>, ctx: ActivityContext, input: StepsInput) -> Result<StepsOutput, ActivityError> {
        let attempt = u64::from(ctx.info().attempt).min(FENCES_PER_CLAIM - 1);
        let fence = Fence(input.claim.saturating_mul(FENCES_PER_CLAIM).saturating_add(attempt));
        tokio::select! {
            biased;
            output = self.work(&input, fence) => output,
            // Either the turn is to be cancelled, and the store says so to whoever claims it next; or this attempt is not
            // the last one any more. In both cases it is dropped where it is, as by a crash.
            () = ctx.cancelled() => Ok(StepsOutput::Again),
            () = self.end.stop.cancelled() => Ok(StepsOutput::Again),
            never = beat(&ctx) => never,
        }
    }
}

/// Tells that this worker lives, until it is dropped.
async fn beat(ctx: &ActivityContext) -> Result<StepsOutput, ActivityError> {
    loop {
        ctx.record_heartbeat(()).await?;
        tokio::time::sleep(HEARTBEAT).await;
    }
}

impl Steps {
    async fn work(&self, input: &StepsInput, fence: Fence) -> Result<StepsOutput, ActivityError> {
        let (org, session) = (input.org, input.session);
        let claim = match self.log.claim_turn_at(org, session, fence).await {
            Ok(Some(claim)) => claim,
            Ok(None) => return self.handler.idle(org, session).await.map(said).map_err(|error| again(&error)),
            Err(StoreError::Fenced { actual, .. }) => return Ok(StepsOutput::Behind { fence: actual }),
            Err(error) => return Err(again(&error)),
        };
        let turn = claim.turn_id;
        if input.turn != Some(turn) {
            return Ok(StepsOutput::Ahead { turn });
        }
        let signals = TurnSignals { cancel: CancellationToken::new(), drain: self.end.drain.clone() };
        match self.handler.step(Step { key: TurnKey { org, session, turn }, claim, signals }).await {
            Ok(Next::Again) => {
                let open = self.log.open_turns(org, session).await.map_err(|error| again(&error))?;
                Ok(if open.contains(&turn) { StepsOutput::Again } else { StepsOutput::Ended })
            }
            Ok(next) => Ok(said(next)),
            Err(StepError::Retry(error)) => Err(again(&error)),
            Err(StepError::Lost) => {
                tracing::warn!(%session, "another owner took the session over");
                Ok(StepsOutput::After { ms: millis(LOST_PAUSE) })
            }
            Err(StepError::Fatal(error)) => {
                tracing::error!(%session, %turn, %error, "a turn stays open until it is submitted again");
                Ok(StepsOutput::Done)
            }
        }
    }
}

fn said(next: Next) -> StepsOutput {
    match next {
        Next::Again => StepsOutput::Again,
        Next::After(pause) => StepsOutput::After { ms: millis(pause) },
        Next::Signal { limit } => StepsOutput::Signal { ms: millis(limit) },
        Next::Done => StepsOutput::Done,
    }
}

/// Has the activity tried again. What was wrong is told to the log of this worker, and to nobody else.
fn again(error: &dyn std::error::Error) -> ActivityError {
    tracing::warn!(%error, "a session's turn is interrupted; it is taken up again");
    ActivityError::application(ApplicationFailure::new(Interrupted))
}

/// What Temporal is told of a failure.
#[derive(Debug, thiserror::Error)]
#[error("interrupted; the log of the worker says by what")]
struct Interrupted;
