//! The same through WASI: randomness, output and time.

use everwit_guest::prelude::*;

mod bindings {
    wit_bindgen::generate!({
        inline: r#"
            package test:wasi-greedy;
            world imports {
                import wasi:random/random@0.2.0;
                import wasi:clocks/monotonic-clock@0.2.0;
                import wasi:cli/stdout@0.2.0;
            }
            package wasi:random@0.2.0 { interface random { get-random-bytes: func(len: u64) -> list<u8>; } }
            package wasi:clocks@0.2.0 { interface monotonic-clock { now: func() -> u64; } }
            package wasi:io@0.2.0 {
                interface error { resource error; }
                interface streams {
                    use error.{error};
                    variant stream-error { last-operation-failed(error), closed }
                    resource output-stream {
                        check-write: func() -> result<u64, stream-error>;
                        write: func(contents: list<u8>) -> result<_, stream-error>;
                    }
                }
            }
            package wasi:cli@0.2.0 {
                interface stdout { use wasi:io/streams@0.2.0.{output-stream}; get-stdout: func() -> output-stream; }
            }
        "#,
        generate_all,
    });
}

use bindings::wasi::{cli::stdout, clocks::monotonic_clock, random::random};

/// Takes random bytes, and says how many it got.
#[tool(read_only)]
fn draw(count: u64) -> Result<usize> {
    Ok(random::get_random_bytes(count).len())
}

/// Writes that many bytes at once, as often as asked, and says how many may be written.
#[tool(read_only)]
fn print(bytes: usize, times: u32) -> Result<u64> {
    let stream = stdout::get_stdout();
    for _ in 0..times {
        stream.check_write().map_err(|fault| Failure::internal("write", format!("{fault:?}")))?;
        stream.write(&vec![b'x'; bytes]).map_err(|fault| Failure::internal("write", format!("{fault:?}")))?;
    }
    stream.check_write().map_err(|fault| Failure::internal("write", format!("{fault:?}")))
}

/// Writes each piece by itself.
#[tool(read_only)]
fn pieces(pieces: Vec<String>) -> Result<()> {
    let stream = stdout::get_stdout();
    pieces.iter().try_for_each(|piece| {
        stream.write(piece.as_bytes()).map_err(|fault| Failure::internal("write", format!("{fault:?}")))
    })
}

/// Looks at the clock often, and says by how much its readings differ from whole milliseconds.
#[tool(read_only)]
fn look(times: u32) -> Result<u64> {
    Ok((0..times).map(|_| monotonic_clock::now() % 1_000_000).max().unwrap_or(0))
}

capability! { id: "wasi-greedy", title: "Greedy", summary: "Asks for much.", tools: [draw, print, pieces, look] }
