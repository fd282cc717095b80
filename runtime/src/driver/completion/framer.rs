//! The body of a response, cut into frames, however its bytes arrive.

use std::mem;

use bytes::{Buf, Bytes};

use crate::driver::{DriverError, DriverErrorKind, Frame, Framing, MAX_ANSWER_BYTES};
use crate::egress::SseDecoder;

/// Largest frame, in bytes: some vendors repeat the whole answer in their last event, and JSON that
/// is all ASCII takes up to three bytes for one. A completion holds one frame at a time.
pub const MAX_FRAME_BYTES: usize = 3 * MAX_ANSWER_BYTES;

/// Pull-style, so that the frames of a large piece are never held all at once.
pub(crate) struct Framer {
    framing: Framing,
    pending: Bytes,
    events: SseDecoder,
    rest: Vec<u8>,
}

impl Framer {
    pub(crate) fn new(framing: Framing) -> Self {
        Self { framing, pending: Bytes::new(), events: SseDecoder::with_limit(MAX_FRAME_BYTES), rest: Vec::new() }
    }

    /// Takes the next piece of the body, once [`Self::next`] has nothing left of the one before.
    pub(crate) fn push(&mut self, piece: Bytes) {
        debug_assert!(self.pending.is_empty(), "the piece before is used up");
        self.pending = piece;
    }

    /// The next frame; none if it needs more of the body.
    pub(crate) fn next(&mut self) -> Result<Option<Frame>, DriverError> {
        match self.framing {
            Framing::Sse => {
                let event = self.events.next(&mut self.pending).map_err(|error| too_large(error.to_string()))?;
                Ok(event.map(Frame::Sse))
            }
            Framing::Bytes => Ok((!self.pending.is_empty()).then(|| Frame::Bytes(mem::take(&mut self.pending)))),
            Framing::JsonLines => self.line(),
            Framing::Whole => {
                let piece = mem::take(&mut self.pending);
                self.keep(&piece)?;
                Ok(None)
            }
        }
    }

    /// The last frame, when the body has ended.
    pub(crate) fn end(&mut self) -> Option<Frame> {
        let rest = mem::take(&mut self.rest);
        match self.framing {
            Framing::Sse | Framing::Bytes => None,
            Framing::JsonLines => (!is_blank(&rest)).then(|| Frame::Bytes(trimmed(rest))),
            Framing::Whole => Some(Frame::Bytes(rest.into())),
        }
    }

    fn line(&mut self) -> Result<Option<Frame>, DriverError> {
        while !self.pending.is_empty() {
            let Some(end) = self.pending.iter().position(|&byte| byte == b'\n') else {
                let piece = mem::take(&mut self.pending);
                self.keep(&piece)?;
                return Ok(None);
            };
            let piece = self.pending.split_to(end);
            self.pending.advance(1);
            self.keep(&piece)?;
            let line = mem::take(&mut self.rest);
            if !is_blank(&line) {
                return Ok(Some(Frame::Bytes(trimmed(line))));
            }
        }
        Ok(None)
    }

    fn keep(&mut self, piece: &[u8]) -> Result<(), DriverError> {
        if self.rest.len() + piece.len() > MAX_FRAME_BYTES {
            return Err(too_large(format!("a piece of the model's answer is larger than {MAX_FRAME_BYTES} bytes")));
        }
        self.rest.extend_from_slice(piece);
        Ok(())
    }
}

fn is_blank(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace)
}

/// Without the carriage return of a line that ends in two characters.
fn trimmed(mut line: Vec<u8>) -> Bytes {
    line.truncate(line.trim_ascii_end().len());
    line.into()
}

fn too_large(message: String) -> DriverError {
    DriverError::new(DriverErrorKind::AnswerTooLarge, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(framing: Framing, pieces: &[&[u8]]) -> Vec<Frame> {
        let mut framer = Framer::new(framing);
        let mut frames = Vec::new();
        for piece in pieces {
            framer.push(Bytes::copy_from_slice(piece));
            while let Some(frame) = framer.next().expect("nothing is too large") {
                frames.push(frame);
            }
        }
        frames.extend(framer.end());
        frames
    }

    fn bytes(frame: &str) -> Frame {
        Frame::Bytes(Bytes::copy_from_slice(frame.as_bytes()))
    }

    #[test]
    fn lines_are_the_same_wherever_the_body_is_cut() {
        let body = b"{\"a\":1}\r\n\n  \n{\"b\":\"\xC3\xA4\"}\n{\"last\":true}";
        let expected = [bytes("{\"a\":1}"), bytes("{\"b\":\"ä\"}"), bytes("{\"last\":true}")];
        for cut in 0..=body.len() {
            assert_eq!(frames(Framing::JsonLines, &[&body[..cut], &body[cut..]]), expected, "cut at {cut}");
        }
    }

    #[test]
    fn a_whole_body_is_one_frame_even_if_it_is_empty() {
        assert_eq!(frames(Framing::Whole, &[b"{", b"}"]), [bytes("{}")]);
        assert_eq!(frames(Framing::Whole, &[]), [bytes("")]);
    }

    #[test]
    fn pieces_and_events_come_as_they_arrive() {
        assert_eq!(frames(Framing::Bytes, &[b"a", b"bc"]), [bytes("a"), bytes("bc")]);
        let events = frames(Framing::Sse, &[b"data: 1\n\ndata: 2\n", b"\ndata: never ended"]);
        let data: Vec<_> = events.iter().map(|frame| if let Frame::Sse(event) = frame { event.data.as_str() } else { "" }).collect();
        assert_eq!(data, ["1", "2"]);
    }

    #[test]
    fn what_never_ends_is_refused() {
        for framing in [Framing::JsonLines, Framing::Whole, Framing::Sse] {
            let mut framer = Framer::new(framing);
            framer.push(vec![b'x'; MAX_FRAME_BYTES].into());
            assert_eq!(framer.next(), Ok(None));
            framer.push(vec![b'x'; 1].into());
            assert_eq!(framer.next().map_err(|error| error.kind), Err(DriverErrorKind::AnswerTooLarge), "{framing:?}");
        }
    }
}
