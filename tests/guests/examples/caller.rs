//! Calls other tools, also those that it must not call.

use everwit_guest::prelude::*;
use everwit_guest::tools;
use serde_json::{Value, json};

/// Calls a tool again and again, and returns what the last call gave.
fn pass(name: &str, arguments: Option<Value>, times: Option<u32>) -> Result<Value> {
    let arguments = arguments.unwrap_or_else(|| json!({}));
    for _ in 1..times.unwrap_or(1) {
        tools::call(name, &arguments).map(drop)?;
    }
    let output = tools::call(name, &arguments)?;
    let parts = output.parts().iter().map(|part| match part {
        Part::Text(text) => text.clone(),
        other => format!("{other:?}"),
    });
    let structured = output.as_structured().map(|json| serde_json::from_str::<Value>(json.as_str())).transpose()?;
    Ok(json!({"parts": parts.collect::<Vec<_>>(), "structured": structured}))
}

/// Calls a tool, and changes nothing itself.
#[tool(read_only)]
fn look(name: &str, arguments: Option<Value>, times: Option<u32>) -> Result<Value> {
    pass(name, arguments, times)
}

/// Calls a tool, and can be repeated.
#[tool(idempotent)]
fn repeat(name: &str, arguments: Option<Value>) -> Result<Value> {
    pass(name, arguments, None)
}

/// Calls a tool, and must not be repeated.
#[tool]
fn once(name: &str, arguments: Option<Value>) -> Result<Value> {
    pass(name, arguments, None)
}

/// Calls a tool, and may destroy.
#[tool(destructive)]
fn wreck(name: &str, arguments: Option<Value>) -> Result<Value> {
    pass(name, arguments, None)
}

/// Calls itself so often, each call within the one before.
#[tool(read_only)]
fn dive(depth: u32) -> Result<u32> {
    if depth == 0 {
        return Ok(0);
    }
    Ok(tools::call_as::<u32>("caller/dive", &json!({"depth": depth - 1}))? + 1)
}

/// Takes what a call fails with for a result.
#[tool(read_only)]
fn attempt(name: &str, arguments: Option<Value>) -> Result<String> {
    Ok(match tools::call(name, &arguments.unwrap_or_else(|| json!({}))) {
        Ok(_) => "it was called".into(),
        Err(fault) => format!("{fault:?}"),
    })
}

capability! {
    id: "caller", title: "Caller", summary: "Calls other tools.", tools: [look, repeat, once, wreck, dive, attempt],
    permissions: { tools: ["caller/dive", "echo/echo", "echo/wait", "counter/put", "counter/get", "filer/read", "spin/spin",
        "desk/read", "desk/again", "desk/once", "desk/wreck", "desk/fail", "desk/large", "desk/panic", "desk/connect", "desk/wait", "desk/gated",
        "desk/asked", "elsewhere/tool", "desk/picture"] }
}
