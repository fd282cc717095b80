//! What workflows, activities and signals are given and give back.

use std::time::Duration;

use everwit_runtime::id::{OrgId, SessionId, TurnId};
use serde::{Deserialize, Serialize};

/// No payload has as many bytes, whatever a session holds.
pub const MAX_PAYLOAD_BYTES: usize = 1_024;

/// What a session's workflow begins with.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PumpInput {
    /// Tenant.
    pub org: OrgId,
    /// Session.
    pub session: SessionId,
    /// For how long a worker may be silent before another one takes over, in milliseconds.
    pub lease_ms: u64,
    /// Number of the last claim of the workflow that this one continues, or 0.
    pub claims: u64,
    /// The turn that the workflow which this one continues was about to work on.
    pub turn: Option<TurnId>,
    /// Whether there were others behind it.
    pub more: bool,
}

/// What a session's workflow is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Told {
    /// The turn.
    pub turn: TurnId,
    /// Whether to cancel it; otherwise it is new, or what it waits for may have come.
    pub cancel: bool,
}

/// What an activity is to work on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StepsInput {
    /// Tenant.
    pub org: OrgId,
    /// Session.
    pub session: SessionId,
    /// The turn that is next, as far as the workflow knows.
    pub turn: Option<TurnId>,
    /// Number of the claim.
    pub claim: u64,
}

/// What came of an activity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "next", rename_all = "snake_case")]
pub enum StepsOutput {
    /// The turn has ended.
    Ended,
    /// The turn is open; it goes on at once.
    Again,
    /// It goes on after a time.
    After {
        /// How long.
        ms: u64,
    },
    /// It goes on when the workflow is told so, at the latest after a time.
    Signal {
        /// How long.
        ms: u64,
    },
    /// Nothing of the session can go on.
    Done,
    /// Another turn of the session comes first.
    Ahead {
        /// That turn.
        turn: TurnId,
    },
    /// The session has been claimed with a newer fence.
    Behind {
        /// That fence.
        fence: u64,
    },
}

/// A time in milliseconds, not less than it is.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn size(payload: &impl Serialize) -> usize {
        serde_json::to_vec(payload).expect("it can be written").len()
    }

    #[test]
    fn no_payload_is_large() {
        let (org, session) = (OrgId::from_uuid(Uuid::max()), SessionId::from_uuid(Uuid::max()));
        let turn = TurnId::from_uuid(Uuid::max());
        let sizes = [
            size(&PumpInput { org, session, lease_ms: u64::MAX, claims: u64::MAX, turn: Some(turn), more: true }),
            size(&Told { turn, cancel: true }),
            size(&StepsInput { org, session, turn: Some(turn), claim: u64::MAX }),
            size(&StepsOutput::Ahead { turn }),
            size(&StepsOutput::Behind { fence: u64::MAX }),
        ];
        assert!(sizes.into_iter().all(|size| size < MAX_PAYLOAD_BYTES / 2), "{sizes:?}");
    }

    #[test]
    fn no_time_is_cut() {
        assert_eq!([0, 1, 1_000_000, 1_000_001].map(|nanos| millis(Duration::from_nanos(nanos))), [0, 1, 1, 2]);
        assert_eq!(millis(Duration::MAX), u64::MAX);
    }
}
