//! The component's log. A call may log 64 KiB; what is beyond is counted and dropped.
//!
//! ```no_run
//! use everwit_guest::log;
//!
//! let rows = 12;
//! log::info(format_args!("read {rows} rows"));
//! log::write(log::Level::Warn, "slow answer", &[("host", &"example.com"), ("ms", &950)]);
//! ```

use core::fmt::Display;

use crate::bindings::everwit::host::log as wit;
use crate::host;

/// Severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Every step.
    Trace,
    /// For whoever develops the capability.
    Debug,
    /// What happened.
    Info,
    /// Something is odd, and the call goes on.
    Warn,
    /// Something failed.
    Error,
}

/// Writes one line at level trace.
pub fn trace(message: impl Display) {
    write(Level::Trace, message, &[]);
}

/// Writes one line at level debug.
pub fn debug(message: impl Display) {
    write(Level::Debug, message, &[]);
}

/// Writes one line at level info.
pub fn info(message: impl Display) {
    write(Level::Info, message, &[]);
}

/// Writes one line at level warn.
pub fn warn(message: impl Display) {
    write(Level::Warn, message, &[]);
}

/// Writes one line at level error.
pub fn error(message: impl Display) {
    write(Level::Error, message, &[]);
}

/// Writes one line with fields.
pub fn write(level: Level, message: impl Display, fields: &[(&str, &dyn Display)]) {
    let fields: Vec<_> = fields.iter().map(|(name, value)| ((*name).to_owned(), value.to_string())).collect();
    host::log::write(level.into(), &message.to_string(), &fields);
}

impl From<Level> for wit::Level {
    fn from(level: Level) -> Self {
        match level {
            Level::Trace => wit::Level::Trace,
            Level::Debug => wit::Level::Debug,
            Level::Info => wit::Level::Info,
            Level::Warn => wit::Level::Warn,
            Level::Error => wit::Level::Error,
        }
    }
}
