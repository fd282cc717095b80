//! The contract of the stores, held against each of them, and what SQLite promises about files.

use std::path::Path;
use std::sync::Arc;

use everwit_runtime::component::Digest;
use everwit_runtime::id::{HarnessId, OrgId, WorkerId};
use everwit_runtime::limits::MAX_WORKERS;
use everwit_runtime::store::memory::MemoryStore;
use everwit_runtime::store::sqlite::SqliteStore;
use everwit_runtime::store::{
    KvScope, KvStore, OrgStore, RuntimeBackends, RuntimeHarnessStore, StoreError, WorkerReport, WorkerState, contract,
};
use jiff::Timestamp;
use tempfile::TempDir;
use uuid::Uuid;

use crate::support::postgres as server;

async fn open_memory() -> (RuntimeBackends, ()) {
    crate::support::mutation::apply();
    (RuntimeBackends::from_store(Arc::new(MemoryStore::default())), ())
}

async fn open_sqlite() -> (RuntimeBackends, TempDir) {
    crate::support::mutation::apply();
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(&directory.path().join("everwit.db")).await;
    (RuntimeBackends::from_store(Arc::new(store)), directory)
}

/// Cases share one database: each works in orgs of its own.
async fn open_postgres() -> (RuntimeBackends, ()) {
    let database = server::shared_database("contract").await;
    let store = Arc::new(server::open(&database).await);
    (RuntimeBackends::from_store(store.clone()).with_worker_store(store), ())
}

everwit_runtime::store_contract_tests!(memory, crate::stores::open_memory);
everwit_runtime::store_contract_tests!(sqlite, crate::stores::open_sqlite);
everwit_runtime::store_contract_tests!(postgres, crate::stores::open_postgres);

async fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path).await.expect("a database")
}

fn org() -> OrgId {
    OrgId::from_uuid(Uuid::from_u128(1))
}

fn scope() -> KvScope {
    KvScope { org: org(), component: "notes".to_owned(), bucket: "main".to_owned() }
}

async fn put(store: &SqliteStore, key: &str) {
    store.put(&scope(), key, b"value".to_vec(), None).await.expect("a write");
}

async fn keys(store: &SqliteStore) -> Vec<String> {
    store.keys(&scope(), "", None, 100).await.expect("a read")
}

#[test]
fn every_method_of_an_org_is_held_against_isolation() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../runtime/src/store");
    let files = std::fs::read_dir(folder).expect("the sources").map(|entry| entry.expect("an entry").path());
    let source: String = files.filter(|path| path.is_file()).map(|path| std::fs::read_to_string(path).expect("a source")).collect();
    let signatures = source.split("async fn ").skip(1).filter_map(|rest| rest.split_once(';')).map(|(signature, _)| signature);
    let mut found: Vec<&str> = signatures
        .filter(|signature| ["org: OrgId", "scope: &KvScope", "key: ApiKey"].iter().any(|of_org| signature.contains(of_org)))
        .filter_map(|signature| signature.split_once('('))
        .map(|(name, _)| name)
        .collect();
    found.sort_unstable();
    // A trait's method may be implemented beside it.
    found.dedup();
    let mut tested = [contract::READING_METHODS, contract::CHANGING_METHODS, contract::ADDING_METHODS].concat();
    tested.sort_unstable();
    assert_eq!(found, tested);
}

/// Workers of PostgreSQL are counted by the same rule; a thousand of them there would be in the way of other cases.
#[tokio::test]
async fn an_installation_has_so_many_workers() {
    let (backends, ()) = open_memory().await;
    let report = |number: usize| WorkerReport {
        id: WorkerId::from_uuid(Uuid::from_u128(number as u128)),
        version: "1".to_owned(),
        definition: Digest::of(b"definition"),
        slots: 1,
        running: 0,
        state: WorkerState::Active,
        started_at: Timestamp::UNIX_EPOCH,
    };
    let tell =
        async |number| backends.worker_store.report_worker(report(number), false, Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH).await;
    for number in 0..MAX_WORKERS {
        tell(number).await.expect("there is room");
    }
    let one_more = tell(MAX_WORKERS).await.expect_err("there is no room");
    assert!(matches!(&one_more, StoreError::Limit(text) if text.contains("1000 workers")), "{one_more:?}");
    tell(0).await.expect("it is one of them");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_keeps_everything_across_close_and_open() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("everwit.db");
    let store = open(&path).await;
    put(&store, "kept").await;
    store.close().await.expect("a close");
    let files: Vec<_> = std::fs::read_dir(directory.path()).expect("the files").map(|file| file.expect("a file").file_name()).collect();
    assert_eq!(files, ["everwit.db"], "a closed database is one file");
    assert_eq!(keys(&open(&path).await).await, ["kept"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_keeps_everything_when_it_is_dropped() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("everwit.db");
    let mut expected = Vec::new();
    for round in 0..3 {
        let store = open(&path).await;
        assert_eq!(keys(&store).await, expected);
        put(&store, &format!("{round}")).await;
        expected.push(format!("{round}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_keeps_everything_when_its_process_dies() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("everwit.db");
    let store = open(&path).await;
    put(&store, "kept").await;
    // The files as they are while the store is open are what a killed process leaves behind.
    let copy = tempfile::tempdir().expect("a directory");
    for name in ["everwit.db", "everwit.db-wal"] {
        std::fs::copy(directory.path().join(name), copy.path().join(name)).expect("a copy");
    }
    assert_eq!(keys(&open(&copy.path().join("everwit.db")).await).await, ["kept"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_can_be_open_twice() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("everwit.db");
    let (one, two) = (open(&path).await, open(&path).await);
    put(&one, "one").await;
    assert_eq!(keys(&two).await, ["one"]);
    put(&two, "two").await;
    assert_eq!(keys(&one).await, ["one", "two"]);
    one.close().await.expect("a close");
    put(&two, "three").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_sqlite_stores_lose_no_write() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("everwit.db");
    let stores = [Arc::new(open(&path).await), Arc::new(open(&path).await)];
    let writers: tokio::task::JoinSet<()> = stores
        .iter()
        .cloned()
        .map(|store| async move {
            for _ in 0..20 {
                put(&store, "count").await;
            }
        })
        .collect();
    writers.join_all().await;
    let entry = stores[0].get(&scope(), "count").await.expect("a read").expect("what was written");
    assert_eq!(entry.version, 40);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_sqlite_store_is_unavailable() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(&directory.path().join("everwit.db")).await;
    for _ in 0..2 {
        store.close().await.expect("a close");
    }
    let read = store.get_harness(org(), HarnessId::from_uuid(Uuid::from_u128(2))).await.expect_err("it was closed");
    let written = store.add_org(org(), "name", Timestamp::UNIX_EPOCH).await.expect_err("it was closed");
    for error in [read, written] {
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    }
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_owner_can_read_a_new_sqlite_file() {
    use std::os::unix::fs::PermissionsExt as _;

    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("everwit.db");
    let store = open(&path).await;
    put(&store, "key").await;
    for file in std::fs::read_dir(directory.path()).expect("the files") {
        let file = file.expect("a file");
        assert_eq!(file.metadata().expect("its mode").permissions().mode() & 0o777, 0o600, "{:?}", file.file_name());
    }
    // The mode of a file that exists is its owner's business.
    store.close().await.expect("a close");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).expect("another mode");
    open(&path).await;
    assert_eq!(path.metadata().expect("its mode").permissions().mode() & 0o777, 0o640);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_sqlite_database_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("notes.txt");
    let text = "not a database, but long enough to look like one\n".repeat(100);
    std::fs::write(&path, &text).expect("a file");
    let refused = SqliteStore::open(&path).await.err().expect("it is text");
    assert!(matches!(refused, StoreError::Corrupt(_)), "{refused:?}");
    assert_eq!(std::fs::read_to_string(&path).expect("the file"), text);
    let absent = SqliteStore::open(&directory.path().join("absent/everwit.db")).await.err().expect("there is no such directory");
    assert!(matches!(absent, StoreError::Unavailable(_)), "{absent:?}");
    let occupied = SqliteStore::open(directory.path()).await.err().expect("it is a directory");
    assert!(matches!(occupied, StoreError::Unavailable(_)), "{occupied:?}");
}
