//! `everwit:host/log`: the component's log, kept with the call's outcome.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::capability::LogLine;
use crate::mutation::off;
use crate::sandbox::bindings::everwit::host::log;
use crate::sandbox::state::CallState;
use crate::sandbox::text::escape;
use crate::secret::{Scrubbed, Scrubber};

/// Bytes of a line of standard output that is not ended yet; there it is cut.
const MAX_OPEN_BYTES: usize = 4 << 10;
/// Bytes of a panic message that are kept.
const MAX_PANIC_BYTES: usize = 4 << 10;

/// The lines of one call, within its log budget. Shared with the call's standard output.
pub(in crate::sandbox) struct LogCapture {
    lines: Mutex<Lines>,
    limit: usize,
    /// Bytes written to standard output that the ledger has not charged yet.
    written: AtomicU64,
}

/// Standard output or error. Each is written in pieces, which are lines of the log once they end.
#[derive(Debug, Clone, Copy)]
pub(in crate::sandbox) enum Stream {
    Output,
    Error,
}

impl Stream {
    const ALL: [Self; 2] = [Self::Output, Self::Error];

    fn level(self) -> &'static str {
        match self {
            Self::Output => "info",
            Self::Error => "warn",
        }
    }
}

#[derive(Default)]
struct Lines {
    kept: Vec<LogLine>,
    /// What was written to each [`Stream`] since its last end of line.
    open: [Vec<u8>; 2],
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
        self.lines().push(level, message, self.limit);
    }

    /// Takes what was written to a stream: each line as soon as it ends, or has become too long.
    pub(in crate::sandbox) fn write(&self, stream: Stream, bytes: &[u8]) {
        self.written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let mut lines = self.lines();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            lines.append(stream, piece, self.limit);
        }
    }

    pub(in crate::sandbox) fn take_written(&self) -> u64 {
        self.written.swap(0, Ordering::Relaxed)
    }

    /// The lines, and one more that says how much was dropped.
    pub(in crate::sandbox) fn take(&self) -> Vec<LogLine> {
        let mut lines = self.lines();
        for stream in Stream::ALL {
            lines.end(stream, self.limit);
        }
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

impl Lines {
    fn push(&mut self, level: &str, message: &str, limit: usize) {
        let cost = message.len() + LINE_OVERHEAD_BYTES;
        if self.bytes + cost > limit {
            self.dropped_lines += 1;
            self.dropped_bytes += message.len() as u64;
            return;
        }
        self.bytes += cost;
        let message = escape(&self.scrubbed.text_line(message), limit);
        self.kept.push(LogLine { level: level.to_owned(), message });
    }

    /// Adds to the open line of a stream what ends it or comes before its end.
    fn append(&mut self, stream: Stream, mut piece: &[u8], limit: usize) {
        loop {
            let open = &mut self.open[stream as usize];
            let (now, later) = piece.split_at(piece.len().min(MAX_OPEN_BYTES - open.len()));
            open.extend_from_slice(now);
            piece = later;
            if open.ends_with(b"\n") {
                self.end(stream, limit);
            } else if open.len() == MAX_OPEN_BYTES {
                // A character that is cut in two goes to the next line.
                let whole = std::str::from_utf8(open).map_err(|error| (error.valid_up_to(), error.error_len()));
                let rest = whole.err().filter(|(_, length)| length.is_none()).map(|(valid, _)| open.split_off(valid));
                self.end(stream, limit);
                self.open[stream as usize] = rest.unwrap_or_default();
            }
            if piece.is_empty() {
                return;
            }
        }
    }

    /// Ends the open line of a stream; an empty one is none.
    fn end(&mut self, stream: Stream, limit: usize) {
        let line = std::mem::take(&mut self.open[stream as usize]);
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches(['\r', '\n']);
        if !text.is_empty() {
            self.push(stream.level(), text, limit);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(written: &[(Stream, &[u8])]) -> Vec<(String, String)> {
        let log = LogCapture::new(64 << 10);
        for (stream, bytes) in written {
            log.write(*stream, bytes);
        }
        assert_eq!(log.take_written(), written.iter().map(|(_, bytes)| bytes.len() as u64).sum::<u64>());
        log.take().into_iter().map(|line| (line.level, line.message)).collect()
    }

    fn line(level: &str, message: impl Into<String>) -> (String, String) {
        (level.to_owned(), message.into())
    }

    #[test]
    fn pieces_of_a_line_are_one_and_streams_are_kept_apart() {
        use Stream::{Error, Output};
        let written: &[(Stream, &[u8])] =
            &[(Output, b"one \xc3"), (Error, b"bad\r\n\n"), (Output, b"\xa9\ntwo\nthr"), (Error, b"open"), (Output, b"ee")];
        let expected = [line("warn", "bad"), line("info", "one \u{e9}"), line("info", "two"), line("info", "three"), line("warn", "open")];
        assert_eq!(lines(written), expected);
    }

    #[test]
    fn a_line_without_end_is_cut_between_two_characters() {
        let text = format!("{}\u{20ac}{}", "x".repeat(MAX_OPEN_BYTES - 1), "y".repeat(MAX_OPEN_BYTES));
        let cut = lines(&[(Stream::Output, text.as_bytes())]);
        let expected = [
            line("info", "x".repeat(MAX_OPEN_BYTES - 1)),
            line("info", format!("\u{20ac}{}", "y".repeat(MAX_OPEN_BYTES - 3))),
            line("info", "yyy"),
        ];
        assert_eq!(cut, expected);
        assert_eq!(lines(&[(Stream::Output, &[0xe2; MAX_OPEN_BYTES + 1])]).len(), 2, "what is no text ends, too");
    }
}
