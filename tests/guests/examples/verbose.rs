//! Returns, or emits, far too much.

use everwit_guest::call;
use everwit_guest::prelude::*;

/// Bytes of an output if the arguments do not say.
const BYTES: usize = 64 * 1024 * 1024;

/// Returns one large text.
#[tool(read_only)]
fn answer(
    /// Length of the text, 64 MiB without it
    bytes: Option<usize>,
) -> Result<String> {
    Ok("x".repeat(bytes.unwrap_or(BYTES)))
}

/// Emits large texts, and says how many of them were taken.
#[tool(read_only)]
fn emit(
    /// Length of each text
    bytes: usize,
    /// How many
    times: u32,
) -> Result<u32> {
    let text = "x".repeat(bytes);
    for done in 0..times {
        if call::emit([Part::Text(text.clone())]).is_err() {
            return Ok(done);
        }
    }
    Ok(times)
}

capability! { id: "verbose", title: "Verbose", summary: "Says too much.", tools: [answer, emit] }
