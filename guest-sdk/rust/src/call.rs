//! The call now running: its time, whether to stop, progress and partial output.

use core::fmt;
use core::time::Duration;

use crate::bindings::everwit::host::call as wit;
use crate::{Failure, Part, host};

/// Longest note of [`progress`] that the contract allows, in bytes.
const NOTE_BYTES: usize = 1024;

/// Why a tool should stop. With `?` it becomes the tool's failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Somebody cancelled the turn.
    Cancelled,
    /// The call's wall-clock limit is near.
    Deadline,
}

/// Wall-clock time left for this call, in steps of 1 ms.
pub fn remaining() -> Duration {
    Duration::from_millis(host::call::remaining_ms())
}

/// Whether to stop, for long loops. Calls to the host that wait return early by themselves,
/// and the host ends the call at its limit in any case.
pub fn stopped() -> Option<Stop> {
    host::call::stopped().map(Stop::from)
}

/// Reports that `done` of `total` is done, in units of the tool's choice. The note is cut
/// to 1 KiB.
///
/// # Errors
/// If the tool should stop.
pub fn progress(done: u64, total: Option<u64>, note: Option<&str>) -> Result<(), Stop> {
    let note = note.map(|note| &note[..note.floor_char_boundary(NOTE_BYTES)]);
    host::call::progress(done, total, note).map_err(Stop::from)
}

/// Emits partial output at once, in addition to what the tool returns. It counts against the
/// call's output limit.
///
/// # Errors
/// If the tool should stop.
pub fn emit(parts: impl IntoIterator<Item = Part>) -> Result<(), Stop> {
    let parts: Vec<_> = parts.into_iter().map(Into::into).collect();
    host::call::emit(&parts).map_err(Stop::from)
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stop::Cancelled => "the turn was cancelled",
            Stop::Deadline => "the call's time is over",
        })
    }
}

impl From<wit::Stop> for Stop {
    fn from(stop: wit::Stop) -> Self {
        match stop {
            wit::Stop::Cancelled => Stop::Cancelled,
            wit::Stop::Deadline => Stop::Deadline,
        }
    }
}

impl From<Stop> for Failure {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Cancelled => Failure::new("cancelled", "cancelled", stop.to_string()),
            Stop::Deadline => Failure::timeout("deadline", stop.to_string()),
        }
    }
}
