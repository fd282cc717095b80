//! Asking somebody outside about tool calls.

use jiff::Timestamp;

use super::call::PlannedCall;
use super::context::TurnContext;
use super::executor::Run;
use super::journal::Halt;
use super::tools::{Decision, capability_id, decide};
use crate::event::{EventData, RequestedCall, ToolCompleted};

impl Run<'_> {
    /// Asks somebody outside about calls, and parks the turn in the same append. Calls that
    /// nobody may make are refused at once, so that nobody is asked in vain.
    pub(super) async fn request(&mut self, context: &TurnContext, calls: Vec<PlannedCall>) -> Result<(), Halt> {
        let (mut events, mut tool_calls) = (Vec::new(), Vec::new());
        for planned in calls {
            match (decide(context, &planned), planned.waits_for) {
                (Decision::Settle(refused), _) => {
                    let capability_id = capability_id(context, &refused.tool_name);
                    events.push(EventData::ToolCompleted(ToolCompleted { capability_id, ..*refused }));
                }
                (Decision::Run(tool), Some(kind)) => {
                    let capability_id = Some(tool.capability.id().to_owned());
                    tool_calls.push(RequestedCall { tool_call: planned.call, kind, capability_id, connection_required: None });
                }
                (Decision::Run(_), None) => {}
            }
        }
        if tool_calls.is_empty() {
            return self.journal.append(events).await;
        }
        events.push(self.requested(tool_calls));
        self.journal.append_park(events).await
    }

    pub(super) fn requested(&self, tool_calls: Vec<RequestedCall>) -> EventData {
        let expires_at = self.journal.now().checked_add(self.platform.wait_limit).unwrap_or(Timestamp::MAX);
        EventData::ToolCallRequested { turn_id: self.key.turn, tool_calls, expires_at: Some(expires_at) }
    }
}
