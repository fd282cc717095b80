//! Waits for a server, and reports what came of a request.

use std::collections::BTreeMap;

use everwit_guest::prelude::*;
use everwit_guest::{http, secrets};
use serde_json::{Value, json};

/// Fetches a URL and returns status, headers and body, or the fault.
#[tool(open_world)]
fn get(
    /// Absolute URL
    url: &str,
    /// Header fields to send
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// Method, GET without it
    method: Option<String>,
    /// Name of a secret whose token replaces `$secret` in the URL and in header values
    secret: Option<String>,
) -> Result<Value> {
    let token = secret.map(|name| Ok::<_, Failure>(secrets::open(&name)?.token()));
    let token = token.transpose()?.unwrap_or_default();
    let mut request = http::request(method.as_deref().unwrap_or("GET"), url.replace("$secret", &token));
    for (name, value) in headers {
        request = request.header(name, value.replace("$secret", &token));
    }
    let answer = request.send().and_then(|response| {
        let (status, headers) = (response.status(), response.headers().to_vec());
        Ok(json!({"status": status, "headers": headers, "body": response.text()?}))
    });
    Ok(answer.unwrap_or_else(
        |fault| json!({"fault": fault.kind, "message": fault.message, "request_sent": fault.request_sent}),
    ))
}

capability! { id: "sleeper", title: "Sleeper", summary: "Waits for servers.", tools: [get], permissions: {
http: [{ host: "upstream.test", methods: ["GET", "POST"], reason: "Tests" }, { host: "*.wild.test", reason: "Tests" },
    { host: "localhost", reason: "Tests" }, { host: "127.0.0.1", reason: "Tests" }],
secrets: [{ name: "upstream-key", host: "upstream.test", place: "header:authorization", required: false },
    { name: "plain-key", host: "upstream.test:80", place: "header:authorization", required: false },
    { name: "query-key", host: "upstream.test:80", place: "query:key", required: false },
    { name: "unbound-key", host: "upstream.test:80", place: "query:key", required: false }] } }
