//! Fetches from this machine, at a port that tests put into its place.

use everwit_guest::http;
use everwit_guest::prelude::*;
use serde_json::{Value, json};

/// Posts a text to a URL, if there is one, or gets it, and returns what comes back.
#[tool(open_world)]
fn exchange(url: &str, text: Option<String>) -> Result<Value> {
    let request = match text {
        Some(text) => http::post(url).body(text.into_bytes()),
        None => http::get(url),
    };
    let response = request.send()?;
    let (status, cookie) = (response.status(), response.header("set-cookie").is_some());
    Ok(json!({ "status": status, "cookie": cookie, "bytes": response.bytes()? }))
}

capability! {
    id: "fetcher-local",
    title: "Fetcher",
    summary: "Fetches from this machine.",
    tools: [exchange],
    permissions: { http: [{ host: "localhost:65535", methods: ["GET", "POST"], reason: "Tests" }] },
}
