//! The smallest useful guest: one tool, no grants.

use everwit_guest::prelude::*;

/// Adds two numbers.
#[tool(read_only)]
fn add(
    /// First addend
    a: f64,
    /// Second addend
    b: f64,
) -> Result<f64> {
    Ok(a + b)
}

capability! { id: "minimal", title: "Minimal", summary: "Adds numbers.", tools: [add] }
