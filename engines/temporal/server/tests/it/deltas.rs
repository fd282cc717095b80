//! What a stream must show of an answer that arrives in another process.

use serde_json::{Value, json};

use crate::support::Frame;

/// Words of the answer.
const WORDS: usize = 40;

/// A model whose answer takes a second and a half, so that there are many deltas.
pub(crate) fn slow_answer() -> Value {
    json!({ "response": { "lorem": WORDS }, "latency_per_token_ms": 40 })
}

/// The deltas follow each other without a gap from the beginning of the answer, and most of it came as such. The last
/// ones may be late: nobody waits for them with the whole message.
pub(crate) fn assert_deltas(frames: &[Frame], session: &str) {
    let completed = frames.iter().find(|frame| frame.event == "output.message.completed").expect("an answer");
    let text = completed.data["data"]["message"]["content"][0]["text"].as_str().expect("a text");
    let mut heard = String::new();
    let mut count = 0;
    for frame in frames.iter().filter(|frame| frame.event == "output.message.delta") {
        assert_eq!(frame.data["data"]["offset"], heard.len() as u64, "{frame:?} leaves a gap");
        assert!(frame.id.is_none() && frame.data["session_id"] == *session, "{frame:?}");
        count += 1;
        heard.push_str(frame.data["data"]["delta"].as_str().expect("a text"));
    }
    assert!(text.starts_with(&heard), "{heard:?} is not the beginning of {text:?}");
    assert!(heard.len() > text.len() / 2, "only {heard:?} of {text:?} was shown while it arrived");
    assert!((2..WORDS).contains(&count), "{count} deltas, of several words each");
    eprintln!("{} of {} bytes came in {count} deltas", heard.len(), text.len());
}
