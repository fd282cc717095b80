//! What a scripted model says, in no vendor's words.

use serde_json::Value;

/// One answer of the model.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// Its parts in order.
    pub parts: Vec<Part>,
    /// Token counts.
    pub counts: Counts,
    /// Why it ended.
    pub stop: Stop,
}

/// One part of an answer.
#[derive(Debug, Clone)]
pub enum Part {
    /// Reasoning, in the pieces in which it is streamed; signed with [`signature`].
    Thinking(Vec<String>),
    /// Text, in the pieces in which it is streamed.
    Text(Vec<String>),
    /// Tool calls that are streamed at once; their arguments interleave where a wire can do that.
    Calls(Vec<Call>),
}

/// A call of a tool.
#[derive(Debug, Clone)]
pub struct Call {
    /// The vendor's id of it.
    pub id: String,
    /// Name of the tool.
    pub name: String,
    /// The JSON of its arguments, in the pieces in which it is streamed.
    pub arguments: Vec<String>,
}

/// Token counts of an answer; the buckets are disjoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Input that no cache served.
    pub input: u64,
    /// Output, reasoning included.
    pub output: u64,
    /// Input read from the prompt cache.
    pub cache_read: u64,
    /// Input written to it.
    pub cache_write: u64,
    /// Reasoning, of the output.
    pub reasoning: u64,
}

impl Default for Counts {
    fn default() -> Self {
        Self { input: 11, output: 7, cache_read: 0, cache_write: 0, reasoning: 0 }
    }
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stop {
    /// It was complete, or asks for tools.
    #[default]
    Done,
    /// The limit of tokens.
    Length,
    /// The vendor's filter.
    Filter,
}

impl Answer {
    /// An empty answer.
    pub fn new() -> Self {
        Self::default()
    }

    /// An answer of text in these pieces.
    pub fn text(pieces: &[&str]) -> Self {
        Self::new().then_text(pieces)
    }

    /// Adds text.
    #[must_use]
    pub fn then_text(mut self, pieces: &[&str]) -> Self {
        self.parts.push(Part::Text(owned(pieces)));
        self
    }

    /// Adds reasoning.
    #[must_use]
    pub fn then_thinking(mut self, pieces: &[&str]) -> Self {
        self.parts.push(Part::Thinking(owned(pieces)));
        self
    }

    /// Adds tool calls: id, name and arguments each.
    #[must_use]
    pub fn then_calls(mut self, calls: &[(&str, &str, Value)]) -> Self {
        let calls = calls.iter().map(|(id, name, arguments)| Call::new(id, name, arguments)).collect();
        self.parts.push(Part::Calls(calls));
        self
    }

    /// Sets the counts.
    #[must_use]
    pub fn counting(mut self, counts: Counts) -> Self {
        self.counts = counts;
        self
    }

    /// Sets why it ended.
    #[must_use]
    pub fn stopping(mut self, stop: Stop) -> Self {
        self.stop = stop;
        self
    }

    /// Whether it asks for tools.
    pub fn has_calls(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Calls(calls) if !calls.is_empty()))
    }
}

impl Call {
    /// A call whose arguments are streamed in three pieces, cut without regard to JSON.
    pub fn new(id: &str, name: &str, arguments: &Value) -> Self {
        let characters: Vec<char> = arguments.to_string().chars().collect();
        let piece = characters.len().div_ceil(3).max(1);
        let arguments = characters.chunks(piece).map(|piece| piece.iter().collect()).collect();
        Self { id: id.to_owned(), name: name.to_owned(), arguments }
    }
}

/// What a vendor signs a text with: it differs for every text, and the stub recognises it when it
/// comes back. Valid base64, because some wires carry it as bytes.
pub fn signature(text: &str) -> String {
    // FNV-1a; nothing here has to withstand an attack.
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("c2ln{hash:016x}")
}

fn owned(pieces: &[&str]) -> Vec<String> {
    pieces.iter().map(|&piece| piece.to_owned()).collect()
}
