//! What takes bytes of strangers, as functions for fuzzers: each hands them to the part that reads
//! them and panics if what comes out breaks a promise. The project's own tests run them over a corpus and
//! seeded mutations of it.

use bytes::Bytes;

use super::driver::fuzz::codec;
use super::gate::{Finding, MAX_FINDINGS, inspect};
use super::verify;
use crate::component::ComponentDescription;
use crate::egress::{SseDecoder, SseEvent, SseTooLarge};
use crate::event::Event;
use crate::limits::MAX_JSON_BYTES;

/// A target.
pub type Target = fn(&[u8]);

/// All of them, by the folders of their corpora.
pub const TARGETS: [(&str, Target); 5] =
    [("upload", upload), ("description", description), ("event", event), ("codec", codec), ("sse", sse)];

/// Bytes of a line or an event in [`sse`]: few, so that the limit is met.
const SSE_LIMIT: usize = 64;

/// The gate: whatever the bytes are, its report is bounded and shows nothing raw.
fn upload(bytes: &[u8]) {
    let (inspection, findings) = inspect(bytes);
    assert!(findings.len() <= MAX_FINDINGS, "{} findings", findings.len());
    findings.iter().for_each(assert_fit_to_show);
    assert!(!findings.is_empty() || inspection.kind.is_some(), "it passes, and nobody knows what it is");
    for section in [&inspection.description, &inspection.exchanges].into_iter().flatten() {
        assert!(section.len() <= MAX_JSON_BYTES, "a section of {} bytes is kept", section.len());
    }
}

/// The rules of descriptions: what is found about one can be shown, and what was read can be written.
fn description(bytes: &[u8]) {
    let Ok(description) = serde_json::from_slice::<ComponentDescription>(bytes) else { return };
    verify::description(&description).iter().for_each(assert_fit_to_show);
    let written = serde_json::to_vec(&description).expect("a description can be written");
    serde_json::from_slice::<ComponentDescription>(&written).expect("what was written can be read");
}

/// Stored events: what was read can be written and read again.
fn event(bytes: &[u8]) {
    let Ok(event) = serde_json::from_slice::<Event>(bytes) else { return };
    let written = serde_json::to_vec(&event).expect("an event can be written");
    let again = serde_json::from_slice::<Event>(&written).expect("what was written can be read");
    assert_eq!((again.id, again.sequence, again.data.name()), (event.id, event.sequence, event.data.name()));
}

/// Server-sent events: the same however the bytes are cut, and within their limit.
fn sse(bytes: &[u8]) {
    let Some((&cut, stream)) = bytes.split_first() else { return };
    let whole = events(&[stream]);
    for event in &whole.0 {
        assert!(event.event.len() + event.data.len() + event.id.len() <= SSE_LIMIT + "message".len(), "{event:?}");
    }
    let pieces: Vec<&[u8]> = stream.chunks(usize::from(cut).max(1)).collect();
    assert_eq!(events(&pieces), whole, "cut into pieces of {cut} bytes");
}

fn events(pieces: &[&[u8]]) -> (Vec<SseEvent>, Option<SseTooLarge>) {
    let mut decoder = SseDecoder::with_limit(SSE_LIMIT);
    let mut found = Vec::new();
    for piece in pieces {
        let mut input = Bytes::copy_from_slice(piece);
        loop {
            match decoder.next(&mut input) {
                Ok(Some(event)) => found.push(event),
                Ok(None) => break,
                Err(error) => return (found, Some(error)),
            }
        }
    }
    (found, None)
}

fn assert_fit_to_show(finding: &Finding) {
    let texts = [Some(&finding.code), finding.pointer.as_ref(), Some(&finding.detail), Some(&finding.fix)];
    for text in texts.into_iter().flatten() {
        assert!(!text.chars().any(char::is_control), "raw characters in {text:?}");
    }
}
