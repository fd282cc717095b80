//! When a conversation is compacted, and what of it is kept: pure.

use std::sync::Arc;

use super::conversation::View;
use crate::capability::CompactionRule;
use crate::driver::profile::ModelProfile;
use crate::event::CompactionReason;
use crate::id::MessageId;
use crate::message::{Message, Role};
use crate::tokens::{BYTES_PER_TOKEN, estimate_tokens, message_bytes};

/// Context of a model of which nothing is known, in tokens: what current models have at least.
const DEFAULT_WINDOW_TOKENS: u64 = 128_000;

/// The context of a turn's model in tokens: what the rule says, else what is known of the model.
pub(super) fn window(rule: &CompactionRule, profile: &ModelProfile) -> u64 {
    rule.window_tokens.or(profile.limits.context).unwrap_or(DEFAULT_WINDOW_TOKENS)
}

/// The rule of a turn with the figures of its model.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Budget {
    pub(super) rule: CompactionRule,
    /// The model's context in tokens.
    pub(super) window: u64,
    /// Tokens of system prompt and tools.
    pub(super) overhead: u64,
}

/// What a compaction does.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cut {
    /// What the model does not see any more, an earlier summary included, oldest first.
    pub(super) dropped: Vec<Arc<Message>>,
    /// The first message that is kept. If it is in the middle of a turn, that turn's input is kept
    /// too.
    pub(super) first_kept: MessageId,
    /// Messages that the model saw before.
    pub(super) before: usize,
}

impl Budget {
    /// Whether [`Self::is_reached`] has to be asked at all: `bytes` are at least those of the view. Most
    /// conversations are short, and must not be looked through before each model call.
    pub(super) fn may_be_reached(&self, bytes: usize, reported: u64) -> bool {
        self.rule.proactive && (self.overhead + estimate_tokens(bytes)).max(reported) >= percent(self.window, self.rule.budget_percent)
    }

    /// Whether so much of the context is in use that the conversation is to be compacted.
    pub(super) fn is_reached(&self, view: &View, reported: u64) -> bool {
        let estimated = self.overhead + estimate_tokens(view.messages().map(|message| message_bytes(message)).sum());
        self.rule.proactive && estimated.max(reported) >= percent(self.window, self.rule.budget_percent)
    }

    /// Where to cut; none if nothing can be left out. Calls and their results stay together.
    pub(super) fn cut(&self, view: &View, reason: CompactionReason) -> Option<Cut> {
        let tail = &view.tail;
        let keep = percent(self.window, self.rule.keep_percent).saturating_mul(BYTES_PER_TOKEN as u64);
        let keep = match reason {
            CompactionReason::ProactiveBudget => keep,
            // The model's context is smaller than it was taken for.
            CompactionReason::RequestTooLarge => keep.min(tail.iter().map(|message| message_bytes(message) as u64).sum::<u64>() / 2),
        };
        let at = first_kept(tail, keep)?;
        let dropped = view.head.iter().chain(&tail[..at]).cloned().collect();
        Some(Cut { dropped, first_kept: tail[at].id, before: view.head.len() + tail.len() })
    }
}

fn percent(of: u64, percent: u8) -> u64 {
    of.saturating_mul(percent.into()) / 100
}

/// Position of the first of the latest messages that take at most so many bytes; at least the last
/// message with its results is kept. None if that would be all of them.
fn first_kept(messages: &[Arc<Message>], bytes: u64) -> Option<usize> {
    let (mut kept, mut at) = (0, messages.len());
    for (position, message) in messages.iter().enumerate().rev() {
        kept += message_bytes(message) as u64;
        // A result belongs to the message that asked for it.
        if message.role != Role::ToolResult {
            if kept > bytes && at < messages.len() {
                break;
            }
            at = position;
        }
    }
    (at > 0 && at < messages.len()).then_some(at)
}
