//! The end of waiting: what nobody settled in time is settled by the platform.

use jiff::Timestamp;

use super::{Accepted, Asked, OutsideDesk, OutsideError, Statement};
use crate::event::{EventData, RequestKind, ToolCompleted, ToolStatus};
use crate::id::{OrgId, SessionId};
use crate::mutation::off;
use crate::store::StoreResult;
use crate::turn::settle::{fate_of, unsuccessful};
use crate::turn::state::millis;

/// That nobody has settled a call in time.
struct Expired {
    tool_call_id: String,
    deadline: Timestamp,
}

impl Statement for Expired {
    const WHAT: &'static str = "calls that nobody settled in time";

    fn suits(_kind: RequestKind) -> bool {
        true
    }

    fn call_id(&self) -> &str {
        &self.tool_call_id
    }

    fn check(&self) -> Result<(), OutsideError> {
        Ok(())
    }

    fn events(&self, asked: &Asked, now: Timestamp) -> Vec<EventData> {
        let nobody = match asked.planned.waits_for {
            Some(RequestKind::ClientSide) => "no client has sent a result",
            Some(RequestKind::Question) => "the user has not answered",
            Some(RequestKind::Approval) => "nobody has allowed or refused the call",
            Some(RequestKind::Connection) => "the user has not connected the account",
            None => "nobody has settled the call",
        };
        let error = format!("timed out: {nobody} by {}; {}", self.deadline, fate_of(&asked.planned));
        let settled = unsuccessful(&asked.planned, ToolStatus::Timeout, "timed_out", error);
        let (duration_ms, capability_id) = (millis(asked.request.at, now), asked.request.capability_id.clone());
        vec![EventData::ToolCompleted(ToolCompleted { duration_ms, capability_id, ..settled })]
    }
}

impl OutsideDesk<'_> {
    /// Settles the calls of a session whose time to wait is over; none if there are no such calls. The
    /// model is told that nobody settled them. After the last one the turn has to be given to an engine.
    ///
    /// # Errors
    /// Those of the stores.
    pub async fn expire(&self, org: OrgId, session: SessionId) -> Result<Option<Accepted>, OutsideError> {
        let now = self.clock.now();
        let mut expired: Vec<Expired> = self.deadlines(org, session).await?;
        expired.retain(|call| call.deadline <= now);
        if expired.is_empty() {
            return Ok(None);
        }
        match self.place(org, session, &expired).await {
            Ok(accepted) => Ok(Some(accepted)),
            // Somebody settled one of them just now; the others are found the next time.
            Err(OutsideError::NotWaiting { .. } | OutsideError::Unknown { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// When the next call of a session has waited for long enough; none if it waits for nothing, or
    /// without a limit.
    ///
    /// # Errors
    /// Those of the stores.
    pub async fn deadline(&self, org: OrgId, session: SessionId) -> StoreResult<Option<Timestamp>> {
        Ok(self.deadlines(org, session).await?.into_iter().map(|call| call.deadline).min())
    }

    /// The calls that wait, and until when.
    async fn deadlines(&self, org: OrgId, session: SessionId) -> StoreResult<Vec<Expired>> {
        let Some(waiting) = self.waiting(org, session).await? else { return Ok(Vec::new()) };
        let asked = waiting.state.unsettled_calls().into_iter().filter(|call| call.requested && call.waits_for.is_some());
        let expires = |id: String| {
            let deadline = waiting.requested.get(&id)?.expires_at.filter(|_| !off("turn.wait"))?;
            Some(Expired { tool_call_id: id, deadline })
        };
        Ok(asked.filter_map(|planned| expires(planned.call.id)).collect())
    }
}
