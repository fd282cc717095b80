//! Asks the host for more than it gives at once, without an SDK that would ask piece by piece.

use everwit_guest::prelude::*;

mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: r#"
            package test:greedy;
            world imports {
                import everwit:host/random@1.0.0;
                import everwit:kv/store@1.0.0;
                import everwit:files/store@1.0.0;
            }
        "#,
        generate_all,
    });
}

use bindings::everwit::{files::store as files, host::random, kv::store};

/// Takes random bytes, and says how many it got.
#[tool(read_only)]
fn draw(count: u32) -> Result<usize> {
    Ok(random::bytes(count).len())
}

/// Lists keys, and says how many there are.
#[tool(read_only)]
fn list(limit: u32) -> Result<usize> {
    store::keys("greedy", "", None, limit)
        .map(|keys| keys.len())
        .map_err(|fault| Failure::internal("kv", format!("{fault:?}")))
}

/// Lists files, and says how many there are.
#[tool(read_only)]
fn entries(limit: u32) -> Result<usize> {
    files::entries("/", false, None, limit)
        .map(|page| page.entries.len())
        .map_err(|fault| Failure::internal("files", format!("{fault:?}")))
}

capability! { id: "greedy", title: "Greedy", summary: "Asks for much.", tools: [draw, list, entries], permissions: { kv: ["greedy"], files: "read" } }
