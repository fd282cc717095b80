//! Takes handles of the host and gives none back.

use everwit_guest::prelude::*;

/// As much of WASI as there is a handle in.
mod bindings {
    wit_bindgen::generate!({
        inline: r#"
            package test:hoarder;
            world imports {
                import wasi:clocks/monotonic-clock@0.2.0;
            }
            package wasi:io@0.2.0 {
                interface poll {
                    resource pollable;
                }
            }
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

/// Takes `count` handles, and says how many it holds at the end.
#[tool(read_only)]
fn hoard(count: usize) -> Result<usize> {
    let held: Vec<_> = (0..count).map(|_| bindings::wasi::clocks::monotonic_clock::subscribe_duration(1)).collect();
    Ok(held.len())
}

capability! { id: "hoarder", title: "Hoarder", summary: "Holds handles.", tools: [hoard] }
