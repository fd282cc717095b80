use bytes::Bytes;
use proptest::prelude::*;

use super::{MAX_SSE_EVENT_BYTES, MAX_SSE_LINE_BYTES, SseDecoder, SseEvent, SseTooLarge};

fn decode<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<SseEvent>, SseTooLarge> {
    let mut decoder = SseDecoder::default();
    let mut events = Vec::new();
    for chunk in chunks {
        let mut input = Bytes::copy_from_slice(chunk);
        while let Some(event) = decoder.next(&mut input)? {
            events.push(event);
        }
        assert!(input.is_empty(), "all input is taken");
    }
    Ok(events)
}

/// The standard's rules read off the whole text at once.
fn by_the_book(stream: &[u8]) -> Vec<SseEvent> {
    let text = String::from_utf8_lossy(stream.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(stream)).replace("\r\n", "\n").replace('\r', "\n");
    let (mut lines, mut events) = (text.split('\n').collect::<Vec<_>>(), Vec::new());
    lines.pop();
    for block in lines.split_inclusive(|line| line.is_empty()).filter(|block| block.last().is_some_and(|line| line.is_empty())) {
        let values = |wanted: &str| -> Vec<&str> {
            let fields = block.iter().map(|line| line.split_once(':').unwrap_or((line, "")));
            fields.filter(|(name, _)| *name == wanted).map(|(_, value)| value.strip_prefix(' ').unwrap_or(value)).collect()
        };
        let data = values("data");
        if !data.is_empty() {
            let event = values("event").last().copied().filter(|event| !event.is_empty()).unwrap_or("message").to_owned();
            let id = values("id").into_iter().rfind(|id| !id.contains('\0')).unwrap_or_default().to_owned();
            events.push(SseEvent { event, data: data.join("\n"), id });
        }
    }
    events
}

fn check(stream: &str, expect: &[(&str, &str, &str)]) {
    let expect: Vec<_> =
        expect.iter().map(|&(event, data, id)| SseEvent { event: event.into(), data: data.into(), id: id.into() }).collect();
    assert_eq!(decode([stream.as_bytes()]), Ok(expect.clone()), "{stream:?}");
    assert_eq!(by_the_book(stream.as_bytes()), expect, "{stream:?}");
}

#[test]
fn frames_events() {
    check("data: a\n\n", &[("message", "a", "")]);
    check("data:a\n\n", &[("message", "a", "")]);
    check("data:  a\n\n", &[("message", " a", "")]);
    check("data\n\n", &[("message", "", "")]);
    check("data: a\ndata: b\n\n", &[("message", "a\nb", "")]);
    check("event: x\nid: 7\ndata: a\n\ndata: b\n\n", &[("x", "a", "7"), ("message", "b", "")]);
    check("event: x\nid: 7\n\ndata: b\n\n", &[("message", "b", "")]);
    check(": comment\nretry: 5\nunknown: y\ndata: a\n\n", &[("message", "a", "")]);
    check("data: a\r\n\r\ndata: b\r\rdata: c\n\n", &[("message", "a", ""), ("message", "b", ""), ("message", "c", "")]);
    check("\u{feff}data: a\n\n", &[("message", "a", "")]);
    check("data: a\n\n\u{feff}data: b\n\n", &[("message", "a", "")]);
    check("id: a\0b\ndata: a\n\n", &[("message", "a", "")]);
    check("Data: a\n\n data: b\n\n", &[]);
    check("data: a\n", &[]);
    check("data: a", &[]);
    check("", &[]);
}

#[test]
fn bytes_that_are_not_utf8_are_replaced() {
    let events = decode([b"data: \xff\xc3\n\n".as_slice()]).expect("it is small");
    assert_eq!(events[0].data, "\u{fffd}\u{fffd}");
}

#[test]
fn lines_and_events_are_bounded() {
    let chunk = [b'x'; 64 << 10];
    let chunks_of_a_line = MAX_SSE_LINE_BYTES / chunk.len();
    assert_eq!(decode(std::iter::repeat_n(&chunk[..], chunks_of_a_line)), Ok(Vec::new()));
    assert_eq!(decode(std::iter::repeat_n(&chunk[..], chunks_of_a_line + 1)), Err(SseTooLarge { limit: MAX_SSE_EVENT_BYTES }));
    let largest = format!("data:{}\n\n", "x".repeat(MAX_SSE_LINE_BYTES - 5));
    assert_eq!(decode([largest.as_bytes()]).map(|events| events.len()), Ok(1));
    // Empty data lines grow an event by their newlines only.
    let endless = "data\n".repeat(1 << 10);
    let enough = MAX_SSE_EVENT_BYTES / (1 << 10);
    assert_eq!(decode(std::iter::repeat_n(endless.as_bytes(), enough + 1)), Err(SseTooLarge { limit: MAX_SSE_EVENT_BYTES }));
    let fields = format!("id:{0}\nevent:{0}\ndata:{0}\n", "x".repeat(MAX_SSE_EVENT_BYTES / 2));
    assert_eq!(decode([fields.as_bytes()]), Err(SseTooLarge { limit: MAX_SSE_EVENT_BYTES }));
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        &b"data"[..],
        b"data: ",
        b"event: ",
        b"id: ",
        b"retry: 1",
        b":",
        b" ",
        b"\n",
        b"\r",
        b"\r\n",
        b"\n\n",
        b"x",
        b"\0",
        b"\xef\xbb\xbf",
        b"\xc3\xa9",
        b"\xc3",
        b"\xff",
    ]);
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_chunking_gives_the_same_events(stream in stream(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12)) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let expect = by_the_book(&stream);
        prop_assert_eq!(decode(cuts.windows(2).map(|cut| &stream[cut[0]..cut[1]])), Ok(expect.clone()));
        prop_assert_eq!(decode(stream.chunks(1)), Ok(expect));
    }
}
