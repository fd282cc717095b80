//! What `everwit conformance` asks for, as an author writes it in Rust.

use std::time::Duration;

use everwit_guest::{call, clock, files, http, kv, log, prelude::*, random};
use serde_json::{Value, json};

/// Returns its argument.
#[tool(read_only)]
fn echo(value: Value) -> Result<Value> {
    Ok(json!({ "value": value }))
}

/// Measures a text.
#[tool(read_only)]
fn measure(text: &str) -> Result<Value> {
    Ok(json!({ "bytes": text.len() }))
}

/// Returns a long text.
#[tool(read_only)]
fn repeat(bytes: usize) -> Result<String> {
    Ok("x".repeat(bytes))
}

/// Fails as expected.
#[tool(read_only)]
fn fail() -> Result<()> {
    Err(Failure::not_found("no_such_thing", "there is no such thing")
        .retryable(true)
        .after(Duration::from_millis(1500)))
}

/// Fails as nobody expects.
#[tool(read_only)]
fn crash() -> Result<()> {
    panic!("on purpose")
}

/// Never ends.
#[tool(read_only)]
fn spin() -> Result<()> {
    loop {
        std::hint::spin_loop();
    }
}

/// Waits until it should stop.
#[tool(read_only)]
fn wait() -> Result<String> {
    loop {
        match call::progress(1, Some(3), Some("waiting")).err().or_else(call::stopped) {
            Some(call::Stop::Cancelled) => return Ok("cancelled".into()),
            Some(call::Stop::Deadline) => return Ok("deadline".into()),
            None => {}
        }
    }
}

/// Says two things, one at once.
#[tool(read_only)]
fn stream() -> Result<String> {
    call::emit([Part::Text("one".into())])?;
    Ok("two".into())
}

/// Remembers a value, and returns the one before.
#[tool(idempotent)]
fn remember(value: Value) -> Result<Value> {
    let notes = kv::bucket("notes");
    let before = notes.get_json::<Value>("last")?.map(|entry| entry.value);
    notes.put_json("last", &value, kv::Expect::Any)?;
    Ok(json!({ "before": before }))
}

/// Notes a text in a file, and returns the one before.
#[tool(destructive)]
fn note(text: &str) -> Result<Value> {
    let path = "/notes/last.txt";
    let before = files::stat(path)?.map(|_| files::read_text(path)).transpose()?;
    files::write(path, text, files::Expect::Any)?;
    Ok(json!({ "before": before }))
}

/// Fetches a page.
#[tool(read_only, open_world)]
fn fetch(path: &str) -> Result<Value> {
    let answer = http::get(format!("http://conformance.test{path}")).send()?;
    Ok(json!({ "status": answer.status(), "body": answer.text()? }))
}

/// Looks for variables. The target has no arguments, and nothing that would list variables.
#[tool(read_only)]
fn environment(names: Vec<String>) -> Result<Value> {
    let found: Vec<String> = names.into_iter().filter(|name| std::env::var_os(name).is_some()).collect();
    Ok(json!({ "found": found, "arguments": 0 }))
}

/// Draws a number and tells the time.
#[tool(read_only)]
fn chance() -> Result<Value> {
    Ok(json!({ "number": random::number() as f64, "now_ms": clock::now_ms() }))
}

/// Logs a warning.
#[tool(read_only, name = "log")]
fn log_it() -> Result<String> {
    log::warn("a warning");
    Ok("logged".into())
}

capability! {
    id: "conformance-rust", title: "Conformance", summary: "Does what a conformance check asks for.",
    tools: [echo, measure, repeat, fail, crash, spin, wait, stream, remember, note, fetch, environment, chance, log_it],
    permissions: { http: [{ host: "conformance.test:80", reason: "The check's own server" }], kv: ["notes"], files: "write" }
}
