//! Computes forever without calling the host.

use everwit_guest::prelude::*;

/// Never returns.
#[tool(read_only)]
fn spin() -> Result<u64> {
    let mut state: u64 = 1;
    loop {
        state = std::hint::black_box(state.wrapping_mul(6_364_136_223_846_793_005));
    }
}

capability! { id: "spin", title: "Spin", summary: "Computes forever.", tools: [spin] }
