//! Fetches again and again.

use everwit_guest::http;
use everwit_guest::prelude::*;
use serde_json::{Value, json};

/// Fetches a URL as often as asked, and tells what came last.
#[tool(open_world)]
fn fetch(url: &str, times: Option<u32>) -> Result<Value> {
    for _ in 1..times.unwrap_or(1) {
        http::get(url).send()?.bytes()?;
    }
    let response = http::get(url).send()?;
    let (status, wait) = (response.status(), response.retry_after().map(|wait| wait.as_millis()));
    Ok(json!({"status": status, "retry_after_ms": wait, "bytes": response.bytes()?.len()}))
}

capability! { id: "fetcher", title: "Fetcher", summary: "Fetches.", tools: [fetch], permissions: { http: [{ host: "a.test:80", reason: "Tests" }, { host: "127.0.0.1:65535", reason: "Soaks" }] } }
