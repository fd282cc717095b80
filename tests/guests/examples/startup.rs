//! Works forever while it is instantiated, before any export is called.

#![expect(unsafe_code, reason = "the name of the function is what makes it run first")]

use everwit_guest::prelude::*;

/// Is never reached.
#[tool(read_only)]
fn idle() -> Result<()> {
    Ok(())
}

// SAFETY: nothing else in the module has this name; the component's instantiation calls it.
#[unsafe(no_mangle)]
extern "C" fn _initialize() {
    let mut state: u64 = 1;
    loop {
        state = std::hint::black_box(state.wrapping_mul(6_364_136_223_846_793_005));
    }
}

capability! { id: "startup", title: "Startup", summary: "Never starts.", tools: [idle] }
