//! What one org may use of a server, so that it leaves something for others.
//!
//! Stored components are counted where they are stored, in the transaction that stores one more; open
//! turns are counted in the log, so a server that dies forgets none and keeps none; fuel, bytes of HTTP and
//! tokens are counted in the ledger. How many turns begin in a minute is counted here, in each server by itself.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use axum::http::StatusCode;
use everwit_runtime::id::OrgId;
use everwit_runtime::store::SessionLog;
use everwit_runtime::usage::OrgAllowance;
use jiff::Timestamp;

use crate::problem::Problem;

/// Limits of each org.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrgLimits {
    /// Turns that begin in a minute, 1 to 1,000,000; as many may begin at once after a quiet minute. Default: 600.
    pub turns_per_minute: u32,
    /// Sessions with a turn that runs, waits or is parked, 1 to 1,000,000. Default: 10,000.
    pub open_turns: u32,
    /// Bytes of all versions of all components that are stored, at least 1; bytes of archived versions make room when an upload needs
    /// it. Default: 2 GiB.
    pub component_bytes: u64,
    /// Components, archived ones included while their bytes are stored, 1 to 1,000,000. Default: 1,000.
    pub components: u32,
    /// What turns and calls are held against in the ledger, each 1 to 2^50. Default: none, and tokens are
    /// not limited but by the budgets of the org.
    pub allowance: OrgAllowance,
}

impl Default for OrgLimits {
    fn default() -> Self {
        Self { turns_per_minute: 600, open_turns: 10_000, component_bytes: 2 << 30, components: 1_000, allowance: OrgAllowance::default() }
    }
}

/// Thousandths of a turn, so that what a moment adds is a whole number.
const PARTS: u64 = 1_000;
const MILLIS_PER_MINUTE: u64 = 60_000;
/// Orgs of which something is remembered. One whose minute is full again is forgotten when there are more;
/// if there is none, a turn of yet another org is refused for a second.
const MAX_ORGS: usize = 100_000;

/// How much of its limits each org has used.
pub(crate) struct Quotas {
    limits: OrgLimits,
    turns: Mutex<HashMap<OrgId, Bucket>>,
}

/// What is left for an org, and when that was.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    parts: u64,
    at: Timestamp,
}

impl Bucket {
    fn filled(self, limits: &OrgLimits, now: Timestamp) -> Self {
        let full = u64::from(limits.turns_per_minute) * PARTS;
        // A clock that went back adds nothing.
        let millis = u64::try_from(now.duration_since(self.at).as_millis()).unwrap_or(0);
        let added = u128::from(millis) * u128::from(full) / u128::from(MILLIS_PER_MINUTE);
        let parts = u128::from(self.parts) + added;
        Self { parts: u64::try_from(parts).unwrap_or(full).min(full), at: self.at.max(now) }
    }
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
    /// 429, with the time after which it may; those of the store.
    pub(crate) async fn reserve_turn(&self, org: OrgId, log: &dyn SessionLog, now: Timestamp) -> Result<ReservedTurn<'_>, Problem> {
        let open = log.busy_sessions(org).await?;
        let most = self.limits.open_turns;
        if open >= u64::from(most) {
            let detail = format!("{open} sessions of the org have turns that have not ended; at most {most} may");
            return Err(Problem::busy(StatusCode::TOO_MANY_REQUESTS, "too_many_turns", detail, 5));
        }
        self.take(org, now).map_err(|seconds| {
            let detail = format!("at most {} turns of the org begin in a minute", self.limits.turns_per_minute);
            Problem::busy(StatusCode::TOO_MANY_REQUESTS, "too_many_turns", detail, seconds)
        })?;
        Ok(ReservedTurn { quotas: self, org, kept: false })
    }

    /// Takes a turn, or says in how many seconds there is one.
    fn take(&self, org: OrgId, now: Timestamp) -> Result<(), u64> {
        let full = u64::from(self.limits.turns_per_minute) * PARTS;
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if turns.len() >= MAX_ORGS && !turns.contains_key(&org) {
            turns.retain(|_, bucket| bucket.filled(&self.limits, now).parts < full);
            if turns.len() >= MAX_ORGS {
                return Err(1);
            }
        }
        let bucket = turns.entry(org).or_insert(Bucket { parts: full, at: now });
        *bucket = bucket.filled(&self.limits, now);
        match bucket.parts.checked_sub(PARTS) {
            Some(left) => {
                bucket.parts = left;
                Ok(())
            }
            None => {
                let missing_millis = (PARTS - bucket.parts) * MILLIS_PER_MINUTE / full;
                Err(missing_millis.div_ceil(1_000).max(1))
            }
        }
    }

    fn give_back(&self, org: OrgId) {
        let full = u64::from(self.limits.turns_per_minute) * PARTS;
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = turns.get_mut(&org) {
            bucket.parts = (bucket.parts + PARTS).min(full);
        }
    }
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

    #[test]
    fn a_minute_has_so_many_turns_and_refills_evenly() {
        let quotas = Quotas::new(OrgLimits { turns_per_minute: 6, ..OrgLimits::default() });
        (0..6).for_each(|_| quotas.take(org(1), at(0)).expect("a full minute"));
        assert_eq!(quotas.take(org(1), at(0)), Err(10), "one turn in ten seconds");
        assert_eq!(quotas.take(org(1), at(9_000)), Err(1));
        quotas.take(org(1), at(10_000)).expect("ten seconds have passed");
        assert_eq!(quotas.take(org(1), at(9_000)), Err(10), "a clock that goes back adds nothing");
        quotas.take(org(2), at(0)).expect("another org has its own");
        (0..6).for_each(|_| quotas.take(org(1), at(1_000_000)).expect("a minute is the most that is saved up"));
        assert!(quotas.take(org(1), at(1_000_000)).is_err());
    }

    #[test]
    fn so_many_orgs_are_remembered() {
        let quotas = Quotas::new(OrgLimits { turns_per_minute: 60, ..OrgLimits::default() });
        (0..MAX_ORGS as u128).for_each(|number| quotas.take(org(number), at(0)).expect("there is room"));
        assert_eq!(quotas.take(org(u128::MAX), at(0)), Err(1));
        quotas.take(org(0), at(0)).expect("who is remembered goes on");
        quotas.take(org(u128::MAX), at(1_000)).expect("the others' minutes are full again");
        assert_eq!(quotas.turns.lock().expect("nothing panics").len(), 2);
    }

    #[test]
    fn what_did_not_begin_is_given_back() {
        let quotas = Quotas::new(OrgLimits { turns_per_minute: 1, ..OrgLimits::default() });
        quotas.take(org(1), at(0)).expect("one");
        drop(ReservedTurn { quotas: &quotas, org: org(1), kept: false });
        quotas.take(org(1), at(0)).expect("it was given back");
        ReservedTurn { quotas: &quotas, org: org(1), kept: false }.keep();
        assert!(quotas.take(org(1), at(0)).is_err(), "a turn that began is not");
    }
}
