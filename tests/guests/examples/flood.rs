//! Calls the host forever.

use everwit_guest::prelude::*;
use everwit_guest::{clock, random};

/// Asks for the time, endlessly.
#[tool(read_only)]
fn flood() -> Result<u64> {
    loop {
        std::hint::black_box(clock::now_ms());
    }
}

/// Asks for random bytes, endlessly, the most that one call may ask for.
#[tool(read_only)]
fn drain() -> Result<u64> {
    let mut buffer = vec![0; 65_536];
    loop {
        random::fill(std::hint::black_box(&mut buffer));
    }
}

capability! { id: "flood", title: "Flood", summary: "Calls the host forever.", tools: [flood, drain] }
