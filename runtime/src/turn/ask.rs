//! Asking somebody outside about tool calls.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::call::PlannedCall;
use super::context::TurnContext;
use super::executor::Run;
use super::journal::Halt;
use super::tools::{Decision, capability_id, decide};
use crate::event::{EventData, RequestedCall, ToolCompleted};
use crate::store::ParkedFor;

impl Run<'_> {
    /// Asks somebody outside about calls, and parks the turn in the same append. Calls that
    /// nobody may make are refused at once, so that nobody is asked in vain.
    pub(super) async fn request(&mut self, context: &TurnContext, calls: Vec<PlannedCall>) -> Result<(), Halt> {
        let allowed = self.allowed(context, &calls).await?;
        let mut events = Vec::new();
        // A request has one time at which it expires.
        let mut requests = BTreeMap::<Duration, Vec<RequestedCall>>::new();
        for planned in calls {
            match (decide(context, &planned, allowed), planned.waits_for) {
                (Decision::Settle(refused), _) => {
                    let capability_id = capability_id(context, &refused.tool_name);
                    events.push(EventData::ToolCompleted(ToolCompleted { capability_id, ..*refused }));
                }
                (Decision::Run(tool), Some(kind)) => {
                    let limit = context.tools.timeout(&planned.call.name).unwrap_or(self.platform.wait_limit);
                    let capability_id = Some(tool.capability.id().to_owned());
                    let call = RequestedCall { tool_call: planned.call, kind, capability_id, connection_required: None };
                    requests.entry(limit).or_default().push(call);
                }
                (Decision::Run(_), None) => {}
            }
        }
        if requests.is_empty() {
            return self.journal.append(events).await;
        }
        events.extend(requests.into_iter().map(|(limit, tool_calls)| self.requested(tool_calls, limit)));
        self.journal.append_park(events, ParkedFor::Answer).await
    }

    /// A request that expires after a time, or after the longest that turns wait.
    pub(super) fn requested(&self, tool_calls: Vec<RequestedCall>, limit: Duration) -> EventData {
        let limit = limit.min(self.platform.wait_limit);
        let expires_at = self.journal.now().checked_add(limit).unwrap_or(Timestamp::MAX);
        EventData::ToolCallRequested { turn_id: self.key.turn, tool_calls, expires_at: Some(expires_at) }
    }
}
