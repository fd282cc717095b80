//! Rows that cannot be read: each is reported with its table, column and row, and none is
//! replaced by a default.

use std::fmt::Debug;

use super::Bench;
use crate::component::Digest;
use crate::store::contract::case::{FIRST_PAGE, ok, refusal};
use crate::store::{ApiKey, Scope, StoreError, StoreResult};

fn assert_corrupt<T: Debug>(result: StoreResult<T>, place: &str, row: &str) {
    let error = refusal(result);
    assert!(matches!(error, StoreError::Corrupt(_)), "{place}: {error:?}");
    let text = error.to_string();
    assert!(text.contains(&format!("{place} in the row with {row}")), "{place} of {row} is not named: {text}");
}

async fn broken(bench: &mut Bench, sql: &str) {
    bench.execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_harnesses_and_agents() {
    let mut bench = Bench::new().await;
    let (org, stores) = (bench.case.org, bench.case.stores.clone());
    for (column, value) in [
        ("id", "x'0102'"),
        ("name", "CAST(x'ff' AS TEXT)"),
        ("parent_harness_id", "x'00'"),
        ("capabilities", "'[{]'"),
        ("capabilities", "'{}'"),
        ("tags", "''"),
        ("is_built_in", "2"),
        ("status", "'Active'"),
        ("status", "''"),
        ("version", "-1"),
        ("created_at", "9223372036854775807"),
        ("updated_at", "-9223372036854775808"),
    ] {
        broken(&mut bench, "DELETE FROM harnesses").await;
        ok(stores.harness_store.add_harness(org, bench.case.harness("first")).await);
        broken(&mut bench, &format!("UPDATE harnesses SET {column} = {value}")).await;
        assert_corrupt(stores.harness_store.list_harnesses(org, FIRST_PAGE).await, &format!("harnesses.{column}"), "id 0");
    }
    for (column, value) in [("harness_id", "x''"), ("max_iterations", "4294967296"), ("capabilities", "'null'"), ("status", "'gone'")] {
        broken(&mut bench, "DELETE FROM agents").await;
        let agent = bench.case.agent("first");
        ok(stores.agent_store.add_agent(org, agent.clone()).await);
        broken(&mut bench, &format!("UPDATE agents SET {column} = {value}")).await;
        let row = format!("id {}", agent.id.uuid().simple());
        assert_corrupt(stores.agent_store.get_agent(org, agent.id).await, &format!("agents.{column}"), &row);
        assert_corrupt(stores.agent_store.find_agent(org, "first").await, &format!("agents.{column}"), &row);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_sessions_and_turns() {
    let mut bench = Bench::new().await;
    let (org, stores) = (bench.case.org, bench.case.stores.clone());
    let (session, claim) = bench.case.claimed().await;
    let row = format!("id {}", session.uuid().simple());
    for (column, broken_value, value) in [("tags", "'[1]'", "'[]'"), ("agent_id", "x'01'", "NULL")] {
        broken(&mut bench, &format!("UPDATE sessions SET {column} = {broken_value}")).await;
        assert_corrupt(stores.session_store.get_session(org, session).await, &format!("sessions.{column}"), &row);
        broken(&mut bench, &format!("UPDATE sessions SET {column} = {value}")).await;
    }
    let row = format!("id {}", claim.turn_id.uuid().simple());
    broken(&mut bench, "UPDATE turns SET cancel_requested = 3").await;
    assert_corrupt(stores.log.claim_turn(org, session).await, "turns.cancel_requested", &row);
    broken(&mut bench, "UPDATE turns SET cancel_requested = 0, input_sequence = 7").await;
    let again = stores.log.submit_turn(org, session, claim.turn_id, bench.case.input(claim.turn_id, "hello")).await;
    assert_corrupt(again, "turns.input_sequence", &row);
    broken(&mut bench, "UPDATE turns SET input_sequence = 2, attempt = -3").await;
    assert_corrupt(stores.log.claim_turn(org, session).await, "turns.attempt", &row);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_events() {
    let mut bench = Bench::new().await;
    let (org, stores) = (bench.case.org, bench.case.stores.clone());
    broken(&mut bench, "DROP TRIGGER events_are_never_changed").await;
    for (column, value) in [
        ("data", "'{\"type\":\"turn.vanished\",\"data\":{}}'"),
        ("data", "'{\"type\":\"turn.sealed\",\"data\":{}}'"),
        ("data", "'{'"),
        ("id", "x'00'"),
        ("turn_id", "x'00'"),
        ("input_message_id", "x'00'"),
        ("ts", "9223372036854775807"),
    ] {
        let (session, _) = bench.case.claimed().await;
        let key = session.uuid().simple();
        broken(&mut bench, &format!("UPDATE events SET {column} = {value} WHERE session_id = x'{key}' AND sequence = 2")).await;
        let place = format!("events.{column}");
        assert_corrupt(stores.log.read_events(org, session, 0, 10).await, &place, &format!("session_id {key}, sequence 2"));
        // What comes before it can still be read.
        assert_eq!(ok(stores.log.read_events(org, session, 0, 1).await).len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_components() {
    let mut bench = Bench::new().await;
    let (org, store) = (bench.case.org, bench.case.stores.component_store.clone());
    let stored = ok(store.add_version(org, bench.case.upload("lens", b"\0asm")).await);
    let id = stored.component.id;
    let row = format!("id {}", id.uuid().simple());
    for (column, broken_value, value) in [("latest_version", "-1", "1"), ("active_version", "4294967296", "NULL")] {
        broken(&mut bench, &format!("UPDATE components SET {column} = {broken_value}")).await;
        assert_corrupt(store.get_component(org, id).await, &format!("components.{column}"), &row);
        broken(&mut bench, &format!("UPDATE components SET {column} = {value}")).await;
    }
    broken(&mut bench, "UPDATE blobs SET bytes = x'00617364'").await;
    assert_corrupt(store.read_wasm(org, stored.version.digest).await, "blobs.bytes", &format!("digest \"{}\"", Digest::of(b"\0asm")));
    let row = format!("component_id {}, version 1", id.uuid().simple());
    // The last column that is read comes first, because those broken before stay so.
    for (column, value) in
        [("budget", "'{\"fuel\":-1}'"), ("granted", "'{\"everything\":true}'"), ("description", "'{}'"), ("digest", "'sha256:00'")]
    {
        broken(&mut bench, &format!("UPDATE component_versions SET {column} = {value}")).await;
        assert_corrupt(store.get_version(org, id, 1).await, &format!("component_versions.{column}"), &row);
        assert_corrupt(store.list_versions(org, id, FIRST_PAGE).await, &format!("component_versions.{column}"), &row);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_keys_and_values() {
    let mut bench = Bench::new().await;
    let stores = bench.case.stores.clone();
    let id = bench.case.id(crate::id::KeyId::from_uuid);
    let created_at = crate::store::contract::case::time(0);
    let key =
        ApiKey { id, org: bench.case.org, name: "key".to_owned(), scope: Scope::Read, member: None, secret_hash: [7; 32], created_at };
    ok(stores.org_store.add_key(key.clone()).await);
    let row = format!("id {}", id.uuid().simple());
    broken(&mut bench, "UPDATE api_keys SET scope = 'root'").await;
    assert_corrupt(stores.org_store.find_key(&key.secret_hash).await, "api_keys.scope", &row);
    broken(&mut bench, "UPDATE api_keys SET scope = 'read', secret_hash = x'07'").await;
    assert_corrupt(stores.org_store.list_keys(key.org).await, "api_keys.secret_hash", &row);
    let scope = bench.case.scope();
    ok(stores.kv.put(&scope, "a", Vec::new(), None).await);
    broken(&mut bench, "UPDATE kv SET version = -2").await;
    assert_corrupt(stores.kv.get(&scope, "a").await, "kv.version", "bucket \"main\", key 61");
    broken(&mut bench, "UPDATE kv SET key = x'ff'").await;
    assert_corrupt(stores.kv.keys(&scope, "", None, 10).await, "kv.key", "bucket \"main\", key ff");
}
