//! The workflow of a session. It knows which turns it was told of, and nothing about them.
//!
//! Its code decides what a history means: a change that orders other commands for a history that exists breaks the
//! sessions that are under way. It needs `ctx.patched(…)`, and the test that replays recorded histories says so.

use std::collections::VecDeque;
use std::time::Duration;

use everwit_runtime::id::{OrgId, SessionId, TurnId};
use everwit_runtime::limits::MAX_TURN_SECONDS;
use temporalio_common::RetryPolicy;
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::workflows::select;
use temporalio_sdk::{
    ActivityCancellationType, ActivityOptions, CancellableFuture, ContinueAsNewOptions, SyncWorkflowContext, WorkflowCancellationToken,
    WorkflowContext, WorkflowContextView, WorkflowResult,
};

pub use crate::payload::{PumpInput, StepsInput, StepsOutput, Told};
use crate::steps::{FENCES_PER_CLAIM, Steps};
use crate::worker::steps_queue;

/// Activities after which a workflow begins anew. One makes about ten events; a history of 51,200 is refused, and a
/// server that does not have a workflow in its memory reads all of it.
pub const MAX_ROUNDS: u32 = 200;
/// Pause before the second attempt of an activity; each further one is twice as long.
const FIRST_RETRY: Duration = Duration::from_millis(100);
/// Longest pause between attempts.
const LONGEST_RETRY: Duration = Duration::from_secs(5);
/// What an activity may take beyond the longest turn.
const MARGIN: Duration = Duration::from_secs(600);

/// The workflow.
#[workflow]
pub struct SessionPump {
    org: OrgId,
    session: SessionId,
    lease: Duration,
    claims: u64,
    /// The turns that it was told of and that have not ended, in order.
    turns: VecDeque<TurnId>,
    /// There may be turns that it was not told of.
    more: bool,
    /// It was told something since the last activity began.
    woken: bool,
    /// The turn that is worked on, and how to stop that.
    running: Option<(TurnId, WorkflowCancellationToken)>,
}

#[workflow_methods]
impl SessionPump {
    #[init]
    fn new(_ctx: &WorkflowContextView, input: PumpInput) -> Self {
        Self {
            org: input.org,
            session: input.session,
            lease: Duration::from_millis(input.lease_ms),
            claims: input.claims,
            turns: input.turn.into_iter().collect(),
            more: input.more,
            woken: false,
            running: None,
        }
    }

    /// Works until no turn is left.
    #[run]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<()> {
        let mut rounds = 0;
        while ctx.state(|pump| pump.more || !pump.turns.is_empty()) {
            if rounds == MAX_ROUNDS || ctx.continue_as_new_suggested() {
                ctx.continue_as_new(ctx.state(Self::input), ContinueAsNewOptions::default())?;
            }
            rounds += 1;
            let stop = WorkflowCancellationToken::new();
            let queue = steps_queue(ctx.task_queue());
            let (input, known, lease) = ctx.state_mut(|pump| pump.begin(&stop));
            let output = ctx.execute_activity(Steps::run, input, options(queue, lease, stop)).await;
            let output = match output {
                Ok(output) => output,
                // Attempts have no end, so that this is one that was stopped before it began.
                Err(_) => StepsOutput::Again,
            };
            ctx.state_mut(|pump| pump.heed(output, known));
            match output {
                StepsOutput::After { ms } => {
                    ctx.timer(Duration::from_millis(ms)).await;
                }
                StepsOutput::Signal { ms } => {
                    let mut timer = ctx.timer(Duration::from_millis(ms));
                    let woken = select! {
                        _ = timer => false,
                        _ = ctx.wait_condition(|pump| pump.woken) => true,
                    };
                    if woken {
                        timer.cancel();
                    }
                }
                StepsOutput::Ended | StepsOutput::Again | StepsOutput::Done | StepsOutput::Ahead { .. } | StepsOutput::Behind { .. } => {}
            }
        }
        Ok(())
    }

    /// Tells it of a turn. What comes before a wait is kept until then.
    #[signal]
    pub fn tell(&mut self, _ctx: &mut SyncWorkflowContext<Self>, told: Told) {
        self.woken = true;
        if !self.turns.contains(&told.turn) {
            self.turns.push_back(told.turn);
        }
        if told.cancel
            && let Some((running, stop)) = &self.running
            && *running == told.turn
        {
            stop.cancel();
        }
    }
}

impl SessionPump {
    /// The next activity, and how many turns were known when it began.
    fn begin(&mut self, stop: &WorkflowCancellationToken) -> (StepsInput, usize, Duration) {
        self.claims += 1;
        self.woken = false;
        let turn = self.turns.front().copied();
        self.running = turn.map(|turn| (turn, stop.clone()));
        (StepsInput { org: self.org, session: self.session, turn, claim: self.claims }, self.turns.len(), self.lease)
    }

    /// Notes what an activity has found out.
    fn heed(&mut self, output: StepsOutput, known: usize) {
        self.running = None;
        match output {
            StepsOutput::Ended => {
                self.turns.pop_front();
            }
            // What it was told of meanwhile has come to the store after the activity looked there, or may have.
            StepsOutput::Done => {
                self.turns.drain(..known);
                self.more = false;
            }
            StepsOutput::Ahead { turn } => {
                self.turns.retain(|other| *other != turn);
                self.turns.push_front(turn);
            }
            StepsOutput::Behind { fence } => self.claims = self.claims.max(fence / FENCES_PER_CLAIM),
            StepsOutput::Again | StepsOutput::After { .. } | StepsOutput::Signal { .. } => {}
        }
    }

    /// What the workflow that continues this one begins with.
    fn input(&self) -> PumpInput {
        PumpInput {
            org: self.org,
            session: self.session,
            lease_ms: crate::payload::millis(self.lease),
            claims: self.claims,
            turn: self.turns.front().copied(),
            more: self.more || self.turns.len() > 1,
        }
    }
}

fn options(queue: String, lease: Duration, stop: WorkflowCancellationToken) -> ActivityOptions {
    let retries = RetryPolicy::builder().initial_interval(FIRST_RETRY).maximum_interval(LONGEST_RETRY).build();
    ActivityOptions::with_start_to_close_timeout(Duration::from_secs(MAX_TURN_SECONDS) + MARGIN)
        .heartbeat_timeout(lease)
        .cancellation_type(ActivityCancellationType::WaitCancellationCompleted)
        .cancellation_token(stop)
        .task_queue(queue)
        .retry_policy(retries)
        .build()
}
