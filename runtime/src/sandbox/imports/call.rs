//! `everwit:host/call`: the call as the guest can ask about it, progress and partial output.

use std::time::{Duration, Instant};

use crate::mutation::off;
use crate::sandbox::bindings::everwit::host::call::{self, Part, Stop};
use crate::sandbox::convert;
use crate::sandbox::state::{CallState, RunningCall};
use crate::sandbox::text::escape;

/// Bytes of a progress note that are kept.
const MAX_NOTE_BYTES: usize = 1 << 10;
/// Time before the deadline from which on a guest is told to stop, so that it can still answer.
const DEADLINE_NOTICE: Duration = Duration::from_millis(250);

impl RunningCall {
    fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    fn stop(&self) -> Option<Stop> {
        if self.cancel.is_cancelled() {
            return Some(Stop::Cancelled);
        }
        (self.remaining() <= DEADLINE_NOTICE).then_some(Stop::Deadline)
    }
}

impl call::Host for CallState {
    async fn remaining_ms(&mut self) -> wasmtime::Result<u64> {
        self.enter(0).await?;
        let remaining = u64::try_from(self.call.remaining().as_millis())?;
        self.leave(0)?;
        Ok(remaining)
    }

    async fn stopped(&mut self) -> wasmtime::Result<Option<Stop>> {
        self.enter(0).await?;
        let stop = self.call.stop();
        self.leave(0)?;
        Ok(stop)
    }

    async fn progress(&mut self, done: u64, total: Option<u64>, note: Option<String>) -> wasmtime::Result<Result<(), Stop>> {
        self.enter(note.as_ref().map_or(0, String::len)).await?;
        let note = self.outlets.notes.text_line(note.as_deref().unwrap_or(""));
        let note = escape(&note, if off("guest.note_bytes") { usize::MAX } else { MAX_NOTE_BYTES });
        self.call.sink.progress(done, total, &note);
        let stop = self.call.stop();
        self.leave(0)?;
        Ok(stop.map_or(Ok(()), Err))
    }

    async fn emit(&mut self, parts: Vec<Part>) -> wasmtime::Result<Result<(), Stop>> {
        let bytes = parts.iter().map(convert::part_bytes).sum();
        self.enter(bytes).await?;
        self.take_output(bytes)?;
        let parts = self.outlets.emitted(convert::parts(parts)?);
        if !parts.is_empty() {
            self.call.sink.emit(&parts);
            self.call.emitted.extend(parts);
        }
        let stop = self.call.stop();
        self.leave(0)?;
        Ok(stop.map_or(Ok(()), Err))
    }
}
