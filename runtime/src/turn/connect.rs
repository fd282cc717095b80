//! Tool calls that cannot do anything before their user connects an account.

use super::call::PlannedCall;
use super::executor::Run;
use super::journal::Halt;
use crate::capability::{CallError, ToolOutcome};
use crate::event::{RequestKind, RequestedCall};
use crate::limits::MAX_CONNECTION_REQUESTS;
use crate::mutation::off;

/// What an executed call asks its user for; none if it has its result. A call that asks again and
/// again although the user has connected is not believed any more.
pub(super) fn asks(planned: &PlannedCall, outcome: &ToolOutcome, capability_id: Option<String>) -> Option<RequestedCall> {
    let most = if off("turn.connection_requests") { 4 * MAX_CONNECTION_REQUESTS } else { MAX_CONNECTION_REQUESTS };
    match &outcome.result {
        Err(CallError::ConnectionRequired { provider }) if planned.connection_requests < most => Some(RequestedCall {
            tool_call: planned.call.clone(),
            kind: RequestKind::Connection,
            capability_id,
            connection_required: Some(provider.clone()),
        }),
        _ => None,
    }
}

impl Run<'_> {
    /// Looks once more, now that the turn is parked: a user who connected while it was on its way
    /// there found nothing to wake. Tells whether the turn goes on.
    pub(super) async fn connected_meanwhile(&mut self) -> Result<bool, Halt> {
        let calls = self.journal.state().unsettled_calls();
        if !calls.iter().any(|call| call.requested && call.waits_for == Some(RequestKind::Connection)) {
            return Ok(false);
        }
        let (org, session) = (self.key.org, self.key.session);
        let accepted = self.platform.outside_desk().connect(org, session).await.map_err(|error| Halt::Failed(error.into()))?;
        if !accepted.is_some_and(|accepted| accepted.wakes_turn) {
            return Ok(false);
        }
        // The first append finds that the log went on, and reads what is there.
        let activated = self.activated();
        match self.journal.append(vec![activated.clone()]).await {
            Err(Halt::Overtaken) => self.journal.append(vec![activated]).await?,
            done => done?,
        }
        Ok(true)
    }
}
