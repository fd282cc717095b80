//! Processes that run turns. They are of no org, so that each case looks at its own alone.

use jiff::Timestamp;

use super::case::{Case, FIRST_PAGE, assert_none, assert_same, ok, some, time};
use crate::component::Digest;
use crate::id::WorkerId;
use crate::store::{WorkerRecord, WorkerReport, WorkerState};

/// Before anybody of another case was seen.
const LONG_AGO: i64 = -10_000;

fn report(case: &Case, started: i64) -> WorkerReport {
    WorkerReport {
        id: case.id(WorkerId::from_uuid),
        version: "1.2.3-Größe".to_owned(),
        definition: Digest::of(b"definition"),
        slots: 64,
        running: 0,
        state: WorkerState::Active,
        started_at: time(started),
    }
}

/// Those of these ids that were seen since then.
async fn seen(case: &Case, ids: &[WorkerId], since: Timestamp) -> Vec<WorkerRecord> {
    let listing = ok(case.stores.worker_store.list_workers(since, FIRST_PAGE).await);
    assert!(listing.total >= listing.items.len() as u64);
    listing.items.into_iter().filter(|worker| ids.contains(&worker.report.id)).collect()
}

pub(super) async fn a_worker_is_known_by_its_last_report(case: &Case) {
    let (store, forget) = (&case.stores.worker_store, time(2 * LONG_AGO));
    let (later, earlier) = (report(case, 2), report(case, 1));
    for report in [&later, &earlier] {
        assert!(!ok(store.report_worker(report.clone(), false, time(3), forget).await), "nobody has told it to drain");
    }
    for state in [WorkerState::Draining, WorkerState::Drained, WorkerState::Active] {
        let changed = WorkerReport { running: 7, slots: 8, version: "2".to_owned(), state, ..later.clone() };
        ok(store.report_worker(changed.clone(), false, time(4), forget).await);
        let known = [
            WorkerRecord { report: earlier.clone(), drain: false, seen_at: time(3) },
            WorkerRecord { report: changed, drain: false, seen_at: time(4) },
        ];
        assert_same(&seen(case, &[later.id, earlier.id], time(3)).await, &known);
    }
    assert!(ok(store.remove_worker(earlier.id).await) && !ok(store.remove_worker(earlier.id).await));
    assert_eq!(seen(case, &[later.id, earlier.id], time(3)).await.len(), 1);
}

pub(super) async fn a_worker_drains_until_it_is_told_otherwise(case: &Case) {
    let (store, forget) = (&case.stores.worker_store, time(2 * LONG_AGO));
    let [one, other] = [report(case, 1), report(case, 1)];
    assert_none(store.drain_worker(one.id, true).await);
    for report in [&one, &other] {
        ok(store.report_worker(report.clone(), false, time(1), forget).await);
    }
    for drain in [true, false] {
        let record = some(store.drain_worker(one.id, drain).await);
        assert_eq!(record, WorkerRecord { report: one.clone(), drain, seen_at: time(1) });
        assert_eq!(ok(store.report_worker(one.clone(), false, time(1), forget).await), drain);
        assert!(!ok(store.report_worker(other.clone(), false, time(1), forget).await), "another one was not meant");
    }
}

pub(super) async fn who_was_not_seen_for_long_is_not_listed_and_then_forgotten(case: &Case) {
    let store = &case.stores.worker_store;
    let [gone, new] = [report(case, LONG_AGO), report(case, 1)];
    ok(store.report_worker(gone.clone(), false, time(LONG_AGO), time(2 * LONG_AGO)).await);
    assert_eq!(seen(case, &[gone.id], time(LONG_AGO)).await.len(), 1);
    assert!(seen(case, &[gone.id], time(LONG_AGO + 1)).await.is_empty());
    some(store.drain_worker(gone.id, false).await);
    ok(store.report_worker(new, false, time(1), time(LONG_AGO + 1)).await);
    assert_none(store.drain_worker(gone.id, false).await);
    // It was there all the time, and whoever forgot it was mistaken: what it was told stays true.
    assert!(ok(store.report_worker(gone.clone(), true, time(2), time(LONG_AGO)).await));
    assert!(ok(store.report_worker(gone.clone(), false, time(3), time(LONG_AGO)).await), "but the table knows better");
    some(store.drain_worker(gone.id, false).await);
    assert!(!ok(store.report_worker(gone, true, time(4), time(LONG_AGO)).await));
}
