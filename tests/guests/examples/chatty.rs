//! Floods the log.

use everwit_guest::log;
use everwit_guest::prelude::*;

/// Writes log lines.
#[tool(read_only)]
fn chat(
    /// How many; endlessly many without it
    lines: Option<u64>,
    /// Bytes of each line's message
    bytes: Option<usize>,
    /// Fields of each line
    fields: Option<usize>,
) -> Result<u64> {
    let message = "x".repeat(bytes.unwrap_or(1000));
    let fields = vec![("field", &"value" as &dyn std::fmt::Display); fields.unwrap_or(0)];
    let lines = lines.unwrap_or(u64::MAX);
    for _ in 0..lines {
        log::write(log::Level::Info, &message, &fields);
    }
    Ok(lines)
}

capability! { id: "chatty", title: "Chatty", summary: "Floods the log.", tools: [chat] }
