//! One guest call: a fresh store and instance under a whole budget, and what became of it.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use wasmtime::Store;
use wasmtime::component::ResourceTable;

use super::accounts::{Account, SecretAccess};
use super::bindings::everwit::types::common::Failure as WitFailure;
use super::bindings::everwit::types::tools::CallOutput;
use super::bindings::exports::everwit::capability::describe::Description;
use super::bindings::exports::everwit::capability::tools::Context;
use super::bindings::exports::everwit::connection::meta as connection;
use super::bindings::exports::everwit::driver::meta;
use super::fair::{Full, Permit};
use super::imports::files::FileUse;
use super::imports::http::HttpAccess;
use super::imports::log::LogCapture;
use super::imports::tools::Nested;
use super::imports::wasi;
use super::ledger::Ledger;
use super::limiter::Limiter;
use super::loaded::{Exports, Loaded};
use super::outlet::Outlets;
use super::shares::Shares;
use super::state::{CallState, RunningCall, Services, Subject};
use super::trap::{Stop, classify};
use crate::capability::{LogLine, StopKind, Stopped, ToolSink};
use crate::component::{CallUsage, Effects, NestedCall};
use crate::id::OrgId;
use crate::limits::Budget;
use crate::message::ContentPart;
use crate::mutation::off;

/// Guest fuel between two yields to the executor: at most 3 ms of the slowest code measured,
/// and 0.9 % of the time of a hash loop.
const YIELD_EVERY_FUEL: u64 = 1_000_000;
/// Time that a guest gets to notice a cancel before it is dropped.
const CANCEL_GRACE: Duration = Duration::from_millis(50);
/// Resources (HTTP responses, WASI streams) that a guest may hold.
const MAX_TABLE_ENTRIES: usize = 1_000;
/// Who is called, for whom, and within which limits.
#[derive(Clone, Copy)]
pub(super) struct Circumstances<'a> {
    pub(super) org: OrgId,
    pub(super) subject: &'a Arc<Subject>,
    pub(super) budget: &'a Budget,
    pub(super) cancel: &'a CancellationToken,
    pub(super) sink: &'a Arc<dyn ToolSink>,
    /// What the tool that is called says it does.
    pub(super) effects: Effects,
    /// Whose secrets and files it may open; none if it is nobody's call.
    pub(super) account: Option<&'a Account>,
    /// How many calls are around it.
    pub(super) depth: usize,
}

/// What became of a call.
pub(super) struct Finished<T> {
    pub(super) result: Result<T, Stopped>,
    pub(super) emitted: Vec<ContentPart>,
    /// Bytes of output that are left after what was emitted.
    pub(super) output_left: u64,
    pub(super) usage: CallUsage,
    /// Bytes of HTTP bodies, in both directions.
    pub(super) http_bytes: u64,
    pub(super) logs: Vec<LogLine>,
    /// What result or failure leaves through.
    pub(super) outlets: Outlets,
    /// The connection provider that the user has to connect with first.
    pub(super) missing: Option<String>,
    /// Calls of other tools from within it.
    pub(super) nested: Vec<NestedCall>,
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
    shares: &Shares,
    loaded: &Arc<Loaded>,
    circumstances: Circumstances<'_>,
) -> Finished<Described> {
    let started = Instant::now();
    let call = match Call::begin(services, shares, loaded, circumstances, started).await {
        Ok(call) => call,
        Err(refused) => return refused,
    };
    let (org, loaded) = (circumstances.org, loaded.clone());
    let work = async move {
        let mut call = call;
        let store = &mut call.store;
        let described = async {
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
        let result = supervise(described, call.deadline, &call.cancel).await;
        call.finish(result)
    };
    shares.turns.run(org, work).await
}

/// Runs `tools.call`.
pub(super) async fn call_tool(
    services: &Arc<Services>,
    shares: &Shares,
    loaded: &Arc<Loaded>,
    circumstances: Circumstances<'_>,
    (context, tool, arguments): (Context, String, String),
) -> Finished<Result<CallOutput, WitFailure>> {
    let started = Instant::now();
    if !matches!(loaded.exports, Exports::Capability { .. }) {
        return refused(StopKind::Internal, "only capabilities have tools", circumstances.budget);
    }
    let mut call = match Call::begin(services, shares, loaded, circumstances, started).await {
        Ok(call) => call,
        Err(refused) => return refused,
    };
    call.store.data_mut().ledger.bytes_in += (tool.len() + arguments.len() + context.config.len()) as u64;
    let (org, loaded) = (circumstances.org, loaded.clone());
    let work = async move {
        let mut call = call;
        let store = &mut call.store;
        let called = async {
            let Exports::Capability { tools, .. } = &loaded.exports else { wasmtime::bail!("only capabilities have tools") };
            let instance = loaded.pre.instantiate_async(&mut *store).await?;
            let guest = tools.load(&mut *store, &instance)?;
            guest.call_call(&mut *store, &context, &tool, &arguments).await
        };
        let result = supervise(called, call.deadline, &call.cancel).await;
        call.finish(result)
    };
    shares.turns.run(org, work).await
}

/// A call that has its slot and its armed store.
struct Call {
    store: Store<CallState>,
    budget: Budget,
    started: Instant,
    deadline: Instant,
    cancel: CancellationToken,
    _place: Permit,
}

impl Call {
    async fn begin<T>(
        services: &Arc<Services>,
        shares: &Shares,
        loaded: &Loaded,
        circumstances: Circumstances<'_>,
        started: Instant,
    ) -> Result<Self, Finished<T>> {
        let (budget, cancel) = (circumstances.budget.in_force(), circumstances.cancel.clone());
        let deadline = started + Duration::from_millis(budget.wall_ms);
        let place = place(shares, circumstances.org, circumstances.depth, deadline)
            .await
            .map_err(|busy| refused(busy.kind, &busy.message, &budget))?;
        let store = armed(services, loaded, circumstances, started, deadline)
            .map_err(|error| refused(StopKind::Internal, &format!("the call could not be prepared: {error:#}"), &budget))?;
        Ok(Self { store, budget, started, deadline, cancel, _place: place })
    }

    /// Turns what happened into a result and a receipt. The store is gone afterwards, so that
    /// nothing of a call that was stopped can be used again.
    fn finish<T>(mut self, result: Result<T, End>) -> Finished<T> {
        let budget = self.budget;
        let left = self.store.get_fuel().unwrap_or(0);
        let state = self.store.data_mut();
        let fuel = (budget.fuel - left).saturating_add(state.ledger.spent());
        let result = match result {
            Ok(_) if fuel > budget.fuel && !off("fuel.together") => {
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
        let mut outlets = std::mem::take(&mut state.outlets);
        let mut emitted = std::mem::take(&mut state.call.emitted);
        if let Some(rest) = outlets.rest() {
            state.call.sink.emit(std::slice::from_ref(&rest));
            emitted.push(rest);
        }
        let missing = state.secrets.missing().map(str::to_owned);
        let (output_left, http_bytes, logs) = (state.call.output_left, state.http.bytes(), state.log.take());
        let nested = std::mem::take(&mut state.nested.made);
        Finished { result, emitted, output_left, usage, http_bytes, logs, outlets, missing, nested }
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
    let budget = circumstances.budget.in_force();
    let log = Arc::new(LogCapture::new(budget.log_bytes));
    let mut table = ResourceTable::new();
    table.set_max_capacity(if off("guest.table_entries") { usize::MAX } else { MAX_TABLE_ENTRIES });
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
        effects: circumstances.effects,
        http: HttpAccess::default(),
        files: FileUse::default(),
        nested: Nested::default(),
        secrets: SecretAccess::new(circumstances.account.cloned()),
        outlets: Outlets::default(),
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

/// A place for a call, in its org's turn.
///
/// # Errors
/// `Busy`: too many wait, or none came free in time.
pub(super) async fn place(shares: &Shares, org: OrgId, depth: usize, deadline: Instant) -> Result<Permit, Stopped> {
    let places = shares.places.get(depth).ok_or_else(|| stopped(StopKind::Internal, format!("no call is {depth} levels deep")))?;
    match tokio::time::timeout_at(deadline.into(), places.take(org)).await {
        Ok(Ok(place)) => Ok(place),
        Ok(Err(Full)) => Err(stopped(StopKind::Busy, "too many calls wait for their turn; try again".to_owned())),
        Err(_) => Err(stopped(StopKind::Busy, "too many calls are running; try again".to_owned())),
    }
}

/// Why the work did not end by itself with a value.
pub(super) enum End {
    Deadline,
    Cancelled,
    Error(wasmtime::Error),
}

/// Drives the guest until it ends, the deadline passes, or a cancel has had its grace. Dropping the
/// work unwinds the guest's fiber.
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
    // It has just been polled by this very task; a second time at once would be a second slice.
    let mut polled = true;
    let work = poll_fn(|context| if std::mem::take(&mut polled) { Poll::Pending } else { work.as_mut().poll(context) });
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
    Finished {
        result: Err(stopped(kind, message.to_owned())),
        emitted: Vec::new(),
        output_left: 0,
        usage,
        http_bytes: 0,
        logs: Vec::new(),
        outlets: Outlets::default(),
        missing: None,
        nested: Vec::new(),
    }
}

pub(super) fn stopped(kind: StopKind, message: String) -> Stopped {
    Stopped::new(kind, message)
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
