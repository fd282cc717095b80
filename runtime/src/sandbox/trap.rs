//! From an engine error to a typed stop.

use std::fmt;

use wasmtime::{Trap, WasmBacktrace};

use super::state::CallState;
use super::text::escape;
use crate::capability::{StopKind, Stopped};
use crate::limits::Budget;
use crate::mutation::off;

/// Frames of a backtrace that are kept.
const MAX_FRAMES: usize = 16;
/// Bytes of a function name that are kept.
const MAX_NAME_BYTES: usize = 120;
/// Bytes of an error message that are kept.
const MAX_MESSAGE_BYTES: usize = 1_024;

/// A stop that the host decided on inside an import; travels through the guest as a trap.
#[derive(Debug, Clone)]
pub(super) struct Stop {
    kind: StopKind,
    message: String,
}

impl Stop {
    pub(super) fn new(kind: StopKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    pub(super) fn into_parts(self) -> (StopKind, String) {
        (self.kind, self.message)
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Stop {}

/// Says which limit or defect `error` is, in words for the component's author.
pub(super) fn classify(error: &wasmtime::Error, state: &CallState, budget: &Budget) -> Stopped {
    let backtrace = backtrace(error);
    let (kind, message) = if let Some(stop) = error.downcast_ref::<Stop>() {
        (stop.kind, stop.message.clone())
    } else if let Some(trap) = error.downcast_ref::<Trap>() {
        of_trap(*trap, state, budget)
    } else {
        of_message(&format!("{error:#}"), !backtrace.is_empty(), state, budget)
    };
    Stopped { backtrace, ..Stopped::new(kind, message) }
}

fn of_trap(trap: Trap, state: &CallState, budget: &Budget) -> (StopKind, String) {
    match trap {
        Trap::OutOfFuel => (StopKind::Fuel, format!("used up its fuel limit of {}", budget.fuel)),
        Trap::StackOverflow => (StopKind::Stack, "recursion used up the stack of 512 KiB".to_owned()),
        _ if state.limiter.refused() => out_of_memory(budget),
        _ => match &state.panic {
            Some(message) => (StopKind::Panic, message.clone()),
            None => (StopKind::Trap, trap.to_string()),
        },
    }
}

/// Errors that the engine has no public type for.
fn of_message(text: &str, in_guest: bool, state: &CallState, budget: &Budget) -> (StopKind, String) {
    if text.contains("fuel allocated for hostcalls has been exhausted") {
        // With the guest on the stack it was calling an import; without, it had returned.
        return if in_guest {
            (StopKind::HostBytes, format!("one host call was to copy more than {} bytes", budget.host_call_bytes))
        } else {
            (StopKind::Output, format!("the result is larger than {} bytes", budget.output_bytes))
        };
    }
    if text.contains("memory minimum size") || text.contains("table minimum size") || text.contains("exceeds memory limits") {
        return out_of_memory(budget);
    }
    if text.contains("resource limit exceeded") || text.contains("handle limit exceeded") || text.contains("resource table") {
        return (StopKind::Resources, escape(text, MAX_MESSAGE_BYTES));
    }
    if text.contains("maximum concurrent") {
        return (StopKind::Busy, "too many calls at once; try again".to_owned());
    }
    if let Some(message) = &state.panic {
        return (StopKind::Panic, message.clone());
    }
    if state.limiter.refused() {
        return out_of_memory(budget);
    }
    (StopKind::Trap, escape(text, MAX_MESSAGE_BYTES))
}

fn out_of_memory(budget: &Budget) -> (StopKind, String) {
    (StopKind::Memory, format!("its memories and tables together were to exceed {} bytes", budget.memory_bytes))
}

fn backtrace(error: &wasmtime::Error) -> Vec<String> {
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else { return Vec::new() };
    let name = |frame: &wasmtime::FrameInfo| match frame.func_name() {
        Some(name) => escape(name, MAX_NAME_BYTES),
        None => format!("function {}", frame.func_index()),
    };
    let most = if off("guest.backtrace_frames") { usize::MAX } else { MAX_FRAMES };
    backtrace.frames().iter().take(most).map(name).collect()
}
