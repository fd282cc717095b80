//! One instance that is called more than once, for one completion or one question, and what its
//! guest code may use: fuel for each step from a total, time for each step, memory for all of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use wasmtime::Store;
use wasmtime::component::Instance;

use crate::capability::{LogLine, NoSink, StopKind, Stopped, ToolSink};
use crate::component::CallUsage;
use crate::id::OrgId;
use crate::limits::Budget;
use crate::sandbox::Shares;
use crate::sandbox::call::{Circumstances, End, armed, micros, place, stopped, supervise};
use crate::sandbox::fair::{Fair, Permit};
use crate::sandbox::loaded::Loaded;
use crate::sandbox::state::{CallState, Services, Subject};
use crate::sandbox::trap::classify;

/// Fuel of one step, beside what its input adds: about a tenth of a second of the slowest code
/// measured. Starting an interpreter and reading a frame take a fraction of it.
const STEP_FUEL: u64 = 100_000_000;
/// Fuel that each byte of a step's input adds: what interpreted code needs to read JSON.
const FUEL_PER_INPUT_BYTE: u64 = 1_000;

/// Calls one function of a guest, with its fuel and its time.
macro_rules! step {
    ($running:expr, $bytes:expr, |$store:ident| $call:expr) => {{
        let running = &mut $running;
        match running.arm($bytes) {
            Ok(deadline) => {
                let (never, (turns, org)) = (running.never(), running.turns());
                let result = {
                    let $store = running.store();
                    $crate::sandbox::call::supervise($call, deadline, &never, (&turns, org)).await
                };
                running.settle(result)
            }
            Err(stopped) => Err(stopped),
        }
    }};
}
pub(super) use step;

/// A running instance. Dropping it ends the guest.
pub(super) struct Running {
    store: Store<CallState>,
    budget: Budget,
    /// Fuel that is left of the total, host calls not counted.
    left: u64,
    /// Fuel that the step under way was given; zero between steps.
    given: u64,
    began: Instant,
    busy: Duration,
    /// Why nothing more can be asked of it.
    over: Option<Stopped>,
    cancel: CancellationToken,
    /// Whose turns it takes.
    org: OrgId,
    turns: Fair,
    _place: Permit,
}

impl Running {
    /// Starts an instance.
    ///
    /// # Errors
    /// `Busy` if too many run; what its start function did otherwise.
    pub(super) async fn start(
        services: &Arc<Services>,
        (shares, org): (&Shares, OrgId),
        loaded: &Loaded,
        subject: &Arc<Subject>,
        budget: &Budget,
    ) -> Result<(Self, Instance), Stopped> {
        let began = Instant::now();
        let deadline = began + Duration::from_millis(budget.wall_ms);
        let place = place(shares, org, deadline).await?;
        let (cancel, sink): (_, Arc<dyn ToolSink>) = (CancellationToken::new(), Arc::new(NoSink));
        let circumstances = Circumstances { org, subject, budget, cancel: &cancel, sink: &sink, account: None };
        let store = armed(services, loaded, circumstances, began, deadline)
            .map_err(|error| stopped(StopKind::Internal, format!("the call could not be prepared: {error:#}")))?;
        let budget = budget.in_force();
        let left = budget.fuel;
        let (turns, cancel) = (shares.turns.clone(), cancel.clone());
        let mut running =
            Self { store, budget, left, given: 0, began, busy: Duration::ZERO, over: None, cancel, org, turns, _place: place };
        let deadline = running.arm(0)?;
        let (never, turns) = (running.never(), running.turns.clone());
        let result = supervise(loaded.pre.instantiate_async(&mut running.store), deadline, &never, (&turns, org)).await;
        let instance = running.settle(result)?;
        Ok((running, instance))
    }

    /// The store, for a call between [`Self::arm`] and [`Self::settle`].
    pub(super) fn store(&mut self) -> &mut Store<CallState> {
        &mut self.store
    }

    /// Never fires: a completion is cancelled by dropping it.
    pub(super) fn never(&self) -> CancellationToken {
        self.cancel.clone()
    }

    /// Whose turns it takes, and of which.
    pub(super) fn turns(&self) -> (Fair, OrgId) {
        (self.turns.clone(), self.org)
    }

    /// Gives the next step its fuel and its time, and says when it has to end.
    ///
    /// # Errors
    /// Why the instance ended before, or that the total is used up.
    pub(super) fn arm(&mut self, input_bytes: usize) -> Result<Instant, Stopped> {
        if let Some(over) = &self.over {
            return Err(over.clone());
        }
        let step = STEP_FUEL.saturating_add(FUEL_PER_INPUT_BYTE.saturating_mul(input_bytes as u64));
        self.given = step.min(self.left);
        if self.given == 0 {
            let message = format!("its steps together used up the fuel limit of {}", self.budget.fuel);
            return Err(self.end(stopped(StopKind::Fuel, message)));
        }
        let armed = self.store.set_fuel(self.given);
        armed.map_err(|error| self.end(stopped(StopKind::Internal, format!("fuel could not be set: {error:#}"))))?;
        self.began = Instant::now();
        let deadline = self.began + Duration::from_millis(self.budget.wall_ms);
        let state = self.store.data_mut();
        state.call.deadline = deadline;
        state.ledger.bytes_in += input_bytes as u64;
        Ok(deadline)
    }

    /// Accounts for the step that ended.
    ///
    /// # Errors
    /// What ended it instead of a value; the instance is over then.
    pub(super) fn settle<T>(&mut self, result: Result<T, End>) -> Result<T, Stopped> {
        self.busy += self.began.elapsed();
        let given = std::mem::take(&mut self.given);
        let step = Budget { fuel: given, ..self.budget };
        let unused = self.store.get_fuel().unwrap_or(0);
        let failed = match result {
            Ok(value) => {
                self.left -= given.saturating_sub(unused).min(self.left);
                return Ok(value);
            }
            Err(End::Deadline) => stopped(StopKind::Deadline, format!("a step did not end within its {} ms", self.budget.wall_ms)),
            Err(End::Cancelled) => stopped(StopKind::Cancelled, "the turn was cancelled".to_owned()),
            Err(End::Error(error)) => classify(&error, self.store.data(), &step),
        };
        // A trap leaves the engine's count behind, so that a stopped step is billed in full.
        self.left -= given.min(self.left);
        Err(self.end(failed))
    }

    /// Ends it for good.
    pub(super) fn end(&mut self, why: Stopped) -> Stopped {
        self.over = Some(why.clone());
        why
    }

    /// Counts what a step returned.
    pub(super) fn returned(&mut self, bytes: usize) {
        self.store.data_mut().ledger.bytes_out += bytes as u64;
    }

    /// What it used so far.
    pub(super) fn usage(&self) -> CallUsage {
        let state = self.store.data();
        let host = state.ledger.host_time();
        CallUsage {
            fuel: (self.budget.fuel - self.left).saturating_add(state.ledger.spent()).min(self.budget.fuel),
            fuel_limit: self.budget.fuel,
            peak_memory_bytes: state.limiter.peak() as u64,
            guest_micros: micros(self.busy.saturating_sub(host)),
            host_micros: micros(host),
            host_calls: state.ledger.host_calls,
            bytes_in: state.ledger.bytes_in,
            bytes_out: state.ledger.bytes_out,
            http_requests: 0,
        }
    }

    /// What it logged since this was asked last.
    pub(super) fn take_logs(&self) -> Vec<LogLine> {
        self.store.data().log.take()
    }
}
