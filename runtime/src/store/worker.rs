//! Processes that run turns, as they report themselves. They belong to the installation, not to an org.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::rules::{page_limit, whole_micros};
use super::{Listing, Page, StoreError, StoreResult};
use crate::component::Digest;
use crate::id::WorkerId;
use crate::limits::MAX_WORKERS;
use crate::mutation::off;

/// What a worker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerState {
    /// It takes up turns.
    Active,
    /// It takes up none, and lets the steps end that it runs.
    Draining,
    /// It does nothing.
    Drained,
}

/// What a worker tells of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerReport {
    /// Id.
    pub id: WorkerId,
    /// Version of its program.
    pub version: String,
    /// Digest of its platform definition.
    pub definition: Digest,
    /// Turns that it runs at once.
    pub slots: u32,
    /// Turns that it runs.
    pub running: u32,
    /// What it does.
    pub state: WorkerState,
    /// When it started.
    pub started_at: Timestamp,
}

/// A worker that has reported itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerRecord {
    /// What it told last.
    pub report: WorkerReport,
    /// Whether an operator wants it to drain.
    pub drain: bool,
    /// When it told it.
    pub seen_at: Timestamp,
}

/// Processes that run turns.
#[async_trait]
pub trait WorkerStore: Send + Sync {
    /// Notes what a worker tells. Returns whether it is to drain, which reports do not change: `told` is what the worker was told
    /// last, and counts if it was forgotten since. With a new worker, those are forgotten that were seen last before `forget`;
    /// `Limit` if there are [`MAX_WORKERS`] even so.
    async fn report_worker(&self, report: WorkerReport, told: bool, now: Timestamp, forget: Timestamp) -> StoreResult<bool>;
    /// Lists those that were seen at this time or later, in order of their start.
    async fn list_workers(&self, seen_since: Timestamp, page: Page) -> StoreResult<Listing<WorkerRecord>>;
    /// Has a worker drain, or work again; none if absent.
    async fn drain_worker(&self, id: WorkerId, drain: bool) -> StoreResult<Option<WorkerRecord>>;
    /// Removes a worker; false if absent.
    async fn remove_worker(&self, id: WorkerId) -> StoreResult<bool>;
}

/// Keeps the workers of one process, for installations that are one.
#[derive(Debug, Default)]
pub struct InMemoryWorkers {
    workers: Mutex<BTreeMap<WorkerId, WorkerRecord>>,
}

impl InMemoryWorkers {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<WorkerId, WorkerRecord>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl WorkerStore for InMemoryWorkers {
    async fn report_worker(&self, report: WorkerReport, told: bool, now: Timestamp, forget: Timestamp) -> StoreResult<bool> {
        let (report, now) = (WorkerReport { started_at: whole_micros(report.started_at), ..report }, whole_micros(now));
        let mut workers = self.lock();
        if let Some(known) = workers.get_mut(&report.id) {
            *known = WorkerRecord { report, seen_at: now, ..*known };
            return Ok(known.drain);
        }
        workers.retain(|_, worker| worker.seen_at >= forget);
        check_workers(workers.len())?;
        workers.insert(report.id, WorkerRecord { report, drain: told, seen_at: now });
        Ok(told)
    }

    async fn list_workers(&self, seen_since: Timestamp, page: Page) -> StoreResult<Listing<WorkerRecord>> {
        let workers = self.lock();
        let mut seen: Vec<&WorkerRecord> = workers.values().filter(|worker| worker.seen_at >= seen_since).collect();
        seen.sort_by_key(|worker| (worker.report.started_at, worker.report.id));
        let total = seen.len() as u64;
        let items = seen.into_iter().skip(page.offset as usize).take(page_limit(page) as usize).cloned().collect();
        Ok(Listing { items, total })
    }

    async fn drain_worker(&self, id: WorkerId, drain: bool) -> StoreResult<Option<WorkerRecord>> {
        Ok(self.lock().get_mut(&id).map(|worker| {
            worker.drain = drain;
            worker.clone()
        }))
    }

    async fn remove_worker(&self, id: WorkerId) -> StoreResult<bool> {
        Ok(self.lock().remove(&id).is_some())
    }
}

/// Whether an installation with so many workers takes one more.
pub(super) fn check_workers(known: usize) -> StoreResult<()> {
    if known >= MAX_WORKERS && !off("store.workers") {
        return Err(StoreError::Limit(format!("there are {MAX_WORKERS} workers, and no more can be; end some")));
    }
    Ok(())
}
