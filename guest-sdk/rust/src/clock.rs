//! Time, with a resolution of 1 ms. The standard library's own clocks trap on this target.

use core::time::Duration;
use std::time::SystemTime;

use crate::host;

/// Milliseconds since the Unix epoch, UTC.
pub fn now_ms() -> u64 {
    host::clock::now_ms()
}

/// The time now, as the standard library's type; only its arithmetic works in a guest.
pub fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(now_ms())
}

/// Time since an arbitrary point; never goes back. Subtract two of them.
pub fn monotonic() -> Duration {
    Duration::from_millis(host::clock::monotonic_ms())
}
