//! What leaves a call while it runs and when it ends, without the values of the secrets that it has
//! opened: a server, or whoever else knows one, may have told it to the guest.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::capability::{CallError, ToolOutput};
use crate::message::ContentPart;
use crate::secret::{Scrubbed, Scrubber};

/// The ways out of one call, but its log, which has its own.
#[derive(Default)]
pub(super) struct Outlets {
    scrubber: Option<Arc<Scrubber>>,
    /// Partial output, then the result.
    output: Scrubbed,
    pub(super) notes: Scrubbed,
    /// Values that the guest stores.
    pub(super) stored: Scrubbed,
}

impl Outlets {
    /// Looks for these secrets from now on.
    pub(super) fn hide(&mut self, scrubber: &Arc<Scrubber>) {
        [&mut self.output, &mut self.notes, &mut self.stored].into_iter().for_each(|stream| stream.hide(scrubber));
        self.scrubber = Some(scrubber.clone());
    }

    /// Partial output. Text at its end that may begin a secret stays here until more is known.
    pub(super) fn emitted(&mut self, parts: Vec<ContentPart>) -> Vec<ContentPart> {
        let Some(scrubber) = self.scrubber.clone() else { return parts };
        let mut scrubbed = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                ContentPart::Text { text } => {
                    let known = self.output.text(&text);
                    // An empty part that was meant so stays one.
                    if text.is_empty() || !known.is_empty() {
                        scrubbed.push(ContentPart::Text { text: known });
                    }
                }
                part => {
                    scrubbed.extend(self.rest());
                    scrubbed.push(other(&scrubber, part));
                }
            }
        }
        scrubbed
    }

    /// What partial output ends with.
    pub(super) fn rest(&mut self) -> Option<ContentPart> {
        let rest = self.output.text_line("");
        (!rest.is_empty()).then(|| ContentPart::text(rest))
    }

    /// The parts of a result, which come after all partial output.
    fn parts(&mut self, parts: Vec<ContentPart>) -> Vec<ContentPart> {
        let Some(scrubber) = self.scrubber.clone() else { return parts };
        let part = |part| match part {
            ContentPart::Text { text } => ContentPart::Text { text: self.output.text_line(&text) },
            part => other(&scrubber, part),
        };
        parts.into_iter().map(part).collect()
    }

    /// What a call returns.
    pub(super) fn output(&mut self, mut output: ToolOutput) -> ToolOutput {
        if let (Some(scrubber), Some(structured)) = (&self.scrubber, &mut output.structured) {
            scrubber.scrub_json(structured);
        }
        ToolOutput { parts: self.parts(output.parts), structured: output.structured }
    }

    /// Why a call returns nothing.
    pub(super) fn error(&self, mut error: CallError) -> CallError {
        let Some(scrubber) = &self.scrubber else { return error };
        let scrub = |text: &mut String| *text = scrubber.scrub_line(text);
        match &mut error {
            CallError::Failed(failure) => [&mut failure.kind, &mut failure.code, &mut failure.message].into_iter().for_each(scrub),
            CallError::Stopped(stopped) => {
                scrub(&mut stopped.message);
                stopped.backtrace.iter_mut().for_each(scrub);
            }
            CallError::ConnectionRequired { .. } => {}
        }
        error
    }

    /// A short text that stands for itself, such as a key.
    pub(super) fn word(&self, text: String) -> String {
        self.scrubber.as_ref().map_or(text.clone(), |scrubber| scrubber.scrub(&text))
    }
}

/// A part that is no text.
fn other(scrubber: &Scrubber, part: ContentPart) -> ContentPart {
    let ContentPart::Image { url, base64, media_type } = part else { return part };
    let bytes =
        |text: String| STANDARD.decode(&text).map_or_else(|_| scrubber.scrub(&text), |bytes| STANDARD.encode(scrubber.scrub_bytes(&bytes)));
    let scrub = |text: String| scrubber.scrub(&text);
    ContentPart::Image { url: url.map(scrub), base64: base64.map(bytes), media_type: media_type.map(scrub) }
}
