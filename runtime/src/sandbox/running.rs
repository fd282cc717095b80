//! One instance that is called more than once, for one completion or one question, and what its
//! guest code may use: fuel for each step from a total, time for each step, memory for all of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use wasmtime::Store;
use wasmtime::component::Instance;

use crate::capability::{LogLine, NoSink, StopKind, Stopped, ToolSink};
use crate::component::{CallUsage, Effects};
use crate::id::OrgId;
use crate::limits::Budget;
use crate::sandbox::call::{Circumstances, End, armed, micros, place, stopped};
use crate::sandbox::fair::Permit;
use crate::sandbox::imports::log::LogCapture;
use crate::sandbox::loaded::Loaded;
use crate::sandbox::shares::Shares;
use crate::sandbox::state::{CallState, Services, Subject};
use crate::sandbox::trap::classify;
use crate::sandbox::turns::Turns;

/// Fuel of one step, beside what its input adds: about a tenth of a second of the slowest code
/// measured. Starting an interpreter and reading a frame take a fraction of it.
const STEP_FUEL: u64 = 100_000_000;
/// Fuel that each byte of a step's input adds: what interpreted code needs to read JSON.
const FUEL_PER_INPUT_BYTE: u64 = 1_000;

/// Calls one function of a guest, with its fuel and its time. The call owns what it is given: it may
/// go on on another thread.
macro_rules! step {
    ($running:expr, $bytes:expr, |$store:ident| $call:expr) => {{
        let running = &mut $running;
        match running.arm($bytes) {
            Ok(mut step) => {
                let work = async move {
                    let result = {
                        let $store = &mut step.store;
                        $crate::sandbox::call::supervise($call, step.deadline, &step.never).await
                    };
                    (step.store, result)
                };
                let (turns, org) = running.turns();
                let (store, result) = turns.run(org, work).await;
                running.settle(store, result)
            }
            Err(stopped) => Err(stopped),
        }
    }};
}
pub(super) use step;

/// A running instance. Dropping it ends the guest.
pub(super) struct Running {
    /// Away with the step under way, and gone with one that was given up.
    store: Option<Store<CallState>>,
    log: Arc<LogCapture>,
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
    turns: Arc<Turns>,
    place: Arc<Permit>,
}

/// A step that can begin.
pub(super) struct Step {
    pub(super) store: Store<CallState>,
    /// When it has to end.
    pub(super) deadline: Instant,
    /// Never fires: a completion is cancelled by dropping it.
    pub(super) never: CancellationToken,
    /// Kept as long as the store is.
    _place: Arc<Permit>,
}

impl Running {
    /// Starts an instance.
    ///
    /// # Errors
    /// `Busy` if too many run; what its start function did otherwise.
    pub(super) async fn start(
        services: &Arc<Services>,
        (shares, org): (&Shares, OrgId),
        loaded: &Arc<Loaded>,
        subject: &Arc<Subject>,
        budget: &Budget,
    ) -> Result<(Self, Instance), Stopped> {
        let began = Instant::now();
        let deadline = began + Duration::from_millis(budget.wall_ms);
        let place = Arc::new(place(shares, org, 0, deadline).await?);
        let (cancel, sink): (_, Arc<dyn ToolSink>) = (CancellationToken::new(), Arc::new(NoSink));
        let circumstances =
            Circumstances { org, subject, budget, cancel: &cancel, sink: &sink, effects: Effects::default(), account: None, depth: 0 };
        let store = armed(services, loaded, circumstances, began, deadline)
            .map_err(|error| stopped(StopKind::Internal, format!("the call could not be prepared: {error:#}")))?;
        let budget = budget.in_force();
        let left = budget.fuel;
        let (log, turns) = (store.data().log.clone(), shares.turns.clone());
        let (store, given, busy) = (Some(store), 0, Duration::ZERO);
        let mut running = Self { store, log, budget, left, given, began, busy, over: None, cancel, org, turns, place };
        let loaded = loaded.clone();
        let instance = step!(running, 0, |store| loaded.pre.instantiate_async(store))?;
        Ok((running, instance))
    }

    /// The store, between two steps.
    pub(super) fn store(&mut self) -> &mut Store<CallState> {
        self.store.as_mut().expect("the guest has just started, and no step was given up")
    }

    /// Whose turns it takes, and of which.
    pub(super) fn turns(&self) -> (Arc<Turns>, OrgId) {
        (self.turns.clone(), self.org)
    }

    /// Gives the next step its fuel, its time, and the store until [`Self::settle`].
    ///
    /// # Errors
    /// Why the instance ended before, or that the total is used up.
    pub(super) fn arm(&mut self, input_bytes: usize) -> Result<Step, Stopped> {
        if let Some(over) = &self.over {
            return Err(over.clone());
        }
        let step = STEP_FUEL.saturating_add(FUEL_PER_INPUT_BYTE.saturating_mul(input_bytes as u64));
        self.given = step.min(self.left);
        if self.given == 0 {
            let message = format!("its steps together used up the fuel limit of {}", self.budget.fuel);
            return Err(self.end(stopped(StopKind::Fuel, message)));
        }
        let Some(mut store) = self.store.take() else {
            return Err(self.end(stopped(StopKind::Cancelled, "a step of it was given up".to_owned())));
        };
        let armed = store.set_fuel(self.given);
        armed.map_err(|error| self.end(stopped(StopKind::Internal, format!("fuel could not be set: {error:#}"))))?;
        self.began = Instant::now();
        let deadline = self.began + Duration::from_millis(self.budget.wall_ms);
        let state = store.data_mut();
        state.call.deadline = deadline;
        state.ledger.bytes_in += input_bytes as u64;
        Ok(Step { store, deadline, never: self.cancel.clone(), _place: self.place.clone() })
    }

    /// Accounts for the step that ended.
    ///
    /// # Errors
    /// What ended it instead of a value; the instance is over then.
    pub(super) fn settle<T>(&mut self, store: Store<CallState>, result: Result<T, End>) -> Result<T, Stopped> {
        self.busy += self.began.elapsed();
        let given = std::mem::take(&mut self.given);
        let step = Budget { fuel: given, ..self.budget };
        let unused = store.get_fuel().unwrap_or(0);
        let failed = match result {
            Ok(value) => {
                self.left -= given.saturating_sub(unused).min(self.left);
                self.store = Some(store);
                return Ok(value);
            }
            Err(End::Deadline) => stopped(StopKind::Deadline, format!("a step did not end within its {} ms", self.budget.wall_ms)),
            Err(End::Cancelled) => stopped(StopKind::Cancelled, "the turn was cancelled".to_owned()),
            Err(End::Error(error)) => classify(&error, store.data(), &step),
        };
        // A trap leaves the engine's count behind, so that a stopped step is billed in full.
        self.left -= given.min(self.left);
        self.store = Some(store);
        Err(self.end(failed))
    }

    /// Ends it for good.
    pub(super) fn end(&mut self, why: Stopped) -> Stopped {
        self.over = Some(why.clone());
        why
    }

    /// Counts what a step returned.
    pub(super) fn returned(&mut self, bytes: usize) {
        if let Some(store) = &mut self.store {
            store.data_mut().ledger.bytes_out += bytes as u64;
        }
    }

    /// What it used so far; all of its fuel, if a step of it was given up.
    pub(super) fn usage(&self) -> CallUsage {
        let Some(store) = &self.store else {
            let (fuel, guest_micros) = (self.budget.fuel, micros(self.busy));
            return CallUsage { fuel, fuel_limit: fuel, guest_micros, ..CallUsage::default() };
        };
        let state = store.data();
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
        self.log.take()
    }
}
