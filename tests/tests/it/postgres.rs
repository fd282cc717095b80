//! What PostgreSQL promises beside the contract of all stores.

use std::sync::Arc;

use everwit_runtime::component::Digest;
use everwit_runtime::id::{AuditEntryId, OrgId, ProviderId, WorkerId};
use everwit_runtime::provider::{Provider, ProviderStatus};
use everwit_runtime::store::postgres::testing::{Other, execute, query};
use everwit_runtime::store::postgres::{PostgresStore, PostgresUrl};
use everwit_runtime::store::{
    AuditEntry, KvScope, KvStore, Note, OrgStore, RuntimeBackends, RuntimeProviderStore, StoreError, WorkerReport, WorkerState,
    WorkerStore, contract,
};
use jiff::Timestamp;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::support::postgres::{CONNECTIONS, new_database, open};

/// Tables that belong to the installation; every other table has an org first.
const TABLES_WITHOUT_ORG: &str = "'blobs', 'installation_secrets', 'loose_objects', 'everwit_migrations', 'orgs', 'workers'";
/// Ends the connections of all others.
const CUT: &str =
    "SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";

fn org() -> OrgId {
    OrgId::from_uuid(Uuid::from_u128(1))
}

fn scope() -> KvScope {
    KvScope { org: org(), component: "notes".to_owned(), bucket: "main".to_owned() }
}

async fn put(store: &PostgresStore, key: &str) -> u64 {
    store.put(&scope(), key, b"value".to_vec(), None).await.expect("a write")
}

async fn refused(database: &str) -> StoreError {
    let url: PostgresUrl = database.parse().expect("a URL");
    PostgresStore::open(&url, CONNECTIONS).await.err().expect("a refusal")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_cannot_be_changed_deleted_or_numbered_with_gaps() {
    let database = new_database().await;
    let stores = RuntimeBackends::from_store(Arc::new(open(&database).await));
    contract::run("append::stores_events_in_order_and_returns_them", &stores).await;
    let before = query(&database, "SELECT data FROM events ORDER BY org_id, session_id, sequence").await;
    assert!(before.len() > 3, "{before:?}");
    let copy = |sequence: &str| {
        format!(
            "INSERT INTO events (org_id, session_id, sequence, id, ts, data) \
             SELECT org_id, session_id, {sequence}, gen_random_uuid(), 0, '{{}}' FROM events WHERE sequence = 2"
        )
    };
    for (sql, reason) in [
        ("UPDATE events SET data = '{}'".to_owned(), "append-only"),
        ("UPDATE events SET ts = ts".to_owned(), "append-only"),
        ("DELETE FROM events WHERE sequence = 2".to_owned(), "append-only"),
        ("TRUNCATE events CASCADE".to_owned(), "append-only"),
        (copy("1"), "events_sequence"),
        (copy("99"), "without gaps"),
        (copy("0"), "without gaps"),
    ] {
        let error = execute(&database, &sql).await.expect_err(&sql);
        assert!(error.contains(reason), "{sql}: {error}");
    }
    assert_eq!(query(&database, "SELECT data FROM events ORDER BY org_id, session_id, sequence").await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_table_of_an_org_has_the_org_in_front_of_its_keys() {
    let database = new_database().await;
    open(&database).await;
    let keys = query(
        &database,
        &format!(
            "SELECT t.relname || ' ' || a.attname FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid \
             JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = i.indkey[0] \
             WHERE t.relnamespace = current_schema()::regnamespace AND t.relname NOT IN ({TABLES_WITHOUT_ORG})"
        ),
    )
    .await;
    assert!(keys.len() > 20, "{keys:?}");
    for key in keys {
        // The position is the order of rows; the hash of a secret is looked up before the org is known; the ids of events
        // leave the index of the log's order the only one that begins with a session; bytes are deleted once no org has them.
        let in_front = [" org_id", " position", " secret_hash", "component_versions digest"].iter().any(|end| key.ends_with(end));
        assert!(in_front || key == "events id", "{key}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_processes_may_open_a_new_database_at_once() {
    let database = new_database().await;
    let opened: JoinSet<_> = (0..8u128)
        .map(|number| {
            let database = database.clone();
            async move {
                let id = OrgId::from_uuid(Uuid::from_u128(number + 1));
                open(&database).await.default_org(id, Timestamp::UNIX_EPOCH).await.expect("an org")
            }
        })
        .collect();
    let mut orgs = opened.join_all().await;
    orgs.dedup();
    assert_eq!(orgs.len(), 1, "{orgs:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_schema_or_another_history_is_refused_and_left_alone() {
    let database = new_database().await;
    open(&database).await.close().await;
    for (change, back, expected) in [
        ("INSERT INTO everwit_migrations VALUES (99, 'later', 'x')", "DELETE FROM everwit_migrations WHERE version = 99", "schema 99"),
        (
            "UPDATE everwit_migrations SET name = checksum, checksum = 'x' WHERE version = 1",
            "UPDATE everwit_migrations SET checksum = name WHERE version = 1",
            "schema 1",
        ),
    ] {
        execute(&database, change).await.expect("another schema");
        let error = refused(&database).await;
        assert!(matches!(error, StoreError::Incompatible(_)) && error.to_string().contains(expected), "{error}");
        execute(&database, back).await.expect("the schema before");
        open(&database).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_of_another_program_is_refused_and_left_alone() {
    let database = new_database().await;
    execute(&database, "CREATE TABLE recipes (name TEXT)").await.expect("a table");
    let error = refused(&database).await;
    assert!(matches!(error, StoreError::Incompatible(_)), "{error}");
    assert_eq!(query(&database, "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'").await, ["recipes"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_in_is_told_without_the_password() {
    let database = new_database().await;
    let mut url = url::Url::parse(&database).expect("a URL");
    url.set_password(Some("hunter2hunter2")).expect("a password");
    let error = refused(url.as_str()).await;
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    url.set_path("absent");
    url.set_password(url::Url::parse(&database).expect("a URL").password()).expect("a password");
    let error = refused(url.as_str()).await;
    assert!(matches!(&error, StoreError::Unavailable(text) if text.contains("absent")), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_stores_lose_no_write() {
    let database = new_database().await;
    let stores = [Arc::new(open(&database).await), Arc::new(open(&database).await)];
    let writers: JoinSet<()> = (0..8)
        .map(|number| stores[number % 2].clone())
        .map(|store| async move {
            for _ in 0..10 {
                put(&store, "count").await;
            }
        })
        .collect();
    writers.join_all().await;
    let entry = stores[0].get(&scope(), "count").await.expect("a read").expect("what was written");
    assert_eq!(entry.version, 80);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_were_cut_are_replaced() {
    let database = new_database().await;
    let store = open(&database).await;
    for round in 1..=5 {
        assert_eq!(put(&store, "count").await, round);
        assert!(!query(&database, CUT).await.is_empty(), "there was a connection to cut");
        let entry = store.get(&scope(), "count").await.expect("a read").expect("what was written");
        assert_eq!(entry.version, round);
        query(&database, CUT).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_whose_connection_is_cut_is_told_and_undone() {
    let database = new_database().await;
    let store = Arc::new(open(&database).await);
    put(&store, "count").await;
    // The transaction waits for this lock after it has begun.
    execute(&database, "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(3600); RETURN NEW; END $$; CREATE TRIGGER wait BEFORE UPDATE ON kv FOR EACH ROW EXECUTE FUNCTION wait()").await.expect("a trigger");
    let write = tokio::spawn({
        let store = store.clone();
        async move { store.put(&scope(), "count", b"other".to_vec(), None).await }
    });
    while query(&database, "SELECT pid::text FROM pg_stat_activity WHERE wait_event = 'PgSleep'").await.is_empty() {
        tokio::task::yield_now().await;
    }
    query(&database, CUT).await;
    let error = write.await.expect("a task").expect_err("the connection was cut");
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    execute(&database, "DROP TRIGGER wait ON kv").await.expect("no trigger");
    let entry = store.get(&scope(), "count").await.expect("a read").expect("what was written");
    assert_eq!((entry.version, entry.value), (1, b"value".to_vec()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_with_a_nul_is_refused_as_the_callers_fault() {
    let store = open(&new_database().await).await;
    let provider = Provider {
        id: ProviderId::from_uuid(Uuid::from_u128(7)),
        name: "a\0b".to_owned(),
        provider_type: "openai".parse().expect("a driver"),
        base_url: None,
        status: ProviderStatus::Active,
        api_key: None,
        provider_metadata: None,
        version: 1,
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
    };
    let error = store.add_provider(org(), provider).await.expect_err("PostgreSQL has no such character");
    assert!(matches!(&error, StoreError::Invalid(text) if text.contains("U+0000")), "{error:?}");
}

/// A transaction whose lock somebody else keeps fails after a while, and leaves the only connection as good as before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_waits_too_long_for_its_lock_fails_and_the_next_does_not() {
    let database = new_database().await;
    let url: PostgresUrl = database.parse().expect("a URL");
    let store = PostgresStore::open(&url, 1).await.expect("a store");
    store.add_org(org(), "tests", Timestamp::UNIX_EPOCH).await.expect("an org");
    let mut other = Other::connect(&database).await;
    // Which lock it is shows while the write waits for the table behind it.
    other.execute("BEGIN; LOCK TABLE kv IN ACCESS EXCLUSIVE MODE").await;
    let (_, lock) = tokio::join!(put(&store, "early"), async {
        let held = "SELECT ((classid::bigint << 32) | objid::bigint)::text FROM pg_locks JOIN pg_database d ON d.oid = database \
                    WHERE locktype = 'advisory' AND granted AND datname = current_database()";
        let lock = loop {
            if let Some(lock) = query(&database, held).await.pop() {
                break lock;
            }
        };
        other.execute("COMMIT").await;
        lock
    });
    other.execute(&format!("SELECT pg_advisory_lock({lock})")).await;
    let late = store.put(&scope(), "late", b"value".to_vec(), None).await.expect_err("nobody gives the lock back");
    assert!(matches!(&late, StoreError::Unavailable(why) if why.contains("lock timeout")), "{late:?}");
    other.execute("SELECT pg_advisory_unlock_all()").await;
    assert!(put(&store, "after").await > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_process_at_a_time_runs_the_turns() {
    let database = new_database().await;
    let (one, two) = (open(&database).await, open(&database).await);
    let claim = one.claim_turns(true).await.expect("an answer").expect("nobody has it");
    assert!(two.claim_turns(true).await.expect("an answer").is_none());
    assert!(one.claim_turns(true).await.expect("an answer").is_none(), "it is not shared within a process either");
    assert!(two.claim_turns(false).await.expect("an answer").is_none(), "nor does it go together with those of an engine");
    drop(claim);
    let together = async || one.claim_turns(false).await.expect("an answer");
    let claims = loop {
        if let Some(claim) = together().await {
            break (claim, together().await.expect("many have it together"));
        }
        tokio::task::yield_now().await;
    };
    assert!(two.claim_turns(true).await.expect("an answer").is_none(), "nobody has it alone then");
    drop(claims);
    while two.claim_turns(true).await.expect("an answer").is_none() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_schema_is_told_and_not_changed() {
    let database = new_database().await;
    let url: PostgresUrl = database.parse().expect("a URL");
    let before = PostgresStore::schema(&url).await.expect("a schema");
    assert_eq!(before.applied, 0);
    assert!(query(&database, "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'").await.is_empty());
    open(&database).await;
    let after = PostgresStore::schema(&url).await.expect("a schema");
    assert_eq!((after.applied, after.known), (before.known, before.known));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_store_is_unavailable() {
    let store = open(&new_database().await).await;
    for _ in 0..2 {
        store.close().await;
    }
    let read = store.get(&scope(), "key").await.expect_err("it was closed");
    let written = store.add_org(org(), "name", Timestamp::UNIX_EPOCH).await.expect_err("it was closed");
    for error in [read, written] {
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_drained_a_worker_is_noted_with_it_or_it_is_not_drained() {
    let database = new_database().await;
    let store = open(&database).await;
    let org = store.default_org(org(), Timestamp::UNIX_EPOCH).await.expect("an org");
    let report = WorkerReport {
        id: WorkerId::from_uuid(Uuid::from_u128(2)),
        version: "1".to_owned(),
        definition: Digest::of(b"definition"),
        slots: 1,
        running: 0,
        state: WorkerState::Active,
        started_at: Timestamp::UNIX_EPOCH,
    };
    let (id, times) = (report.id, (Timestamp::UNIX_EPOCH, Timestamp::MIN));
    store.report_worker(report.clone(), false, times.0, times.1).await.expect("it is known");
    let note = || {
        let entry = AuditEntry {
            id: AuditEntryId::from_uuid(Uuid::from_u128(3)),
            at: Timestamp::UNIX_EPOCH,
            actor: "somebody".to_owned(),
            action: "POST /v1/workers/{worker_id}/drain".to_owned(),
            target: format!("/v1/workers/{id}/drain"),
            status: 200,
            before: None,
            after: None,
        };
        Note::new(org, entry)
    };
    let count = "SELECT count(*)::text FROM audit_entries";
    let absent = note();
    let nobody = absent.with(store.drain_worker(WorkerId::from_uuid(Uuid::from_u128(9)), true)).await;
    assert!(nobody.expect("an answer").is_none() && absent.unwritten().is_some());
    assert_eq!(query(&database, count).await, ["0"], "nothing was done");
    execute(&database, "ALTER TABLE audit_entries ADD CONSTRAINT refuses CHECK (actor <> 'somebody')").await.expect("the log refuses");
    note().with(store.drain_worker(id, true)).await.expect_err("what cannot be noted is not done");
    execute(&database, "ALTER TABLE audit_entries DROP CONSTRAINT refuses").await.expect("the log takes entries again");
    assert!(!store.report_worker(report, false, times.0, times.1).await.expect("it is known"));
    let noted = note();
    assert!(noted.with(store.drain_worker(id, true)).await.expect("it is drained").is_some_and(|worker| worker.drain));
    assert!(noted.unwritten().is_none());
    assert_eq!(query(&database, count).await, ["1"]);
}
