//! Nothing but the tests in `tests/it`, the benchmarks, and the programs that they start.

/// The code on the page for embedders, as documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../../docs/embedding.md")]
mod embedding {}
