//! AWS's binary event stream, `application/vnd.amazon.eventstream`: a prelude of two lengths and
//! their checksum, header fields, the payload, and a checksum of everything.

use bytes::{BufMut, Bytes, BytesMut};

/// Bytes around header fields and payload.
const OVERHEAD: usize = 16;
/// Type of a header field's value: a string.
const STRING: u8 = 7;

/// One message.
pub(super) fn message(headers: &[(&str, &str)], payload: &[u8]) -> Bytes {
    let mut fields = BytesMut::new();
    for (name, value) in headers {
        fields.put_u8(u8::try_from(name.len()).expect("names of header fields are short"));
        fields.put_slice(name.as_bytes());
        fields.put_u8(STRING);
        fields.put_u16(u16::try_from(value.len()).expect("values of header fields are short"));
        fields.put_slice(value.as_bytes());
    }
    let total = OVERHEAD + fields.len() + payload.len();
    let mut message = BytesMut::with_capacity(total);
    message.put_u32(u32::try_from(total).expect("messages are short"));
    message.put_u32(u32::try_from(fields.len()).expect("header fields are short"));
    message.put_u32(crc32(&message));
    message.put_slice(&fields);
    message.put_slice(payload);
    message.put_u32(crc32(&message));
    message.freeze()
}

/// The checksum of IEEE 802.3, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| (crc >> 1) ^ (0xedb8_8320 & 0_u32.wrapping_sub(crc & 1));
    let byte = |crc: u32, &byte: &u8| (0..8).fold(crc ^ u32::from(byte), |crc, _| step(crc));
    !bytes.iter().fold(u32::MAX, byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_standard() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }
}
