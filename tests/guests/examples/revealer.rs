//! Reads the value of a secret, and says what it learned of it.

use everwit_guest::prelude::*;
use everwit_guest::secrets;
use serde_json::{Value, json};

/// Reads the secret: its length, its bytes plus one, and itself.
#[tool(read_only)]
fn read() -> Result<Value> {
    let value = secrets::open("plain-key")?.reveal()?;
    let shifted: String = value.iter().map(|byte| char::from(byte + 1)).collect();
    Ok(json!({ "length": value.len(), "shifted": shifted, "value": String::from_utf8_lossy(&value) }))
}

/// Reads it so many times, and says how often that went well, and why not more often.
#[tool(read_only)]
fn read_often(times: u32) -> Result<Value> {
    let secret = secrets::open("plain-key")?;
    let outcomes: Vec<Result<Vec<u8>>> = (0..times).map(|_| secret.reveal()).collect();
    let refused = outcomes.iter().find_map(|outcome| outcome.as_ref().err()).map(ToString::to_string);
    Ok(json!({ "read": outcomes.iter().filter(|outcome| outcome.is_ok()).count(), "refused": refused }))
}

capability! { id: "revealer", title: "Revealer", summary: "Reads a secret.", tools: [read, read_often], permissions: {
secrets: [{ name: "plain-key", host: "upstream.test:80", place: "header:authorization", required: true }] } }
