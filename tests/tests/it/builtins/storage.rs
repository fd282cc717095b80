//! `session_storage`.

use everwit_runtime::SessionStorageCapability;
use everwit_runtime::capability::ToolCallContext;
use everwit_runtime::id::SessionId;
use everwit_runtime::limits::MAX_KV_VALUE_BYTES;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Bench;

#[tokio::test]
async fn values_are_kept_for_their_session() {
    let storage = Bench::new(SessionStorageCapability);
    let set = |key: &str, value: &str| json!({ "operation": "set", "key": key, "value": value });
    let get = |key: &str| json!({ "operation": "get", "key": key });
    assert_eq!(storage.ok("kv_store", set("a", "1")).await["success"], true);
    storage.ok("kv_store", set("a", "2")).await;
    storage.ok("kv_store", set("ü", "3")).await;
    let read = storage.ok("kv_store", get("a")).await;
    assert_eq!((&read["value"], &read["found"]), (&json!("2"), &json!(true)));
    let list = storage.ok("kv_store", json!({ "operation": "list" })).await;
    assert_eq!((&list["keys"], &list["count"], &list["note"]), (&json!(["a", "ü"]), &json!(2), &Value::Null));

    let session_id = SessionId::from_uuid(Uuid::from_u128(99));
    let other = Bench { capability: SessionStorageCapability, call: ToolCallContext { session_id, ..storage.call.clone() } };
    assert_eq!(other.ok("kv_store", get("a")).await["found"], false);
    assert_eq!(other.ok("kv_store", json!({ "operation": "list" })).await["count"], 0);

    assert_eq!(storage.ok("kv_store", json!({ "operation": "delete", "key": "a" })).await["deleted"], true);
    assert_eq!(storage.ok("kv_store", json!({ "operation": "delete", "key": "a" })).await["deleted"], false);
    assert_eq!(storage.ok("kv_store", get("a")).await["value"], Value::Null);
}

#[tokio::test]
async fn what_is_missing_or_too_large_is_refused() {
    let storage = Bench::new(SessionStorageCapability);
    storage.refuses("kv_store", json!({ "operation": "get" }), "missing_argument", &["\"key\""]).await;
    storage.refuses("kv_store", json!({ "operation": "set", "key": "a" }), "missing_argument", &["\"value\""]).await;
    let large = "x".repeat(MAX_KV_VALUE_BYTES + 1);
    storage.refuses("kv_store", json!({ "operation": "set", "key": "a", "value": large }), "limit", &["at most"]).await;
    let long = "ü".repeat(200);
    storage.refuses("kv_store", json!({ "operation": "set", "key": long, "value": "" }), "key_too_long", &["400 bytes"]).await;
}

#[tokio::test]
async fn many_long_keys_are_listed_in_parts() {
    let storage = Bench::new(SessionStorageCapability);
    let key = |number: usize| format!("{number:04}{}", "x".repeat(240));
    for number in 0..300 {
        storage.ok("kv_store", json!({ "operation": "set", "key": key(number), "value": "" })).await;
    }
    let first = storage.ok("kv_store", json!({ "operation": "list" })).await;
    let last = first["keys"].as_array().and_then(|keys| keys.last()).expect("a key").clone();
    assert!(first["note"].as_str().is_some_and(|note| note.contains("after=")), "{}", first["note"]);
    let rest = storage.ok("kv_store", json!({ "operation": "list", "after": last })).await;
    let count = |list: &Value| list["count"].as_u64().expect("a number");
    assert_eq!((count(&first) + count(&rest), &rest["note"]), (300, &Value::Null));
}
