//! Waiting between tries.

use std::time::Duration;

/// Waits after a store did not answer: about four seconds in all, enough for a database to fail
/// over, short enough for a turn to be left to the next start while the process still lives.
pub(crate) fn store_waits() -> impl Iterator<Item = Duration> + Send {
    doubling(Duration::from_millis(50), 6)
}

/// `count` waits, each twice as long as the one before.
pub(crate) fn doubling(first: Duration, count: u32) -> impl Iterator<Item = Duration> + Send {
    (0..count).map(move |try_number| first * 2u32.pow(try_number))
}
