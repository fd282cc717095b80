//! `everwit:host/log`: the component's log, kept with the call's outcome.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::capability::LogLine;
use crate::mutation::off;
use crate::sandbox::bindings::everwit::host::log;
use crate::sandbox::state::CallState;
use crate::sandbox::text::escape;
use crate::secret::{Scrubbed, Scrubber};

/// Bytes of a panic message that are kept.
const MAX_PANIC_BYTES: usize = 4 << 10;

/// The lines of one call, within its log budget. Shared with the call's standard output.
pub(in crate::sandbox) struct LogCapture {
    lines: Mutex<Lines>,
    limit: usize,
    /// Bytes written to standard output that the ledger has not charged yet.
    written: AtomicU64,
}

#[derive(Default)]
struct Lines {
    kept: Vec<LogLine>,
    /// Takes the values of secrets out of them.
    scrubbed: Scrubbed,
    bytes: usize,
    dropped_lines: u64,
    dropped_bytes: u64,
}

/// Bytes that a line costs beside its text, so that empty lines are not free.
const LINE_OVERHEAD_BYTES: usize = 32;

impl LogCapture {
    pub(in crate::sandbox) fn new(limit: u64) -> Self {
        Self { lines: Mutex::default(), limit: usize::try_from(limit).unwrap_or(usize::MAX), written: AtomicU64::new(0) }
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks for these secrets from now on.
    pub(in crate::sandbox) fn hide(&self, scrubber: &Arc<Scrubber>) {
        self.lines().scrubbed.hide(scrubber);
    }

    /// Keeps a line, or counts it as dropped.
    pub(in crate::sandbox) fn push(&self, level: &str, message: &str) {
        let mut lines = self.lines();
        let cost = message.len() + LINE_OVERHEAD_BYTES;
        if lines.bytes + cost > self.limit {
            lines.dropped_lines += 1;
            lines.dropped_bytes += message.len() as u64;
            return;
        }
        lines.bytes += cost;
        let message = escape(&lines.scrubbed.text_line(message), self.limit);
        lines.kept.push(LogLine { level: level.to_owned(), message });
    }

    pub(in crate::sandbox) fn add_written(&self, bytes: u64) {
        self.written.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(in crate::sandbox) fn take_written(&self) -> u64 {
        self.written.swap(0, Ordering::Relaxed)
    }

    /// The lines, and one more that says how much was dropped.
    pub(in crate::sandbox) fn take(&self) -> Vec<LogLine> {
        let mut lines = self.lines();
        let scrubbed = std::mem::take(&mut lines.scrubbed);
        let lines = std::mem::replace(&mut *lines, Lines { scrubbed, ..Lines::default() });
        let mut kept = lines.kept;
        if lines.dropped_lines > 0 {
            let message = format!(
                "{} further lines with {} bytes were dropped: a call may log {} bytes",
                lines.dropped_lines, lines.dropped_bytes, self.limit
            );
            kept.push(LogLine { level: "warn".to_owned(), message });
        }
        kept
    }
}

impl log::Host for CallState {
    async fn write(&mut self, level: log::Level, message: String, fields: Vec<(String, String)>) -> wasmtime::Result<()> {
        let bytes = message.len() + fields.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        self.enter(bytes).await?;
        let mut line = message;
        for (name, value) in fields {
            line.push_str(&format!(" {name}={value}"));
        }
        self.log.push(level_name(level), &line);
        self.leave(0)
    }

    async fn panicked(&mut self, message: String) -> wasmtime::Result<()> {
        self.enter(message.len()).await?;
        self.panic = Some(escape(&message, if off("guest.panic_bytes") { usize::MAX } else { MAX_PANIC_BYTES }));
        self.leave(0)
    }
}

fn level_name(level: log::Level) -> &'static str {
    match level {
        log::Level::Trace => "trace",
        log::Level::Debug => "debug",
        log::Level::Info => "info",
        log::Level::Warn => "warn",
        log::Level::Error => "error",
    }
}
