//! The border between a driver component and the host, for fuzzers.

use super::check::EventCheck;
use crate::driver::{Answer, ChatEvent, DriverId};
use crate::sandbox::bindings::everwit::types::chat::{Event, Finish, Reasoning, ToolCallDelta, ToolCallEnd, ToolCallStart, Usage};
use crate::sandbox::bindings::everwit::types::common::Extension;

/// Events as a driver says them, in any order: what passes the check is in order, and an answer takes
/// all of it or says why not.
pub(in crate::sandbox) fn codec(bytes: &[u8]) {
    let mut check = EventCheck::default();
    let mut answer = Answer::of(&DriverId::External("fuzzed".to_owned()));
    let (mut finished, mut open) = (false, 0_usize);
    let mut rest = bytes;
    while let Some((event, after)) = take(rest) {
        rest = after;
        let Ok(admitted) = check.admit(event) else { return };
        let Some(event) = admitted else { continue };
        assert!(!finished || matches!(event, ChatEvent::Usage(_)), "{event:?} after the end");
        match &event {
            ChatEvent::ToolCallStart { .. } => open += 1,
            ChatEvent::ToolCallEnd { .. } => open -= 1,
            ChatEvent::Finish(_) => finished = true,
            _ => {}
        }
        assert!(!finished || open == 0, "the end came while {open} calls were open");
        if answer.push(event).is_err() {
            return;
        }
    }
    assert_eq!(answer.finish().is_some(), finished);
    if finished {
        drop(answer.into_content());
    } else {
        drop(answer.preview(200));
    }
}

/// The next event: its kind, a number, the length of its text, and the text.
fn take(bytes: &[u8]) -> Option<(Event, &[u8])> {
    let (&[kind, index, length], rest) = bytes.split_first_chunk::<3>()?;
    let (text, rest) = rest.split_at(usize::from(length).min(rest.len()));
    let text = String::from_utf8_lossy(text).into_owned();
    let number = u32::from(index);
    let event = match kind % 9 {
        0 => Event::Text(text),
        1 => Event::Reasoning(Reasoning { opaque: (index % 2 == 0).then(|| text.clone()), text }),
        2 => Event::ToolCallStart(ToolCallStart { index: number, id: text.clone(), name: text }),
        3 => Event::ToolCallDelta(ToolCallDelta { index: number, arguments: text }),
        4 => Event::ToolCallEnd(ToolCallEnd { index: number, opaque: None }),
        5 => Event::Usage(usage(u64::from(index))),
        6 => Event::Usage(usage(u64::MAX >> (index % 64))),
        7 => Event::Finish(Finish { reason: text, response_id: None, extra: Vec::new() }),
        _ => Event::Other(Extension { kind: text.clone(), body: text }),
    };
    Some((event, rest))
}

fn usage(tokens: u64) -> Usage {
    Usage {
        input_tokens: tokens,
        output_tokens: tokens,
        cache_read_tokens: Some(tokens),
        cache_write_tokens: None,
        reasoning_tokens: None,
        extra: Vec::new(),
    }
}
