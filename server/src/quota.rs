//! What one org may use of a server, so that it leaves something for others.
//!
//! Everything is counted in the database, so that servers count together, and one that dies forgets nothing and keeps
//! nothing: components in the transaction that stores one more; turns, open and begun ones, and bytes of events in
//! the transactions of the log; fuel, bytes of HTTP and tokens in the ledger. What a server has let begin and not stored yet
//! is remembered here.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use axum::http::StatusCode;
use everwit_runtime::id::OrgId;
use everwit_runtime::mutation::off;
use everwit_runtime::store::SessionLog;
use everwit_runtime::usage::{BegunTurns, OrgAllowance, TurnRate};
use jiff::Timestamp;

use crate::problem::Problem;

/// Limits of each org.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrgLimits {
    /// Turns that begin in a minute on all servers, 1 to 1,000,000. Default: 600.
    pub turns_per_minute: u32,
    /// Sessions with a turn that runs, waits or is parked, 1 to 1,000,000. Default: 10,000.
    pub open_turns: u32,
    /// Bytes of all versions of all components that are stored, at least 1; bytes of archived versions make room when an upload needs
    /// it. Default: 2 GiB.
    pub component_bytes: u64,
    /// Components, archived ones included while their bytes are stored, 1 to 1,000,000. Default: 1,000.
    pub components: u32,
    /// What turns and calls are held against, each 1 to 2^50. Default: 10 GiB of events, and nothing else:
    /// tokens are not limited but by the budgets of the org.
    pub allowance: OrgAllowance,
}

impl Default for OrgLimits {
    fn default() -> Self {
        let allowance = OrgAllowance { event_bytes: Some(EVENT_BYTES), ..OrgAllowance::default() };
        Self { turns_per_minute: 600, open_turns: 10_000, component_bytes: 2 << 30, components: 1_000, allowance }
    }
}

/// What an org may have of stored events unless somebody says otherwise, in bytes.
pub(crate) const EVENT_BYTES: u64 = 10 << 30;

const MILLIS_PER_MINUTE: u64 = 60_000;
/// Orgs of which something is remembered. One that began nothing for two minutes is forgotten when there are more;
/// if there is none, a turn of yet another org is refused for a second.
const MAX_ORGS: usize = 100_000;

/// Holds orgs to their limits.
pub(crate) struct Quotas {
    limits: OrgLimits,
    /// What this server has let begin, also what is not stored yet: so many requests at once cannot exceed a limit together.
    turns: Mutex<HashMap<OrgId, TurnRate>>,
}

/// A turn that was counted and has not begun. Given back when it is dropped.
#[must_use = "what is not kept is given back"]
pub(crate) struct ReservedTurn<'a> {
    quotas: &'a Quotas,
    org: OrgId,
    kept: bool,
}

impl ReservedTurn<'_> {
    /// The turn has begun.
    pub(crate) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for ReservedTurn<'_> {
    fn drop(&mut self) {
        if !self.kept {
            self.quotas.give_back(self.org);
        }
    }
}

impl Quotas {
    pub(crate) fn new(limits: OrgLimits) -> Self {
        Self { limits, turns: Mutex::default() }
    }

    pub(crate) fn limits(&self) -> &OrgLimits {
        &self.limits
    }

    /// Counts a turn that is about to begin.
    ///
    /// # Errors
    /// 429, with the time after which it may; 507 if there is no room for its events; those of the store.
    pub(crate) async fn reserve_turn(&self, org: OrgId, log: &dyn SessionLog, now: Timestamp) -> Result<ReservedTurn<'_>, Problem> {
        let usage = log.log_usage(org, now).await?;
        self.check_bytes(usage.event_bytes)?;
        let (open, most) = (usage.busy_sessions, self.limits.open_turns);
        if open >= u64::from(most) && !off("server.open_turns") {
            let detail = format!("{open} sessions of the org have turns that have not ended; at most {most} may");
            return Err(Problem::busy(StatusCode::TOO_MANY_REQUESTS, "too_many_turns", detail, 5));
        }
        self.take(org, usage.begun, now).map_err(|seconds| {
            let detail = format!("at most {} turns of the org begin in a minute", self.limits.turns_per_minute);
            Problem::busy(StatusCode::TOO_MANY_REQUESTS, "too_many_turns", detail, seconds)
        })?;
        Ok(ReservedTurn { quotas: self, org, kept: false })
    }

    /// Checks that there is room for a session's events.
    ///
    /// # Errors
    /// 507 if there is none; those of the store.
    pub(crate) async fn check_room(&self, org: OrgId, log: &dyn SessionLog, now: Timestamp) -> Result<(), Problem> {
        self.check_bytes(log.log_usage(org, now).await?.event_bytes)
    }

    fn check_bytes(&self, stored: u64) -> Result<(), Problem> {
        match self.limits.allowance.event_bytes {
            Some(most) if stored >= most && !off("server.event_bytes") => {
                let detail = format!(
                    "the sessions of the org have {stored} bytes of events, of {most} that they may have; delete sessions that nobody \
                     needs, or have the operator raise --org-event-bytes"
                );
                Err(Problem::new(StatusCode::INSUFFICIENT_STORAGE, "quota_exceeded", detail))
            }
            _ => Ok(()),
        }
    }

    /// Takes a turn, or says in how many seconds there is one. `stored` is what all servers have stored.
    fn take(&self, org: OrgId, stored: BegunTurns, now: Timestamp) -> Result<(), u64> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if turns.len() >= MAX_ORGS && !turns.contains_key(&org) {
            turns.retain(|_, rate| rate.at(now) != BegunTurns::default());
            if turns.len() >= MAX_ORGS {
                return Err(1);
            }
        }
        let rate = turns.entry(org).or_default();
        let own = rate.at(now);
        let begun =
            BegunTurns { this_minute: own.this_minute.max(stored.this_minute), last_minute: own.last_minute.max(stored.last_minute) };
        match wait(begun, u64::from(self.limits.turns_per_minute), now).filter(|_| !off("server.turns_per_minute")) {
            None => {
                rate.count(now);
                Ok(())
            }
            Some(millis) => Err(millis.div_ceil(1_000)),
        }
    }

    fn give_back(&self, org: OrgId) {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rate) = turns.get_mut(&org) {
            rate.give_back();
        }
    }
}

/// How long the next turn has to wait, in milliseconds; none if it may begin now. Of the turns of the last minute, as
/// large a part counts as is within the last sixty seconds, as if they had begun evenly.
fn wait(begun: BegunTurns, most: u64, now: Timestamp) -> Option<u64> {
    let passed = u64::try_from(now.as_millisecond().rem_euclid(MILLIS_PER_MINUTE as i64)).expect("a remainder is not negative");
    let BegunTurns { this_minute, last_minute } = begun;
    // After how many milliseconds of a minute so few of the minute before it count that one more fits.
    let fits = |began: u64, before: u64| {
        let room = u128::from(most.checked_sub(began + 1)?) * u128::from(MILLIS_PER_MINUTE);
        let counts = room.checked_div(u128::from(before)).unwrap_or(u128::MAX).min(u128::from(MILLIS_PER_MINUTE));
        Some(MILLIS_PER_MINUTE - u64::try_from(counts).expect("it is at most a minute"))
    };
    let at = match fits(this_minute, last_minute) {
        Some(at) => at,
        None => MILLIS_PER_MINUTE + fits(0, this_minute).unwrap_or(MILLIS_PER_MINUTE),
    };
    at.checked_sub(passed).filter(|millis| *millis > 0)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn org(number: u128) -> OrgId {
        OrgId::from_uuid(Uuid::from_u128(number))
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(millis).expect("a time")
    }

    fn quotas(turns_per_minute: u32) -> Quotas {
        Quotas::new(OrgLimits { turns_per_minute, ..OrgLimits::default() })
    }

    const NONE: BegunTurns = BegunTurns { this_minute: 0, last_minute: 0 };

    #[test]
    fn a_turn_waits_until_fewer_began_in_the_last_minute() {
        let check = |this_minute, last_minute, most, millis: i64, expected: Option<u64>| {
            let begun = BegunTurns { this_minute, last_minute };
            assert_eq!(wait(begun, most, at(600_000 + millis)), expected, "{begun:?} of {most} after {millis} ms");
        };
        check(0, 0, 6, 0, None);
        check(5, 0, 6, 0, None);
        check(6, 0, 6, 15_000, Some(45_000 + 10_000));
        check(0, 6, 6, 0, Some(10_000));
        check(0, 6, 6, 9_999, Some(1));
        check(0, 6, 6, 10_000, None);
        check(3, 6, 6, 30_000, Some(10_000));
        check(3, 6, 6, 40_000, None);
        check(1, 0, 1, 59_999, Some(1 + 60_000));
        check(0, 1, 1, 0, Some(60_000));
        check(0, 1, 1, 59_999, Some(1));
        check(2, 0, 1, 0, Some(120_000));
        check(0, u64::MAX, u64::MAX, 0, Some(1));
    }

    #[test]
    fn turns_that_other_servers_stored_count_as_well() {
        let (own, here) = (quotas(3), at(0));
        let stored = |this_minute| BegunTurns { this_minute, last_minute: 0 };
        own.take(org(1), stored(2), here).expect("one is left");
        assert!(own.take(org(1), stored(3), here).is_err());
        own.take(org(1), stored(1), here).expect("the larger of both counts, because what was stored here is in both");
        own.take(org(2), NONE, here).expect("another org has its own");
    }

    #[test]
    fn requests_at_once_do_not_exceed_the_limit_together() {
        let quotas = quotas(6);
        // None of them is stored yet.
        (0..6).for_each(|_| quotas.take(org(1), NONE, at(0)).expect("a full minute"));
        assert_eq!(quotas.take(org(1), NONE, at(0)), Err(70));
        assert_eq!(quotas.take(org(1), NONE, at(69_999)), Err(1));
        quotas.take(org(1), NONE, at(70_000)).expect("a sixth of the last minute has passed");
        (0..6).for_each(|_| quotas.take(org(1), NONE, at(1_000_000)).expect("a minute is the most that is saved up"));
        assert!(quotas.take(org(1), NONE, at(1_000_000)).is_err());
    }

    #[test]
    fn so_many_orgs_are_remembered() {
        let quotas = quotas(60);
        (0..MAX_ORGS as u128).for_each(|number| quotas.take(org(number), NONE, at(0)).expect("there is room"));
        assert_eq!(quotas.take(org(u128::MAX), NONE, at(0)), Err(1));
        quotas.take(org(0), NONE, at(60_000)).expect("who is remembered goes on");
        quotas.take(org(u128::MAX), NONE, at(120_000)).expect("the others have begun nothing for long");
        assert_eq!(quotas.turns.lock().expect("nothing panics").len(), 2);
    }

    #[test]
    fn what_did_not_begin_is_given_back() {
        let quotas = quotas(1);
        quotas.take(org(1), NONE, at(0)).expect("one");
        drop(ReservedTurn { quotas: &quotas, org: org(1), kept: false });
        quotas.take(org(1), NONE, at(0)).expect("it was given back");
        ReservedTurn { quotas: &quotas, org: org(1), kept: false }.keep();
        assert!(quotas.take(org(1), NONE, at(0)).is_err(), "a turn that began is not");
    }
}
