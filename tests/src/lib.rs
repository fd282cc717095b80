//! What the tests in `tests/it`, the benchmarks and other programs share: stand-ins for model
//! vendors. Beside it lie the programs that the tests start.

pub mod vendor;

/// The code on the page for embedders, as documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../../docs/embedding.md")]
mod embedding {}
