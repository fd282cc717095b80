//! Calls that wait until their user has connected an account: what lets them go on.

use jiff::Timestamp;

use super::{Accepted, Asked, OutsideDesk, OutsideError, Statement};
use crate::event::{EventData, RequestKind};
use crate::id::{OrgId, SessionId};

/// That the user has connected an account that a call asked for.
struct ConnectionMade {
    tool_call_id: String,
    provider: String,
}

impl Statement for ConnectionMade {
    const WHAT: &'static str = "connections";

    fn suits(kind: RequestKind) -> bool {
        kind == RequestKind::Connection
    }

    fn call_id(&self) -> &str {
        &self.tool_call_id
    }

    fn check(&self) -> Result<(), OutsideError> {
        Ok(())
    }

    fn events(&self, asked: &Asked, _now: Timestamp) -> Vec<EventData> {
        let (tool_call_id, tool_name) = (self.tool_call_id.clone(), asked.planned.call.name.clone());
        vec![EventData::ToolConnectionMade { tool_call_id, tool_name, provider: self.provider.clone() }]
    }
}

impl OutsideDesk<'_> {
    /// Lets those calls of a session go on whose credential can be had by now; they are executed
    /// again as they were requested, without another model call. None if there are no such calls.
    /// After the last one the turn has to be given to an engine. To be called when a user has
    /// connected, or a session was given a secret.
    ///
    /// # Errors
    /// Those of the stores.
    pub async fn connect(&self, org: OrgId, session: SessionId) -> Result<Option<Accepted>, OutsideError> {
        let Some(resolver) = &self.backends.connection_resolver else { return Ok(None) };
        let Some(waiting) = self.waiting(org, session).await? else { return Ok(None) };
        let mut made = Vec::new();
        for planned in waiting.state.unsettled_calls() {
            let Some(provider) = planned.connection.filter(|_| planned.waits_for == Some(RequestKind::Connection)) else { continue };
            match resolver.connection(org, session, &provider).await {
                Ok(Some(_)) => made.push(ConnectionMade { tool_call_id: planned.call.id, provider }),
                Ok(None) => {}
                Err(error) => tracing::warn!(%session, provider, %error, "a call goes on waiting for a connection"),
            }
        }
        if made.is_empty() {
            return Ok(None);
        }
        match self.place(org, session, &made).await {
            Ok(accepted) => Ok(Some(accepted)),
            // Somebody else was faster.
            Err(OutsideError::NotWaiting { .. } | OutsideError::Unknown { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
