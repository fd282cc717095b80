//! Holds the events of a driver against the rules, whoever wrote it.

use std::collections::VecDeque;
use std::mem;
use std::time::Duration;

use futures::StreamExt;

use crate::driver::{ChatEvent, ChatStream, DriverError, DriverErrorKind, Finish};
use crate::event::TokenUsage;
use crate::mutation::off;

/// Most events of one completion; about one for each token of the largest answers.
const MAX_EVENTS: u64 = 1 << 20;
/// How long token counts may come after the end of an answer.
const FINISH_GRACE: Duration = Duration::from_secs(2);

/// The events of an answer. `Finish` is the last one; token counts that come later go before it.
/// Token counts that come before anything else are held back until something does, so that an
/// answer has not begun with them.
pub(super) struct Guarded {
    stream: ChatStream,
    ready: VecDeque<ChatEvent>,
    usage: Option<TokenUsage>,
    has_content: bool,
    events: u64,
    ended: bool,
}

impl Guarded {
    pub(super) fn new(stream: ChatStream) -> Self {
        Self { stream, ready: VecDeque::new(), usage: None, has_content: false, events: 0, ended: false }
    }

    /// The next event; none behind `Finish`.
    pub(super) async fn next(&mut self) -> Result<Option<ChatEvent>, DriverError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            if self.ended {
                return Ok(None);
            }
            let event = self.stream.next().await.unwrap_or_else(|| Err(invalid("the answer of the model broke off")))?;
            self.count()?;
            match event {
                ChatEvent::Usage(usage) => self.usage = Some(usage),
                ChatEvent::Finish(finish) => self.finish(finish).await?,
                event => {
                    self.has_content |= is_content(&event);
                    self.ready.push_back(event);
                }
            }
            if self.has_content {
                let usage = mem::take(&mut self.usage).map(ChatEvent::Usage);
                usage.into_iter().for_each(|usage| self.ready.push_front(usage));
            }
        }
    }

    async fn finish(&mut self, finish: Finish) -> Result<(), DriverError> {
        self.ended = true;
        // An answer that is complete stays so, however the rest of its stream ends.
        while let Ok(Some(Ok(event))) = tokio::time::timeout(FINISH_GRACE, self.stream.next()).await {
            self.count()?;
            match event {
                ChatEvent::Usage(usage) => self.usage = Some(usage),
                _ => return Err(invalid("the driver went on after the end of the answer")),
            }
        }
        let usage = mem::take(&mut self.usage).filter(|usage| *usage != TokenUsage::default());
        if !self.has_content && usage.is_none() {
            return Err(invalid("the answer of the model has neither content nor token counts; is the base URL of the provider right?"));
        }
        self.ready.extend(usage.map(ChatEvent::Usage));
        self.ready.push_back(ChatEvent::Finish(finish));
        Ok(())
    }

    fn count(&mut self) -> Result<(), DriverError> {
        let most = if off("answer.events") { 4 * MAX_EVENTS } else { MAX_EVENTS };
        self.events += 1;
        if self.events > most {
            let message = format!("the answer of the model has more than {most} events");
            return Err(DriverError::new(DriverErrorKind::AnswerTooLarge, message));
        }
        Ok(())
    }
}

fn is_content(event: &ChatEvent) -> bool {
    match event {
        ChatEvent::Text(text) => !text.is_empty(),
        ChatEvent::Reasoning { text, opaque } => !text.is_empty() || opaque.is_some(),
        ChatEvent::Usage(_) | ChatEvent::Finish(_) => false,
        ChatEvent::ToolCall(_) | ChatEvent::ToolCallStart { .. } | ChatEvent::ToolCallDelta { .. } | ChatEvent::ToolCallEnd { .. } => true,
    }
}

fn invalid(message: &str) -> DriverError {
    DriverError::new(DriverErrorKind::InvalidResponse, message)
}
