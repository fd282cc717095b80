//! Reads AWS's binary event stream, `application/vnd.amazon.eventstream`, from pieces of any size.
//!
//! A message is a prelude of two lengths and their checksum, header fields, a payload, and a
//! checksum of everything; numbers are big-endian. Only fields that are texts are of interest here.

use bytes::{Buf, Bytes, BytesMut};

use super::output::invalid;
use crate::driver::{DriverError, DriverErrorKind};
use crate::mutation::off;

/// Largest message, in bytes; the same as the largest frame of other protocols.
const MAX_MESSAGE_BYTES: usize = crate::driver::MAX_FRAME_BYTES;
/// Total length, length of the header fields, checksum.
const PRELUDE_BYTES: usize = 12;
/// The checksum at the end.
const CHECKSUM_BYTES: usize = 4;
/// Type of a field whose value is a text.
const TEXT: u8 = 7;

/// What has arrived and is not read yet.
#[derive(Default)]
pub(super) struct EventStream {
    pending: BytesMut,
}

/// One message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message {
    fields: Vec<(String, String)>,
    pub(super) payload: Bytes,
}

impl Message {
    /// A field's value; empty if it is missing.
    pub(super) fn field(&self, name: &str) -> &str {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str()).unwrap_or_default()
    }
}

impl EventStream {
    pub(super) fn push(&mut self, piece: &[u8]) {
        self.pending.extend_from_slice(piece);
    }

    /// The next message; none if more has to arrive.
    ///
    /// # Errors
    /// If it is none, or too large.
    pub(super) fn next(&mut self) -> Result<Option<Message>, DriverError> {
        let Some(mut prelude) = self.pending.get(..PRELUDE_BYTES) else { return Ok(None) };
        check(&prelude[..PRELUDE_BYTES - CHECKSUM_BYTES], &prelude[PRELUDE_BYTES - CHECKSUM_BYTES..])?;
        let (total, fields) = (length(prelude.get_u32())?, length(prelude.get_u32())?);
        if total > MAX_MESSAGE_BYTES && !off("answer.frame_bytes") {
            let message = format!("an event of the answer is larger than {MAX_MESSAGE_BYTES} bytes");
            return Err(DriverError::new(DriverErrorKind::AnswerTooLarge, message));
        }
        let payload =
            (PRELUDE_BYTES + CHECKSUM_BYTES).checked_add(fields).and_then(|around| total.checked_sub(around)).ok_or_else(broken)?;
        if self.pending.len() < total {
            return Ok(None);
        }
        let message = self.pending.split_to(total).freeze();
        let (checked, checksum) = message.split_at(total - CHECKSUM_BYTES);
        check(checked, checksum)?;
        let fields_end = PRELUDE_BYTES + fields;
        let fields = read_fields(message.slice(PRELUDE_BYTES..fields_end))?;
        Ok(Some(Message { fields, payload: message.slice(fields_end..fields_end + payload) }))
    }
}

fn read_fields(mut bytes: Bytes) -> Result<Vec<(String, String)>, DriverError> {
    let mut fields = Vec::new();
    while bytes.has_remaining() {
        let name = bytes.try_get_u8().map_err(|_| broken())?;
        let name = read_text(&mut bytes, name.into())?;
        let kind = bytes.try_get_u8().map_err(|_| broken())?;
        // Truth values have no bytes, and numbers as many as they are wide.
        let width = match kind {
            0 | 1 => 0,
            2 => 1,
            3 => 2,
            4 => 4,
            5 | 8 => 8,
            6 | TEXT => bytes.try_get_u16().map_err(|_| broken())?.into(),
            9 => 16,
            _ => return Err(broken()),
        };
        if kind == TEXT {
            fields.push((name, read_text(&mut bytes, width)?));
        } else if bytes.remaining() >= width {
            bytes.advance(width);
        } else {
            return Err(broken());
        }
    }
    Ok(fields)
}

fn read_text(bytes: &mut Bytes, length: usize) -> Result<String, DriverError> {
    if bytes.remaining() < length {
        return Err(broken());
    }
    String::from_utf8(bytes.split_to(length).into()).map_err(|_| broken())
}

fn check(bytes: &[u8], mut checksum: &[u8]) -> Result<(), DriverError> {
    if crc32fast::hash(bytes) == checksum.get_u32() { Ok(()) } else { Err(broken()) }
}

fn length(number: u32) -> Result<usize, DriverError> {
    usize::try_from(number).map_err(|_| broken())
}

fn broken() -> DriverError {
    invalid("an event of the answer is broken: a length or checksum does not fit")
}

#[cfg(test)]
mod tests {
    use bytes::BufMut;

    use super::*;

    fn message(fields: &[u8], payload: &[u8]) -> BytesMut {
        let length = |length: usize| u32::try_from(length).expect("it is short");
        let mut message = BytesMut::new();
        message.put_u32(length(16 + fields.len() + payload.len()));
        message.put_u32(length(fields.len()));
        message.put_u32(crc32fast::hash(&message));
        message.put_slice(fields);
        message.put_slice(payload);
        message.put_u32(crc32fast::hash(&message));
        message
    }

    /// The fields of every type that there is.
    const FIELDS: &[u8] = b"\x01a\x00\x01b\x01\x01c\x02x\x01d\x03xx\x01e\x04xxxx\x01f\x05xxxxxxxx\x01g\x06\x00\x02xx\x04text\x07\x00\x03yes\x01h\x08xxxxxxxx\x01i\x09xxxxxxxxxxxxxxxx";

    #[test]
    fn messages_are_read_wherever_they_are_cut() {
        let bytes = [message(FIELDS, b"{}"), message(b"", b"")].concat();
        for cut in 0..=bytes.len() {
            let mut stream = EventStream::default();
            let mut messages = Vec::new();
            for piece in [&bytes[..cut], &bytes[cut..]] {
                stream.push(piece);
                while let Some(message) = stream.next().expect("they are right") {
                    messages.push(message);
                }
            }
            assert_eq!(messages.len(), 2, "cut at {cut}");
            assert_eq!((messages[0].field("text"), messages[0].field("a"), &messages[0].payload[..]), ("yes", "", &b"{}"[..]));
        }
    }

    #[test]
    fn a_changed_byte_is_noticed() {
        let right = message(FIELDS, b"payload");
        for at in 0..right.len() {
            let mut wrong = right.clone();
            wrong[at] ^= 1;
            let mut stream = EventStream::default();
            stream.push(&wrong);
            assert_eq!(stream.next().map_err(|error| error.kind), Err(DriverErrorKind::InvalidResponse), "byte {at}");
        }
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        let mut lie = BytesMut::new();
        for (total, fields, expect) in [
            (15, 0, DriverErrorKind::InvalidResponse),
            (16, 1, DriverErrorKind::InvalidResponse),
            (u32::MAX, 0, DriverErrorKind::AnswerTooLarge),
            (20, u32::MAX, DriverErrorKind::InvalidResponse),
        ] {
            lie.clear();
            lie.put_u32(total);
            lie.put_u32(fields);
            lie.put_u32(crc32fast::hash(&lie));
            let mut stream = EventStream::default();
            stream.push(&lie);
            assert_eq!(stream.next().map_err(|error| error.kind), Err(expect), "{total} {fields}");
        }
        for fields in [&b"\x05ab"[..], b"\x01a\x07\x00\x09x", b"\x01a\x2a", b"\x01a\x05xx", b"\x01\xff\x00"] {
            let mut stream = EventStream::default();
            stream.push(&message(fields, b""));
            assert_eq!(stream.next().map_err(|error| error.kind), Err(DriverErrorKind::InvalidResponse), "{fields:?}");
        }
    }
}
