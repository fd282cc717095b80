//! Files, connections, and what goes wrong with them.

use std::collections::HashSet;

use tokio::task::JoinSet;

use super::super::SqliteStore;
use super::Bench;
use crate::store::contract::case::{assert_refused, ok, time};
use crate::store::lock::Lock;
use crate::store::{OrgStore, StoreError};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_stores_nothing_and_is_recovered_from() {
    let bench = Bench::new().await;
    let (session, claim) = bench.case.claimed().await;
    // No more pages than there are; SQLite takes that for a full disk.
    set_pages(&bench, "PRAGMA max_page_count = 1").await;
    let result = bench.case.append(session, claim.fence, bench.case.steps(1_000), None).await;
    assert_refused!(result, StoreError::Unavailable(_));
    assert_eq!(bench.case.last_sequence(session).await, 2);
    set_pages(&bench, "PRAGMA max_page_count = 1000000").await;
    ok(bench.case.append(session, claim.fence, bench.case.steps(1_000), None).await);
}

async fn set_pages(bench: &Bench, sql: &'static str) {
    let mut writer = bench.store.db.writer(Lock::Installation).await;
    let mut tx = ok(writer.begin().await);
    sqlx::raw_sql(sql).execute(&mut *tx).await.expect("a setting");
    tx.commit().await.expect("a commit");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_sqlite_ended_is_recovered_from() {
    let bench = Bench::new().await;
    let (session, claim) = bench.case.claimed().await;
    {
        // What SQLite does by itself after some I/O errors, unseen by the driver.
        let mut writer = bench.store.db.writer(Lock::Installation).await;
        let mut tx = ok(writer.begin().await);
        sqlx::raw_sql("ROLLBACK").execute(&mut *tx).await.expect("the end of the transaction");
    }
    ok(bench.case.append(session, claim.fence, bench.case.steps(1), None).await);
}

/// BEGIN waits for a while, and what fails then leaves nothing behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_waits_too_long_for_another_process_fails_and_the_next_does_not() {
    let mut bench = Bench::new().await;
    let (session, claim) = bench.case.claimed().await;
    bench.execute("BEGIN IMMEDIATE").await.expect("the right to write");
    let mut writer = bench.store.db.writer(Lock::Installation).await;
    assert_refused!(writer.begin().await.map(drop), StoreError::Unavailable(_));
    drop(writer);
    bench.execute("COMMIT").await.expect("the end of it");
    assert_eq!(bench.case.last_sequence(session).await, 2);
    ok(bench.case.append(session, claim.fence, bench.case.steps(1), None).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_write_is_undone_and_blocks_nobody() {
    let bench = Bench::new().await;
    let (session, claim) = bench.case.claimed().await;
    for polls in 0..20 {
        let before = bench.case.last_sequence(session).await;
        let append = bench.case.append(session, claim.fence, bench.case.steps(3), None);
        let finished = poll_times(append, polls).await;
        let after = bench.case.last_sequence(session).await;
        assert!(after == before || after == before + 3, "{before} became {after}");
        assert!(!finished || after == before + 3, "an acknowledged append is missing");
    }
    ok(bench.case.append(session, claim.fence, bench.case.steps(1), None).await);
}

/// Polls a future so many times, each time after something happened, and drops it; says whether
/// it was ready.
async fn poll_times(future: impl Future, polls: usize) -> bool {
    let mut future = Box::pin(future);
    let mut left = polls;
    std::future::poll_fn(|context| {
        if left == 0 {
            return std::task::Poll::Ready(false);
        }
        left -= 1;
        future.as_mut().poll(context).map(|_| true)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_cannot_write() {
    let bench = Bench::new().await;
    let mut reader = ok(bench.store.db.reader().await);
    let error = sqlx::query("DELETE FROM kv").execute(&mut *reader).await.expect_err("a reader must not write");
    assert!(error.to_string().contains("readonly"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_processes_may_open_a_new_file_at_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("everwit.db");
    let case = Bench::new().await.case;
    let opened: JoinSet<_> = (0..8)
        .map(|_| {
            let (path, id) = (path.clone(), case.id(crate::id::OrgId::from_uuid));
            async move { ok(ok(SqliteStore::open(&path).await).default_org(id, time(0)).await) }
        })
        .collect();
    let orgs: HashSet<_> = opened.join_all().await.into_iter().collect();
    assert_eq!(orgs.len(), 1, "{orgs:?}");
}
