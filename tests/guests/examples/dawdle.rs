//! Waits forever while it is instantiated, which costs no fuel.
#![expect(unsafe_code, reason = "the name of the function is what makes it run first")]

use everwit_guest::prelude::*;

mod bindings {
    wit_bindgen::generate!({
        inline: r#"
            package test:dawdle;
            world imports { import wasi:clocks/monotonic-clock@0.2.0; }
            package wasi:io@0.2.0 { interface poll { resource pollable { block: func(); } } }
            package wasi:clocks@0.2.0 {
                interface monotonic-clock {
                    use wasi:io/poll@0.2.0.{pollable};
                    subscribe-duration: func(when: u64) -> pollable;
                }
            }
        "#,
        generate_all,
    });
}

/// Is never reached.
#[tool(read_only)]
fn idle() -> Result<()> {
    Ok(())
}

// SAFETY: nothing else in the module has this name; the component's instantiation calls it.
#[unsafe(no_mangle)]
extern "C" fn _initialize() {
    bindings::wasi::clocks::monotonic_clock::subscribe_duration(u64::MAX).block();
}

capability! { id: "dawdle", title: "Dawdle", summary: "Never starts.", tools: [idle] }
