//! Nothing but the tests in `tests/it`, the benchmarks, and the programs that they start.
