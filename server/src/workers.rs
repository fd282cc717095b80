//! Who runs turns. Each worker tells the servers of itself: at its start, before it takes up any turn, and from then on
//! every [`REPORT_EVERY`]. With the answer it learns whether it is to drain, or is refused because it runs something else
//! than they do. Workers on other machines tell a control plane, which alone writes the table; a server that runs turns
//! itself is in the table as well.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use everwit_runtime::Error;
use everwit_runtime::engine::{Engine, Next, Step, StepError, StepHandler, WorkEnd, Working};
use everwit_runtime::id::{OrgId, SessionId, WorkerId};
use everwit_runtime::platform::DefinitionDigest;
use everwit_runtime::store::{StoreError, WorkerReport, WorkerState, WorkerStore};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::control_plane::{PlaneClient, PlaneError};
use crate::error::AppError;
use crate::moments::Moments;
use crate::site::Site;
use crate::turns_right::TurnsRight;

/// Path of the endpoint for workers on other machines.
pub(crate) const WORKERS: &str = "/internal/workers";
/// How often a worker tells of itself, and so how long an operator's wish takes to reach it.
const REPORT_EVERY: Duration = Duration::from_secs(2);
/// Who was silent for so long is gone.
const GONE_AFTER: Duration = Duration::from_secs(10);
/// Who was silent for so long is shown no more.
const SHOWN_FOR: Duration = Duration::from_secs(3_600);
/// How long a start waits for a control plane that does not answer, and how often it asks.
const REGISTER_PATIENCE: Duration = Duration::from_secs(30);
const REGISTER_PAUSE: Duration = Duration::from_millis(500);
/// How long the end waits for the word that it is the end.
const FAREWELL_PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of a version.
const MAX_VERSION_BYTES: usize = 64;

/// What a worker tells.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Report {
    worker_id: WorkerId,
    version: String,
    definition: DefinitionDigest,
    slots: u32,
    running: u32,
    state: WorkerState,
    /// Whether it was told to drain, last.
    told: bool,
    started_at: Timestamp,
    /// It ends, and is to be forgotten.
    ends: bool,
}

impl Report {
    /// Whose it is.
    pub(crate) fn id(&self) -> WorkerId {
        self.worker_id
    }
}

/// What it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Instruction {
    /// Whether it is to take up no further turns.
    drain: bool,
}

/// Why a report is not taken.
pub(crate) enum Refusal {
    /// It runs something else; says what.
    Mismatch(String),
    /// It could not be written down.
    Store(StoreError),
}

/// The table, and what is expected of those in it.
#[derive(Clone)]
pub(crate) struct WorkerTable {
    pub(crate) store: Arc<dyn WorkerStore>,
    pub(crate) definition: DefinitionDigest,
    pub(crate) moments: Moments,
}

impl WorkerTable {
    /// Whether somebody who was seen then is gone now.
    pub(crate) fn is_gone(seen_at: Timestamp, now: Timestamp) -> bool {
        seen_at < before(now, GONE_AFTER)
    }

    /// Who was seen since then is shown.
    pub(crate) fn shown_since(now: Timestamp) -> Timestamp {
        before(now, SHOWN_FOR)
    }

    /// Takes a report.
    ///
    /// # Errors
    /// If it is of somebody who runs something else, or the store fails.
    pub(crate) async fn note(&self, report: Report) -> Result<Instruction, Refusal> {
        if let Some(difference) = self.difference(&report) {
            return Err(Refusal::Mismatch(difference));
        }
        if report.ends {
            self.store.remove_worker(report.worker_id).await.map_err(Refusal::Store)?;
            return Ok(Instruction { drain: true });
        }
        let Report { worker_id: id, version, definition, slots, running, state, told, started_at, ends: _ } = report;
        let report = WorkerReport { id, version, definition: definition.whole(), slots, running, state, started_at };
        let now = self.moments.now();
        let drain = self.store.report_worker(report, told, now, before(now, SHOWN_FOR)).await.map_err(Refusal::Store)?;
        Ok(Instruction { drain })
    }

    /// How what a worker runs differs from what the servers run; none if it does not.
    fn difference(&self, report: &Report) -> Option<String> {
        let own = env!("CARGO_PKG_VERSION");
        if report.version.len() > MAX_VERSION_BYTES {
            return Some(format!("the version of the worker has more than {MAX_VERSION_BYTES} bytes"));
        }
        if report.version != own {
            return Some(format!("the worker has version {:?} of the program, the servers have {own}", report.version));
        }
        let difference = self.definition.difference(&report.definition)?;
        Some(format!("its platform definition (the second) is not that of the servers (the first): {difference}"))
    }
}

fn before(now: Timestamp, time: Duration) -> Timestamp {
    now.checked_sub(time).unwrap_or(Timestamp::MIN)
}

/// To whom a worker reports.
enum Desk {
    /// The table itself, from within a server.
    Table(WorkerTable),
    /// A control plane.
    Plane(Arc<PlaneClient>),
}

/// Why a report has no answer.
enum NoAnswer {
    Refused(String),
    Unavailable(String),
}

/// A worker's own entry in the table.
pub(crate) struct Entry {
    desk: Desk,
    fixed: Report,
    running: Arc<AtomicU32>,
    state: watch::Sender<WorkerState>,
    drain: watch::Sender<bool>,
    /// What it was told last; who is refused drains without being told.
    told: AtomicBool,
}

impl Entry {
    /// Enters a worker that has not taken up any turn yet.
    ///
    /// # Errors
    /// How it differs from the servers; that they do not answer.
    pub(crate) async fn register(site: &Site, slots: usize) -> Result<Self, AppError> {
        let definition = site.definition().ok_or_else(|| AppError::Internal("a worker without a definition".to_owned()))?;
        let (store, moments) = (site.stores.worker_store.clone(), site.moments.clone());
        let fixed = Report {
            worker_id: WorkerId::from_uuid(moments.uuid()),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            definition: definition.clone(),
            slots: u32::try_from(slots).unwrap_or(u32::MAX),
            running: 0,
            state: WorkerState::Active,
            told: false,
            started_at: moments.now(),
            ends: false,
        };
        let desk = match &site.plane {
            Some(plane) => Desk::Plane(plane.clone()),
            None => Desk::Table(WorkerTable { store, definition, moments }),
        };
        let (state, drain) = (watch::Sender::new(WorkerState::Active), watch::Sender::new(false));
        let entry = Self { desk, fixed, running: Arc::default(), state, drain, told: AtomicBool::new(false) };
        let deadline = Instant::now() + REGISTER_PATIENCE;
        loop {
            match entry.tell(false).await {
                Ok(()) => return Ok(entry),
                Err(NoAnswer::Refused(why)) => return Err(AppError::WorkerRefused(why)),
                Err(NoAnswer::Unavailable(why)) if Instant::now() > deadline => {
                    return Err(Error::Unavailable(format!("nobody takes this worker in: {why}")).into());
                }
                Err(NoAnswer::Unavailable(why)) => tracing::info!(why, "nobody takes this worker in yet; trying again"),
            }
            sleep(REGISTER_PAUSE).await;
        }
    }

    async fn tell(&self, ends: bool) -> Result<(), NoAnswer> {
        let (running, state) = (self.running.load(Ordering::Relaxed), *self.state.borrow());
        let told = self.told.load(Ordering::Relaxed);
        let report = Report { running, state, told, ends, ..self.fixed.clone() };
        let answer = match &self.desk {
            Desk::Table(table) => table.note(report).await.map_err(|refusal| match refusal {
                Refusal::Mismatch(difference) => NoAnswer::Refused(difference),
                Refusal::Store(error) => NoAnswer::Unavailable(error.to_string()),
            }),
            Desk::Plane(plane) => plane.post(WORKERS, &report).await.map_err(|error| match error {
                PlaneError::Refused { .. } => NoAnswer::Refused(error.to_string()),
                PlaneError::Unavailable(why) => NoAnswer::Unavailable(why),
            }),
        };
        let Instruction { drain } = answer?;
        self.told.store(drain, Ordering::Relaxed);
        self.drain.send_if_modified(|known| std::mem::replace(known, drain) != drain);
        Ok(())
    }

    /// Tells of the worker from time to time, and of each change at once. Who is refused in the middle of its work, by
    /// servers that are newer, drains: nothing goes on in two ways.
    async fn keep(&self) -> ! {
        let (mut ticks, mut state) = (interval(REPORT_EVERY), self.state.subscribe());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut refused = false;
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                _ = state.changed() => {}
            }
            match self.tell(false).await {
                Ok(()) => refused = false,
                Err(NoAnswer::Refused(why)) => {
                    if !std::mem::replace(&mut refused, true) {
                        tracing::error!(why, "the servers refuse this worker; it takes up no further turns");
                    }
                    self.drain.send_replace(true);
                }
                Err(NoAnswer::Unavailable(why)) => tracing::warn!(why, "a worker could not tell of itself; trying again"),
            }
        }
    }

    async fn until_told(&self, drain: bool) {
        let mut told = self.drain.subscribe();
        // The sender is its own, so that there is always one.
        let _told = told.wait_for(|told| *told == drain).await;
    }

    fn enter(&self, state: WorkerState) {
        self.state.send_replace(state);
    }
}

/// Counts the steps that run.
struct Counted {
    handler: Arc<dyn StepHandler>,
    running: Arc<AtomicU32>,
}

/// Ends with the step, also if that is dropped.
struct Running<'a>(&'a AtomicU32);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[async_trait]
impl StepHandler for Counted {
    async fn step(&self, step: Step) -> Result<Next, StepError> {
        self.running.fetch_add(1, Ordering::Relaxed);
        let _running = Running(&self.running);
        self.handler.step(step).await
    }

    async fn idle(&self, org: OrgId, session: SessionId) -> Result<Next, Error> {
        self.handler.idle(org, session).await
    }
}

/// How long after a failure a worker begins again.
const BEGIN_AGAIN: Duration = Duration::from_secs(1);

/// A worker that is in the table, and works unless it is told not to, or has lost the right to.
pub(crate) struct Worker {
    engine: Arc<dyn Engine>,
    /// Of the embedded engine; a distributed one decides itself who runs what.
    right: Option<TurnsRight>,
    handler: Arc<dyn StepHandler>,
    slots: usize,
    entry: Entry,
    /// How long its end waits for running steps.
    patience: Duration,
}

impl Worker {
    pub(crate) fn new(site: &Site, handler: Arc<dyn StepHandler>, slots: usize, entry: Entry, patience: Duration) -> Self {
        let handler = Arc::new(Counted { handler, running: entry.running.clone() });
        let right = site.distributed.is_none().then(|| site.right.clone());
        Self { engine: site.engine.clone(), right, handler, slots, entry, patience }
    }

    /// Begins to take up turns.
    ///
    /// # Errors
    /// Those of the engine.
    pub(crate) async fn begin(&self) -> Result<(Working, WorkEnd), Error> {
        let end = WorkEnd::default();
        Ok((self.engine.work(self.handler.clone(), self.slots, end.clone()).await?, end))
    }

    /// Goes on with what was begun until the shutdown, with pauses as operators want them.
    ///
    /// # Errors
    /// Those of the engine.
    pub(crate) async fn work(self, begun: (Working, WorkEnd), shutdown: CancellationToken) -> Result<(), Error> {
        let worked = tokio::select! {
            worked = self.take_turns(begun, &shutdown) => worked,
            never = self.entry.keep() => never,
        };
        if timeout(FAREWELL_PATIENCE, self.entry.tell(true)).await.is_err() {
            tracing::info!("nobody heard that this worker ends; it is shown as gone for a while");
        }
        worked
    }

    async fn take_turns(&self, mut begun: (Working, WorkEnd), shutdown: &CancellationToken) -> Result<(), Error> {
        loop {
            let (working, end) = &mut begun;
            tokio::select! {
                ended = &mut *working => return ended,
                () = shutdown.cancelled() => {}
                () = self.entry.until_told(true) => tracing::info!("this worker drains: it takes up no further turns"),
                () = self.until_entitled(false) => {}
            }
            self.entry.enter(WorkerState::Draining);
            end.drain.cancel();
            let patience = async {
                shutdown.cancelled().await;
                sleep(self.patience).await;
            };
            let ended = tokio::select! {
                ended = &mut *working => ended,
                () = patience => {
                    end.stop.cancel();
                    working.await
                }
            };
            if shutdown.is_cancelled() {
                return ended;
            }
            if let Err(error) = ended {
                tracing::info!(%error, "open turns go on when this worker takes up turns again");
            }
            self.entry.enter(WorkerState::Drained);
            begun = tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(()),
                begun = self.begin_again() => begun,
            };
            tracing::info!("this worker takes up turns again");
            self.entry.enter(WorkerState::Active);
        }
    }

    /// Begins once nothing is in the way any more.
    async fn begin_again(&self) -> (Working, WorkEnd) {
        loop {
            self.until_entitled(true).await;
            self.entry.until_told(false).await;
            if self.right.as_ref().is_some_and(TurnsRight::is_lost) {
                continue;
            }
            match self.begin().await {
                Ok(begun) => return begun,
                Err(error) => tracing::warn!(%error, pause = ?BEGIN_AGAIN, "turns cannot be taken up; trying again"),
            }
            sleep(BEGIN_AGAIN).await;
        }
    }

    /// Returns once the right to run turns is there, or lost.
    async fn until_entitled(&self, is_entitled: bool) {
        match &self.right {
            Some(right) => right.until(!is_entitled).await,
            None if is_entitled => {}
            None => std::future::pending().await,
        }
    }
}
