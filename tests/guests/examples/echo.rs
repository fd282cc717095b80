//! Shows what arrives, and uses what a call offers.

use std::time::Duration;

use everwit_guest::{call, prelude::*};
use serde_json::{Value, json};

/// Returns its argument and the context.
#[tool(read_only)]
fn echo(ctx: &Context, value: Value) -> Result<Value> {
    Ok(json!({"value": value, "context": {"org": ctx.org(), "session": ctx.session(), "turn": ctx.turn(),
        "idempotency_key": ctx.idempotency_key(), "config": ctx.config::<Value>()?, "locale": ctx.locale()}}))
}

/// Fails as asked.
#[tool(read_only)]
fn fail(kind: String, code: &str, message: &str, retryable: bool, retry_after_ms: Option<u64>) -> Result<()> {
    let failure = Failure::new(kind, code, message).retryable(retryable);
    Err(retry_after_ms.map_or(failure.clone(), |ms| failure.after(Duration::from_millis(ms))))
}

/// Reports progress until it is asked to stop, and returns the reason; or until `steps` are done.
#[tool(read_only)]
fn wait(steps: Option<u64>, note: Option<String>) -> Result<String> {
    let note = note.as_deref().unwrap_or("waiting");
    for step in 0..steps.unwrap_or(u64::MAX) {
        if let Some(stop) = call::stopped().or(call::progress(step, steps, Some(note)).err()) {
            return Ok(stop.to_string());
        }
    }
    Ok("done".into())
}

/// Emits each text, then returns how many there were.
#[tool(read_only)]
fn emit(texts: Vec<String>) -> Result<usize> {
    texts.iter().try_for_each(|text| call::emit([Part::Text(text.clone())]))?;
    Ok(texts.len())
}

capability! { id: "echo", title: "Echo", summary: "Shows what arrives.", tools: [echo, fail, wait, emit] }
