//! Ends without a result, with and without a message.

use everwit_guest::prelude::*;

/// Panics with a message.
#[tool(read_only)]
fn panic(
    /// The message, "deliberate" without it
    message: Option<String>,
) -> Result<()> {
    panic!("{}", message.as_deref().unwrap_or("deliberate"))
}

/// Panics by reading past the end of a list.
#[tool(read_only)]
fn overrun(index: usize) -> Result<u8> {
    Ok([1, 2, 3][index])
}

/// Traps without a message.
#[tool(read_only)]
fn trap() -> Result<()> {
    std::process::abort()
}

capability! { id: "panics", title: "Panics", summary: "Fails hard.", tools: [panic, overrun, trap] }
