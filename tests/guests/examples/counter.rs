//! Remembers values between calls.

use everwit_guest::kv::{self, Expect, Fault};
use everwit_guest::prelude::*;
use serde_json::{Value, json};

/// Reads a key.
#[tool(read_only)]
fn get(bucket: Option<String>, key: &str) -> Result<Value, Fault> {
    let entry = open(bucket).get(key)?;
    Ok(entry
        .map_or(Value::Null, |entry| json!({"value": String::from_utf8_lossy(&entry.value), "version": entry.version})))
}

/// Writes a key, and returns its new version.
#[tool(destructive)]
fn put(bucket: Option<String>, key: &str, value: &str, expected: Option<u64>) -> Result<u64, Fault> {
    open(bucket).put(key, value, expect(expected))
}

/// Removes a key.
#[tool(destructive)]
fn remove(bucket: Option<String>, key: &str, expected: Option<u64>) -> Result<(), Fault> {
    open(bucket).remove(key, expect(expected))
}

/// Lists keys.
#[tool(read_only)]
fn keys(bucket: Option<String>, #[serde(default)] prefix: String) -> Result<Vec<String>, Fault> {
    open(bucket).keys(prefix).collect()
}
fn open(bucket: Option<String>) -> kv::Bucket {
    kv::bucket(bucket.unwrap_or("counter".into()))
}
fn expect(version: Option<u64>) -> Expect {
    version.map_or(Expect::Any, |version| if version == 0 { Expect::Absent } else { Expect::Version(version) })
}

capability! { id: "counter", title: "Counter", summary: "Remembers.", tools: [get, put, remove, keys], permissions: { kv: ["counter"] } }
