//! Server-sent events out of a byte stream, as the WHATWG HTML standard frames them.
//!
//! Own code because no published decoder fits: `eventsource-stream` and `sseer` wrap a stream and
//! buffer without a bound; `sse-core` is bounded but reports the last event id seen, where
//! `everwit:http` promises the event's own, and goes on after an event that is too large, where a
//! consumer would miss it silently.
//!
//! Pull-style, so that a chunk of many events is never held as events: one call takes as many
//! bytes from the input as the next event needs.

#[cfg(test)]
mod tests;

use std::mem;

use crate::mutation::off;
use bytes::{Buf, Bytes};

/// Longest line, in bytes, its end not counted.
pub const MAX_SSE_LINE_BYTES: usize = 1 << 20;
/// Largest event, in bytes: type, data and id together.
pub const MAX_SSE_EVENT_BYTES: usize = 1 << 20;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SseEvent {
    /// The `event` field, "message" if absent.
    pub event: String,
    /// The `data` lines, joined by newlines.
    pub data: String,
    /// The event's own `id` field, empty if absent.
    pub id: String,
}

/// What a decoder keeps of a large line's memory for the next one, in bytes.
const KEPT_LINE_BYTES: usize = 64 << 10;

/// A line or an event is larger than allowed. The decoder is of no use afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a server-sent event is larger than {limit} bytes")]
pub struct SseTooLarge {
    /// How large one may be, in bytes.
    pub limit: usize,
}

/// Incremental decoder. What follows the last empty line is no event. Bytes that are not
/// UTF-8 become U+FFFD; the `retry` field and comments are ignored.
#[derive(Debug)]
pub struct SseDecoder {
    max_line: usize,
    max_event: usize,
    line: Vec<u8>,
    started: bool,
    after_cr: bool,
    event: String,
    data: Option<String>,
    id: String,
}

impl Default for SseDecoder {
    /// For lines up to [`MAX_SSE_LINE_BYTES`] and events up to [`MAX_SSE_EVENT_BYTES`].
    fn default() -> Self {
        Self { max_line: MAX_SSE_LINE_BYTES, max_event: MAX_SSE_EVENT_BYTES, ..Self::with_limit(0) }
    }
}

impl SseDecoder {
    /// For lines and events up to `limit` bytes.
    pub fn with_limit(limit: usize) -> Self {
        Self {
            max_line: limit,
            max_event: limit,
            line: Vec::new(),
            started: false,
            after_cr: false,
            event: String::new(),
            data: None,
            id: String::new(),
        }
    }

    /// Takes bytes off the front of `input` until an event is complete or nothing is left.
    ///
    /// # Errors
    /// [`SseTooLarge`] as soon as a cap is passed.
    pub fn next(&mut self, input: &mut Bytes) -> Result<Option<SseEvent>, SseTooLarge> {
        while !input.is_empty() {
            if mem::take(&mut self.after_cr) && input[0] == b'\n' {
                input.advance(1);
                continue;
            }
            let Some(end) = input.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
                self.append(input)?;
                input.clear();
                return Ok(None);
            };
            self.append(&input[..end])?;
            self.after_cr = input[end] == b'\r';
            input.advance(end + 1);
            let line = mem::take(&mut self.line);
            let event = self.finish_line(&line)?;
            // The next line reuses the memory, unless it is that of a giant.
            self.line = line;
            self.line.clear();
            self.line.shrink_to(KEPT_LINE_BYTES);
            if event.is_some() {
                return Ok(event);
            }
        }
        Ok(None)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), SseTooLarge> {
        if self.line.len() + bytes.len() > self.max_line && !off("egress.sse_line") {
            return Err(SseTooLarge { limit: self.max_line });
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn finish_line(&mut self, line: &[u8]) -> Result<Option<SseEvent>, SseTooLarge> {
        let first = !mem::replace(&mut self.started, true);
        let line = if first { line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line) } else { line };
        if line.is_empty() {
            return Ok(self.dispatch());
        }
        let text = String::from_utf8_lossy(line);
        let (field, value) = text.split_once(':').unwrap_or((&text, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event),
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            "id" if !value.contains('\0') => value.clone_into(&mut self.id),
            _ => {}
        }
        let size = self.event.len() + self.data.as_ref().map_or(0, String::len) + self.id.len();
        if size > self.max_event && !off("egress.sse_event") { Err(SseTooLarge { limit: self.max_event }) } else { Ok(None) }
    }

    /// The event, if it has data; its other fields go with it either way.
    fn dispatch(&mut self) -> Option<SseEvent> {
        let (event, id) = (mem::take(&mut self.event), mem::take(&mut self.id));
        let data = self.data.take()?;
        Some(SseEvent { event: if event.is_empty() { "message".to_owned() } else { event }, data, id })
    }
}
