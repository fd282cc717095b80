//! One guest call: a fresh store and instance under a whole budget, and what became of it.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use wasmtime::Store;
use wasmtime::component::ResourceTable;

use super::accounts::{Account, SecretAccess, Spent};
use super::bindings::everwit::types::common::Failure as WitFailure;
use super::bindings::everwit::types::tools::CallOutput;
use super::bindings::exports::everwit::capability::describe::Description;
use super::bindings::exports::everwit::capability::tools::Context;
use super::bindings::exports::everwit::connection::meta as connection;
use super::bindings::exports::everwit::driver::meta;
use super::imports::http::HttpAccess;
use super::imports::log::LogCapture;
use super::imports::wasi;
use super::ledger::Ledger;
use super::limiter::Limiter;
use super::loaded::{Exports, Loaded};
use super::state::{CallState, RunningCall, Services, Subject};
use super::trap::{Stop, classify};
use crate::capability::{LogLine, StopKind, Stopped, ToolSink};
use crate::component::CallUsage;
use crate::id::OrgId;
use crate::limits::Budget;
use crate::message::ContentPart;

/// Guest fuel between two yields to the executor: at most 3 ms of the slowest code measured,
/// and 0.9 % of the time of a hash loop.
const YIELD_EVERY_FUEL: u64 = 1_000_000;
/// Time that a guest gets to notice a cancel before it is dropped.
const CANCEL_GRACE: Duration = Duration::from_millis(50);
/// Resources (HTTP responses, WASI streams) that a guest may hold.
const MAX_TABLE_ENTRIES: usize = 1_000;
/// Calls that wait for a free slot; one more is refused as busy.
const MAX_WAITING_CALLS: usize = 4_096;

/// Admits a bounded number of calls at once, and a bounded number of waiting ones.
pub(super) struct Slots {
    running: Arc<Semaphore>,
    waiting: Semaphore,
}

impl Slots {
    pub(super) fn new(concurrent: usize) -> Self {
        Self { running: Arc::new(Semaphore::new(concurrent)), waiting: Semaphore::new(MAX_WAITING_CALLS) }
    }

    async fn take(&self, deadline: Instant) -> Option<tokio::sync::SemaphorePermit<'_>> {
        if let Ok(permit) = self.running.try_acquire() {
            return Some(permit);
        }
        let _place = self.waiting.try_acquire().ok()?;
        tokio::time::timeout_at(deadline.into(), self.running.acquire()).await.ok()?.ok()
    }

    /// As [`Self::take`], for an instance that outlives the call that made it.
    pub(super) async fn take_owned(&self, deadline: Instant) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = self.running.clone().try_acquire_owned() {
            return Some(permit);
        }
        let _place = self.waiting.try_acquire().ok()?;
        tokio::time::timeout_at(deadline.into(), self.running.clone().acquire_owned()).await.ok()?.ok()
    }
}

/// Who is called, for whom, and within which limits.
#[derive(Clone, Copy)]
pub(super) struct Circumstances<'a> {
    pub(super) org: OrgId,
    pub(super) subject: &'a Arc<Subject>,
    pub(super) budget: &'a Budget,
    pub(super) cancel: &'a CancellationToken,
    pub(super) sink: &'a Arc<dyn ToolSink>,
    /// Whose secrets it may open; none if it is nobody's call.
    pub(super) account: Option<&'a Account>,
}

/// What became of a call.
pub(super) struct Finished<T> {
    pub(super) result: Result<T, Stopped>,
    pub(super) emitted: Vec<ContentPart>,
    /// Bytes of output that are left after what was emitted.
    pub(super) output_left: u64,
    pub(super) usage: CallUsage,
    pub(super) logs: Vec<LogLine>,
    pub(super) secrets: Spent,
}

/// What a component says about itself.
pub(super) enum Described {
    Capability(Description),
    Driver(meta::Description),
    ConnectionProvider(connection::Description),
}

/// Runs `describe`.
pub(super) async fn describe(
    services: &Arc<Services>,
    slots: &Slots,
    loaded: &Loaded,
    circumstances: Circumstances<'_>,
) -> Finished<Described> {
    let started = Instant::now();
    let mut call = match Call::begin(services, slots, loaded, circumstances, started).await {
        Ok(call) => call,
        Err(refused) => return refused,
    };
    let store = &mut call.store;
    let work = async {
        let instance = loaded.pre.instantiate_async(&mut *store).await?;
        Ok(match &loaded.exports {
            Exports::Capability { describe, .. } => {
                Described::Capability(describe.load(&mut *store, &instance)?.call_describe(&mut *store).await?)
            }
            Exports::Driver(exports) => Described::Driver(exports.meta.load(&mut *store, &instance)?.call_describe(&mut *store).await?),
            Exports::ConnectionProvider { meta, .. } => {
                Described::ConnectionProvider(meta.load(&mut *store, &instance)?.call_describe(&mut *store).await?)
            }
        })
    };
    let result = supervise(work, call.deadline, call.cancel).await;
    call.finish(result)
}

/// Runs `tools.call`.
pub(super) async fn call_tool(
    services: &Arc<Services>,
    slots: &Slots,
    loaded: &Loaded,
    circumstances: Circumstances<'_>,
    request: (&Context, &str, &String),
) -> Finished<Result<CallOutput, WitFailure>> {
    let started = Instant::now();
    let Exports::Capability { tools, .. } = &loaded.exports else {
        return refused(StopKind::Internal, "only capabilities have tools", circumstances.budget);
    };
    let (context, tool, arguments) = request;
    let mut call = match Call::begin(services, slots, loaded, circumstances, started).await {
        Ok(call) => call,
        Err(refused) => return refused,
    };
    call.store.data_mut().ledger.bytes_in += (tool.len() + arguments.len() + context.config.len()) as u64;
    let store = &mut call.store;
    let work = async {
        let instance = loaded.pre.instantiate_async(&mut *store).await?;
        let guest = tools.load(&mut *store, &instance)?;
        guest.call_call(&mut *store, context, tool, arguments).await
    };
    let result = supervise(work, call.deadline, call.cancel).await;
    call.finish(result)
}

/// A call that has its slot and its armed store.
struct Call<'a> {
    store: Store<CallState>,
    budget: Budget,
    started: Instant,
    deadline: Instant,
    cancel: &'a CancellationToken,
    _slot: tokio::sync::SemaphorePermit<'a>,
}

impl<'a> Call<'a> {
    async fn begin<T>(
        services: &Arc<Services>,
        slots: &'a Slots,
        loaded: &Loaded,
        circumstances: Circumstances<'a>,
        started: Instant,
    ) -> Result<Self, Finished<T>> {
        let (budget, cancel) = (*circumstances.budget, circumstances.cancel);
        let deadline = started + Duration::from_millis(budget.wall_ms);
        let Some(slot) = slots.take(deadline).await else {
            return Err(refused(StopKind::Busy, "too many calls are running; try again", &budget));
        };
        let store = armed(services, loaded, circumstances, started, deadline)
            .map_err(|error| refused(StopKind::Internal, &format!("the call could not be prepared: {error:#}"), &budget))?;
        Ok(Self { store, budget, started, deadline, cancel, _slot: slot })
    }

    /// Turns what happened into a result and a receipt. The store is gone afterwards, so that
    /// nothing of a call that was stopped can be used again.
    fn finish<T>(mut self, result: Result<T, End>) -> Finished<T> {
        let budget = self.budget;
        let left = self.store.get_fuel().unwrap_or(0);
        let state = self.store.data_mut();
        let fuel = (budget.fuel - left).saturating_add(state.ledger.spent());
        let result = match result {
            Ok(_) if fuel > budget.fuel => {
                Err(stopped(StopKind::Fuel, format!("guest code and host calls together used up the fuel limit of {}", budget.fuel)))
            }
            Ok(value) => Ok(value),
            Err(End::Deadline) => Err(stopped(StopKind::Deadline, format!("did not end within its {} ms", budget.wall_ms))),
            Err(End::Cancelled) => Err(stopped(StopKind::Cancelled, "the turn was cancelled".to_owned())),
            Err(End::Error(error)) => Err(classify(&error, state, &budget)),
        };
        let host = state.ledger.host_time();
        let usage = CallUsage {
            // A trap leaves the engine's count behind, so a stopped call is billed in full.
            fuel: if result.is_ok() { fuel } else { budget.fuel },
            fuel_limit: budget.fuel,
            peak_memory_bytes: state.limiter.peak() as u64,
            guest_micros: micros(self.started.elapsed().saturating_sub(host)),
            host_micros: micros(host),
            host_calls: state.ledger.host_calls,
            bytes_in: state.ledger.bytes_in,
            bytes_out: state.ledger.bytes_out,
            http_requests: state.http.requests(),
        };
        let emitted = std::mem::take(&mut state.call.emitted);
        let secrets = state.secrets.finish();
        Finished { result, emitted, output_left: state.call.output_left, usage, logs: state.log.take(), secrets }
    }
}

/// A store with the whole budget armed, before anything of the guest runs.
pub(super) fn armed(
    services: &Arc<Services>,
    loaded: &Loaded,
    circumstances: Circumstances<'_>,
    started: Instant,
    deadline: Instant,
) -> wasmtime::Result<Store<CallState>> {
    let budget = *circumstances.budget;
    let log = Arc::new(LogCapture::new(budget.log_bytes));
    let mut table = ResourceTable::new();
    table.set_max_capacity(MAX_TABLE_ENTRIES);
    let state = CallState {
        budget,
        ledger: Ledger::new(budget.fuel),
        limiter: Limiter::new(&budget),
        panic: None,
        wasi: loaded.imports_wasi.then(|| Box::new(wasi::context(services.clock.clone(), started, &log))),
        call: RunningCall {
            started,
            deadline,
            cancel: circumstances.cancel.clone(),
            sink: circumstances.sink.clone(),
            emitted: Vec::new(),
            output_left: budget.output_bytes,
        },
        services: services.clone(),
        subject: circumstances.subject.clone(),
        org: circumstances.org,
        http: HttpAccess::default(),
        secrets: SecretAccess::new(circumstances.account.cloned()),
        table,
        log,
    };
    let mut store = Store::new(loaded.pre.engine(), state);
    store.set_fuel(budget.fuel)?;
    store.fuel_async_yield_interval(Some(YIELD_EVERY_FUEL))?;
    store.limiter(|state| &mut state.limiter);
    store.set_hostcall_fuel(usize::try_from(budget.host_call_bytes.max(budget.output_bytes))?);
    store.set_max_component_handles(budget.handles as usize);
    if loaded.imports_wasi {
        store.call_hook_async(wasi::Meter);
    }
    Ok(store)
}

/// Why the work did not end by itself with a value.
pub(super) enum End {
    Deadline,
    Cancelled,
    Error(wasmtime::Error),
}

/// Drives the guest until it ends, the deadline passes, or a cancel has had its grace. Dropping
/// the work unwinds the guest's fiber.
pub(super) async fn supervise<T>(
    work: impl Future<Output = wasmtime::Result<T>>,
    deadline: Instant,
    cancel: &CancellationToken,
) -> Result<T, End> {
    let mut work = pin!(work);
    // Most calls end without waiting for anything, and then timers cost more than they guard: a
    // guest cannot be stopped within one poll, and yields after a bounded amount of fuel.
    if let Poll::Ready(result) = futures::poll!(work.as_mut()) {
        return result.map_err(End::Error);
    }
    let cancelled = async {
        cancel.cancelled().await;
        tokio::time::sleep(CANCEL_GRACE).await;
    };
    tokio::select! {
        result = tokio::time::timeout_at(deadline.into(), work) => match result {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(End::Error(error)),
            Err(_) => Err(End::Deadline),
        },
        () = cancelled => Err(End::Cancelled),
    }
}

fn refused<T>(kind: StopKind, message: &str, budget: &Budget) -> Finished<T> {
    let usage = CallUsage { fuel_limit: budget.fuel, ..CallUsage::default() };
    let result = Err(stopped(kind, message.to_owned()));
    Finished { result, emitted: Vec::new(), output_left: 0, usage, logs: Vec::new(), secrets: Spent::default() }
}

pub(super) fn stopped(kind: StopKind, message: String) -> Stopped {
    Stopped { kind, message, backtrace: Vec::new() }
}

impl From<Stop> for Stopped {
    fn from(stop: Stop) -> Self {
        let (kind, message) = stop.into_parts();
        stopped(kind, message)
    }
}

pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
