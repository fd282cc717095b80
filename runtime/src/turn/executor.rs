//! Runs a turn: plans, performs one step, appends its events, and again. Its context is assembled in
//! `assemble`, model calls are in `reason`, tool calls in `tools`, the ends of a turn in `settle`.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::context::{ContextSources, TurnContext};
use super::journal::{Halt, Journal};
use super::outside::OutsideDesk;
use super::plan::{Finish, MAX_FRUITLESS_ATTEMPTS, Step, begins_with_reason, next, no_progress};
use super::stop::{SealReason, Stop};
use crate::capability::{CapabilitySource, ToolServices};
use crate::clock::Clock;
use crate::driver::{DriverHost, DriverSource, ResolvedModel};
use crate::egress::Gateway;
use crate::engine::TurnKey;
use crate::error::Error;
use crate::event::{BudgetNotice, EventData, PinnedCapability};
use crate::id::{IdSource, MessageId};
use crate::limits::MAX_TURN_SECONDS;
use crate::mutation::off;
use crate::store::{Claim, ParkedFor, RuntimeBackends, TurnEnd};
use crate::usage::OrgAllowance;

/// How often one run plans the same step again because the log went on without it. The owner of a
/// session is alone in writing to its turn, so that once is rare already.
const MAX_REPLANS: u32 = 8;

/// What turns run on. Cloning shares it.
#[derive(Clone)]
pub struct TurnPlatform {
    /// Stores.
    pub backends: RuntimeBackends,
    /// Where capabilities are found.
    pub capabilities: Arc<dyn CapabilitySource>,
    /// Where model drivers are found.
    pub drivers: Arc<dyn DriverSource>,
    /// The model of turns whose org, harness, agent, session and message name none.
    pub default_model: ResolvedModel,
    /// Time of the events.
    pub clock: Arc<dyn Clock>,
    /// Ids of events and messages.
    pub ids: Arc<dyn IdSource>,
    /// The one way to the network, for native tools.
    pub egress: Arc<Gateway>,
    /// What drivers work with.
    pub driver_host: Arc<DriverHost>,
    /// How long turns wait for somebody outside; [`crate::limits::DEFAULT_WAIT_SECONDS`] unless
    /// somebody says otherwise.
    pub wait_limit: Duration,
    /// What every org may use, beside what its budgets say.
    pub allowance: OrgAllowance,
}

/// How a running turn is told to stop.
#[derive(Debug, Clone, Default)]
pub struct TurnSignals {
    /// Ends the turn as cancelled.
    pub cancel: CancellationToken,
    /// Lets the running step end and leaves the turn open.
    pub drain: CancellationToken,
}

/// What became of a turn that was run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnRun {
    /// It ended.
    Ended(TurnEnd),
    /// It waits for somebody outside; nothing runs it until that is settled.
    Parked,
    /// It is open, because of [`TurnSignals::drain`].
    Drained,
    /// Another owner has its session; nothing was written since.
    Lost,
}

impl TurnPlatform {
    /// What native tools work with.
    pub(super) fn tool_services(&self) -> Arc<ToolServices> {
        Arc::new(ToolServices {
            backends: self.backends.clone(),
            egress: self.egress.clone(),
            clock: self.clock.clone(),
            ids: self.ids.clone(),
            allowance: self.allowance,
        })
    }

    /// Where what is said about waiting calls is handed in.
    pub fn outside_desk(&self) -> OutsideDesk<'_> {
        let capabilities = self.capabilities.as_ref();
        OutsideDesk { backends: &self.backends, capabilities, clock: self.clock.as_ref(), ids: self.ids.as_ref() }
    }

    /// Where contexts come from, for inspecting what a turn would run on.
    pub fn sources(&self) -> ContextSources<'_> {
        let (capabilities, default_model) = (self.capabilities.as_ref(), &self.default_model);
        ContextSources { backends: &self.backends, capabilities, drivers: self.drivers.as_ref(), default_model }
    }

    /// Runs a claimed turn to its end.
    ///
    /// # Errors
    /// Those of the stores, once trying again did not help; the turn is open then and can be
    /// claimed again. Whatever is wrong with model, tools or context ends the turn instead.
    pub async fn run_turn(&self, key: TurnKey, claim: Claim, signals: TurnSignals) -> Result<TurnRun, Error> {
        self.run_claimed(key, claim, signals).await.map(|(run, _)| run)
    }

    /// As [`Self::run_turn`]. Tells besides whether the turn has ended and no turn of its session was open
    /// behind it when it did.
    pub(crate) async fn run_claimed(&self, key: TurnKey, claim: Claim, signals: TurnSignals) -> Result<(TurnRun, bool), Error> {
        let mut is_last = false;
        let run = async {
            let mut run = Run::open(self, key, &claim, signals).await?;
            run.take_up(&claim).await?;
            let done = run.run_to_end().await?;
            // The append that ended the turn found the log as it is folded here.
            is_last = matches!(done, TurnRun::Ended(_)) && run.journal.state().is_last();
            Ok(done)
        };
        let run = outcome(run.await)?;
        Ok((run, is_last))
    }

    /// Ends a claimed turn as sealed because of a defect of the host, or with its answer if it
    /// has one.
    ///
    /// # Errors
    /// Those of the stores.
    pub async fn seal_turn(&self, key: TurnKey, claim: Claim, detail: &str) -> Result<TurnRun, Error> {
        let run = async {
            let mut run = Run::open(self, key, &claim, TurnSignals::default()).await?;
            run.settle_dead().await?;
            run.journal.state_mut().stop(Stop::Sealed { reason: SealReason::InternalError, detail: detail.to_owned() });
            run.run_to_end().await
        };
        outcome(run.await)
    }
}

fn outcome(run: Result<TurnRun, Halt>) -> Result<TurnRun, Error> {
    match run {
        Ok(run) => Ok(run),
        Err(Halt::Fenced) => Ok(TurnRun::Lost),
        Err(Halt::Overtaken) => Err(Error::Internal(format!("the log went on without the turn's owner more than {MAX_REPLANS} times"))),
        Err(Halt::Failed(error)) => Err(error),
    }
}

/// One run of one turn.
pub(super) struct Run<'a> {
    pub(super) platform: &'a TurnPlatform,
    pub(super) key: TurnKey,
    pub(super) journal: Journal,
    pub(super) signals: TurnSignals,
    pub(super) services: Arc<ToolServices>,
    /// Whether the open model call of the log was opened by this run, which has not made it yet.
    pub(super) opened: bool,
    pub(super) context: Option<Arc<TurnContext>>,
    /// The budget that has too little left for the next model call; its event is part of the turn's end.
    pub(super) exhausted: Option<BudgetNotice>,
    deadline: Instant,
}

impl<'a> Run<'a> {
    async fn open(platform: &'a TurnPlatform, key: TurnKey, claim: &Claim, signals: TurnSignals) -> Result<Self, Halt> {
        let journal = Journal::open(platform, key, claim.fence).await?;
        if journal.state().ended().is_some() {
            return Err(Halt::Failed(Error::Internal(format!("{} is claimed, but its log has its end", key.turn))));
        }
        if journal.state().input_message_id().is_none() {
            return Err(Halt::Failed(Error::Internal(format!("{} is claimed, but its log has no input", key.turn))));
        }
        let worked = Duration::from_millis(journal.state().worked_millis());
        let most = if off("turn.seconds") { 1_000 * MAX_TURN_SECONDS } else { MAX_TURN_SECONDS };
        let left = Duration::from_secs(most).saturating_sub(worked);
        Ok(Self {
            platform,
            key,
            journal,
            signals,
            services: platform.tool_services(),
            opened: false,
            context: None,
            exhausted: None,
            deadline: Instant::now() + left,
        })
    }

    /// Records that a turn that had been started is taken up again, so that its log tells how
    /// often that happened without coming further.
    async fn take_up(&mut self, claim: &Claim) -> Result<(), Halt> {
        if claim.cancel_requested {
            self.signals.cancel.cancel();
        }
        if claim.attempt > 1 {
            self.settle_dead().await?;
        }
        if self.journal.state().started_at().is_some() {
            let activated = self.activated();
            return self.journal.append(vec![activated]).await;
        }
        if claim.attempt > MAX_FRUITLESS_ATTEMPTS && !off("turn.fruitless_attempts") {
            self.journal.state_mut().stop(no_progress());
        }
        Ok(())
    }

    async fn run_to_end(&mut self) -> Result<TurnRun, Halt> {
        let mut replans = 0;
        loop {
            self.heed_signals();
            let step = next(self.journal.state());
            match step {
                Step::Done(end) => return Ok(TurnRun::Ended(end)),
                Step::Finish(_) => {}
                _ if self.signals.drain.is_cancelled() => return Ok(TurnRun::Drained),
                _ => {}
            }
            // What a step does depends on the tools, so that a plan made without them is made again.
            if self.context.is_none() && !matches!(step, Step::Finish(_)) {
                self.context().await?;
                continue;
            }
            let asks = matches!(step, Step::Request { .. } | Step::Park);
            match self.perform(step).await {
                // A model call parks the turn only at a soft limit; calls that follow it at once may wait without being parked.
                Ok(()) if (asks || self.is_paused()) && self.is_parked() => {
                    if !self.connected_meanwhile().await? {
                        return Ok(TurnRun::Parked);
                    }
                }
                Err(Halt::Overtaken) if replans < MAX_REPLANS => replans += 1,
                done => {
                    done?;
                    replans = 0;
                }
            }
        }
    }

    /// Whether the log says that the turn waits for somebody.
    fn is_parked(&self) -> bool {
        matches!(next(self.journal.state()), Step::Park)
    }

    fn heed_signals(&mut self) {
        if self.signals.cancel.is_cancelled() {
            self.journal.state_mut().stop(Stop::Cancelled);
        } else if Instant::now() >= self.deadline {
            self.journal.state_mut().stop(out_of_time());
        }
    }

    async fn perform(&mut self, step: Step) -> Result<(), Halt> {
        match step {
            Step::Start => self.start().await,
            Step::Reason { iteration, recovered } => match self.context().await? {
                Some(context) => Box::pin(self.reason(&context, iteration, recovered)).await,
                None => Ok(()),
            },
            Step::Merge { turn, input } => self.journal.append_merge(turn, input).await,
            Step::Note { repetitions } => self.note_repetition(repetitions).await,
            Step::Compact { reason } => match self.context().await? {
                Some(context) => Box::pin(self.compact(&context, reason)).await,
                None => Ok(()),
            },
            Step::Act { calls } | Step::Settle { calls } => match self.context().await? {
                Some(context) => Box::pin(self.act(&context, calls)).await,
                None => Ok(()),
            },
            Step::Request { calls } => match self.context().await? {
                Some(context) => self.request(&context, calls).await,
                None => Ok(()),
            },
            Step::Park => self.park().await,
            Step::Finish(finish) => self.finish(finish).await,
            Step::Done(_) => Ok(()),
        }
    }

    async fn note_repetition(&mut self, repetitions: u32) -> Result<(), Halt> {
        let note = format!(
            "Note of the platform: you have made the same tool calls with the same results {repetitions} times in a row. Repeating them \
             will not help: try something else, or tell the user what stops you."
        );
        self.journal.append(vec![EventData::LoopDetected { turn_id: self.key.turn, repetitions, note }]).await
    }

    async fn start(&mut self) -> Result<(), Halt> {
        let Some(context) = self.context().await? else { return Ok(()) };
        let driver = context.driver.as_ref().and_then(|driver| driver.pin().cloned());
        let events = self.starting(context.pins.clone(), driver);
        if begins_with_reason(self.journal.state()) {
            return self.append_and_open(&context, events).await;
        }
        self.journal.append(events).await
    }

    /// Appends events together with the opening of the model call behind them, which saves a
    /// transaction, unless the turn is to stop before it.
    pub(super) async fn append_and_open(&mut self, context: &TurnContext, events: Vec<EventData>) -> Result<(), Halt> {
        if self.is_to_rest() {
            return self.journal.append(events).await;
        }
        let opening = self.opening(context, self.journal.state().iterations() + 1);
        self.journal.append_and_open(events, opening).await?;
        self.opened = self.journal.state().open_reason().is_some();
        Ok(())
    }

    /// Whether no further step is to begin.
    pub(super) fn is_to_rest(&self) -> bool {
        self.signals.cancel.is_cancelled() || self.signals.drain.is_cancelled()
    }

    /// Waits on.
    async fn park(&mut self) -> Result<(), Halt> {
        let waits_for = if self.is_paused() { ParkedFor::Resume } else { ParkedFor::Answer };
        self.journal.append_park(Vec::new(), waits_for).await
    }

    /// Whether the log says that the turn waits at a soft limit.
    fn is_paused(&self) -> bool {
        !self.journal.state().paused_by().is_empty()
    }

    async fn finish(&mut self, finish: Finish) -> Result<(), Halt> {
        let (events, end) = self.ending(finish);
        self.journal.append_end(events, end).await
    }

    /// Resolves when the turn is to stop while a step runs.
    pub(super) async fn interrupted(&self) -> Stop {
        tokio::select! {
            biased;
            () = self.signals.cancel.cancelled() => Stop::Cancelled,
            () = tokio::time::sleep_until(self.deadline) => out_of_time(),
        }
    }

    pub(super) fn starting(&self, pins: Vec<PinnedCapability>, driver: Option<PinnedCapability>) -> Vec<EventData> {
        let (turn_id, input_message_id) = (self.key.turn, self.input_message_id());
        vec![EventData::TurnStarted { turn_id, input_message_id, capabilities: pins, driver }, self.activated()]
    }

    pub(super) fn activated(&self) -> EventData {
        EventData::SessionActivated { turn_id: self.key.turn, input_message_id: self.input_message_id() }
    }

    fn input_message_id(&self) -> MessageId {
        self.journal.state().input_message_id().expect("a run opens only with its input")
    }
}

fn out_of_time() -> Stop {
    Stop::Sealed { reason: SealReason::Budget, detail: format!("the turn was worked on for longer than {MAX_TURN_SECONDS} seconds") }
}
