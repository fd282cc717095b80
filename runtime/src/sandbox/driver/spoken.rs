//! What a driver says, without the keys that it may have been given as they are.

use std::sync::Arc;

use crate::driver::{ChatEvent, Finish};
use crate::secret::{Scrubbed, Scrubber};

/// Text that goes on from event to event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Strand {
    Text,
    Reasoning,
    Arguments(u32),
}

impl Strand {
    fn event(self, text: String) -> ChatEvent {
        match self {
            Self::Text => ChatEvent::Text(text),
            Self::Reasoning => ChatEvent::Reasoning { text, opaque: None },
            Self::Arguments(index) => ChatEvent::ToolCallDelta { index, arguments: text },
        }
    }
}

/// The events of one completion.
pub(super) struct Spoken {
    scrubber: Arc<Scrubber>,
    strand: Strand,
    text: Scrubbed,
}

impl Spoken {
    pub(super) fn new(scrubber: Arc<Scrubber>) -> Self {
        let mut text = Scrubbed::default();
        text.hide(&scrubber);
        Self { scrubber, strand: Strand::Text, text }
    }

    /// Takes an event in, and gives what is known of it by now behind what was held of those before.
    pub(super) fn take(&mut self, event: ChatEvent, said: &mut Vec<ChatEvent>) {
        let strand = match &event {
            ChatEvent::Text(_) => Some(Strand::Text),
            ChatEvent::Reasoning { .. } => Some(Strand::Reasoning),
            ChatEvent::ToolCallDelta { index, .. } => Some(Strand::Arguments(*index)),
            _ => None,
        };
        if strand.is_none_or(|strand| strand != self.strand) {
            self.finish(said);
        }
        self.strand = strand.unwrap_or(self.strand);
        let word = |text: String| self.scrubber.scrub(&text);
        let event = match event {
            ChatEvent::Text(text) => ChatEvent::Text(self.text.text(&text)),
            ChatEvent::Reasoning { text, opaque: None } => ChatEvent::Reasoning { text: self.text.text(&text), opaque: None },
            ChatEvent::Reasoning { text, opaque } => {
                // The signature ends its block, so that nothing of it may come later.
                let known = self.text.text_line(&text);
                ChatEvent::Reasoning { text: known, opaque: opaque.map(word) }
            }
            ChatEvent::ToolCallDelta { index, arguments } => ChatEvent::ToolCallDelta { index, arguments: self.text.text(&arguments) },
            ChatEvent::ToolCallStart { index, id, name } => ChatEvent::ToolCallStart { index, id: word(id), name: word(name) },
            ChatEvent::ToolCallEnd { index, opaque } => ChatEvent::ToolCallEnd { index, opaque: opaque.map(word) },
            ChatEvent::ToolCall(mut call) => {
                self.scrubber.scrub_json(&mut call.arguments);
                ChatEvent::ToolCall(call)
            }
            ChatEvent::Finish(Finish { reason, response_id }) => {
                ChatEvent::Finish(Finish { reason: word(reason), response_id: response_id.map(word) })
            }
            ChatEvent::Usage(usage) => ChatEvent::Usage(usage),
        };
        said.push(event);
    }

    /// What is held, once nothing follows it.
    pub(super) fn finish(&mut self, said: &mut Vec<ChatEvent>) {
        let rest = self.text.text_line("");
        if !rest.is_empty() {
            said.push(self.strand.event(rest));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "sk-planted-8d1e";

    fn said(events: Vec<ChatEvent>) -> Vec<ChatEvent> {
        let mut spoken = Spoken::new(Arc::new(Scrubber::new([KEY]).expect("there is something to hide")));
        let mut said = Vec::new();
        events.into_iter().for_each(|event| spoken.take(event, &mut said));
        spoken.finish(&mut said);
        said
    }

    #[test]
    fn a_key_is_hidden_wherever_a_strand_is_cut() {
        let text = format!("the key {KEY} works");
        for cut in 0..=text.len() {
            let (first, second) = text.split_at(cut);
            for strand in [Strand::Text, Strand::Reasoning, Strand::Arguments(1)] {
                let events = said(vec![strand.event(first.to_owned()), strand.event(second.to_owned()), ChatEvent::finish("stop")]);
                let told = format!("{events:?}");
                assert!(!told.contains("planted") && !told.contains("8d1e"), "cut at {cut}: {told}");
                assert!(matches!(events.last(), Some(ChatEvent::Finish(_))), "{told}");
            }
        }
    }

    #[test]
    fn what_only_began_like_a_key_comes_before_what_follows() {
        let events = said(vec![ChatEvent::Text("see sk-p".to_owned()), ChatEvent::finish(KEY)]);
        let expected = [ChatEvent::Text("see ".to_owned()), ChatEvent::Text("[redacted]".to_owned()), ChatEvent::finish("[redacted]")];
        assert_eq!(events, expected);
        let events = said(vec![ChatEvent::Text("see s".to_owned()), ChatEvent::finish("stop")]);
        let expected = [ChatEvent::Text("see ".to_owned()), ChatEvent::Text("s".to_owned()), ChatEvent::finish("stop")];
        assert_eq!(events, expected);
    }
}
