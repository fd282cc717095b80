//! The client that the tests of the server use.

#[expect(dead_code, reason = "it is shared with tests that need more of it")]
#[path = "../../../../../tests/tests/it/support/api.rs"]
mod api;
#[path = "../../../../../tests/tests/it/support/interrupted.rs"]
pub(crate) mod interrupted;
#[path = "../../../../../tests/tests/it/support/port.rs"]
pub(crate) mod port;
#[path = "../../../../../tests/tests/it/support/random.rs"]
pub(crate) mod random;
#[expect(dead_code, reason = "likewise")]
#[path = "../../../../../tests/tests/it/support/s3.rs"]
pub(crate) mod s3;
#[expect(dead_code, reason = "likewise")]
#[path = "../../../../../tests/tests/it/support/sse.rs"]
mod sse;

pub(crate) use api::Api;
pub(crate) use sse::{EventStream, Frame};

/// Where the repository and what is built of it are.
mod guests {
    use std::path::Path;

    pub(crate) fn root() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3).expect("the crate lies in the repository")
    }

    pub(crate) fn target() -> &'static Path {
        Path::new(env!("CARGO_BIN_EXE_everwit")).ancestors().nth(3).expect("the target directory")
    }
}

/// A test guest that `cargo xtask components` has built.
pub(crate) fn guest(name: &str) -> Vec<u8> {
    let path = guests::target().join(format!("test-guests/{name}.wasm"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; `cargo xtask components` builds it", path.display()))
}
