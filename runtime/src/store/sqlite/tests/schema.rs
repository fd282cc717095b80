//! The schema: append-only events, migrations.

use jiff::Timestamp;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::super::SqliteStore;
use super::super::migrate::MIGRATIONS;
use super::{Bench, raw};
use crate::id::OrgId;
use crate::limits::EVENT_OVERHEAD_BYTES;
use crate::store::contract::case::{assert_refused, ok, refusal};
use crate::store::migration::{Migration, assert_unedited};
use crate::store::{LogUsage, SessionLog, StoreError};

/// Tables that belong to the installation; every other table has an org first.
const TABLES_WITHOUT_ORG: [&str; 5] = ["blobs", "installation_secrets", "loose_objects", "migrations", "orgs"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_cannot_be_changed_deleted_replaced_or_numbered_with_gaps() {
    let mut bench = Bench::new().await;
    let (session, _) = bench.case.claimed().await;
    let before = bench.case.events(session).await;
    let copy = |sequence: &str, id: &str| {
        format!(
            "INSERT OR REPLACE INTO events (org_id, session_id, sequence, id, ts, data) \
             SELECT org_id, session_id, {sequence}, {id}, 0, '{{}}' FROM events WHERE sequence = 2"
        )
    };
    for (sql, reason) in [
        ("UPDATE events SET data = '{}'".to_owned(), "append-only"),
        ("UPDATE events SET ts = ts".to_owned(), "append-only"),
        ("DELETE FROM events WHERE sequence = 2".to_owned(), "append-only"),
        (copy("1", "x'01'"), "without gaps"),
        (copy("2", "id"), "without gaps"),
        (copy("4", "x'01'"), "without gaps"),
        (copy("0", "x'01'"), "without gaps"),
    ] {
        let error = bench.execute(&sql).await.expect_err(&sql).to_string();
        assert!(error.contains(reason), "{sql}: {error}");
    }
    assert_eq!(bench.case.events(session).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_table_of_an_org_has_the_org_in_front_of_its_keys() {
    let mut bench = Bench::new().await;
    let tables: Vec<String> = sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
        .fetch_all(&mut bench.raw)
        .await
        .expect("the tables");
    assert!(tables.len() > 10, "{tables:?}");
    for table in tables.iter().filter(|table| !TABLES_WITHOUT_ORG.contains(&table.as_str())) {
        let first_of_keys: Vec<(String, String)> = sqlx::query_as(concat!(
            "SELECT list.name, info.name FROM pragma_index_list(?1) AS list, pragma_index_info(list.name) AS info ",
            "WHERE info.seqno = 0"
        ))
        .bind(table)
        .fetch_all(&mut bench.raw)
        .await
        .expect("the indexes");
        assert!(!first_of_keys.is_empty(), "{table} has no key");
        for (index, column) in first_of_keys {
            // The hash of a secret is looked up before the org is known, and bytes are deleted once no org has them.
            let is_of_all = column == "secret_hash" || index == "component_versions_stored";
            assert!(column == "org_id" || is_of_all, "{index} of {table} begins with {column}");
        }
    }
}

#[test]
fn a_released_migration_is_never_edited() {
    assert_unedited(MIGRATIONS, "sqlite");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_schema_is_refused_and_left_alone() {
    let mut bench = Bench::new().await;
    ok(bench.store.close().await);
    bench.execute("INSERT INTO migrations (version, name, checksum) VALUES (99, 'later', 'x')").await.expect("a later schema");
    let error = refusal(SqliteStore::open(&bench.path()).await.map(|_| ()));
    assert!(matches!(error, StoreError::Incompatible(_)), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("schema 99") && text.contains(&format!("up to {}", MIGRATIONS.len())) && text.contains("newer"), "{text}");
    bench.execute("DELETE FROM migrations WHERE version = 99").await.expect("the schema before");
    ok(SqliteStore::open(&bench.path()).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_with_another_history_is_refused() {
    let mut bench = Bench::new().await;
    ok(bench.store.close().await);
    bench.execute("UPDATE migrations SET checksum = 'x' WHERE version = 1").await.expect("another history");
    assert_refused!(SqliteStore::open(&bench.path()).await.map(|_| ()), StoreError::Incompatible(_));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_of_another_program_is_refused_and_left_alone() {
    for sql in ["CREATE TABLE recipes (name TEXT)", "PRAGMA application_id = 7"] {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("other.db");
        let mut other = raw(&path).await;
        sqlx::raw_sql(sql).execute(&mut other).await.expect("a database");
        assert_refused!(SqliteStore::open(&path).await.map(|_| ()), StoreError::Incompatible(_));
        let ours: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema WHERE name = 'migrations'")
            .fetch_one(&mut other)
            .await
            .expect("the schema");
        assert_eq!(ours, 0, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_from_before_they_were_counted_has_its_events_counted() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("everwit.db");
    let mut old = raw(&path).await;
    let mut execute = async |sql: String| sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut old).await.map(drop).expect("a statement");
    execute("PRAGMA application_id = 0x45565754; CREATE TABLE migrations (version INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL) STRICT".to_owned()).await;
    for migration in MIGRATIONS.iter().take_while(|migration| migration.name != "log_usage") {
        execute(migration.sql.to_owned()).await;
        let Migration { version, name, checksum, .. } = migration;
        execute(format!("INSERT INTO migrations (version, name, checksum) VALUES ({version}, '{name}', '{checksum}')")).await;
    }
    for (sequence, data) in [(1, "{}"), (2, "ü")] {
        let columns = "org_id, session_id, sequence, id, ts, data";
        let org = "x'00000000000000000000000000000001'";
        execute(format!("INSERT INTO events ({columns}) VALUES ({org}, x'02', {sequence}, x'0{sequence}', 0, '{data}')")).await;
    }
    let store = ok(SqliteStore::open(&path).await);
    let usage = ok(store.log_usage(OrgId::from_uuid(Uuid::from_u128(1)), Timestamp::UNIX_EPOCH).await);
    assert_eq!(usage, LogUsage { event_bytes: 2 * (2 + EVENT_OVERHEAD_BYTES), ..LogUsage::default() });
}
