//! What a tool call of a component may use of what its org may use in a minute or a day: set aside before
//! the call, settled with what it took. A call whose process dies leaves what it had set aside; that counts
//! until the period ends, or until its turn is taken up again.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Account, Charge, OrgAllowance, Period, Reservation, Reserved};
use crate::capability::{StopKind, Stopped, ToolCallContext, ToolServices};
use crate::id::{OrgId, ReservationId};
use crate::limits::Budget;
use crate::mutation::off;
use crate::store::{StoreError, StoreResult};

const MINUTE_SECONDS: i64 = 60;

/// What a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Measure {
    Fuel,
    HttpBytes,
}

/// A limit of the org's calls.
struct Limit {
    measure: Measure,
    /// What it is called in a refusal.
    name: &'static str,
    account: Account,
    amount: u64,
    /// When its period ends.
    ends: Timestamp,
}

/// What is set aside for one call. Dropped before it is settled, it counts as used in full: what a guest
/// used that was dropped with its call is not known.
pub(crate) struct HeldCall {
    services: Arc<ToolServices>,
    org: OrgId,
    id: ReservationId,
    measures: Vec<Measure>,
    /// What to settle if nobody says what was used; empty once somebody did.
    whole: Vec<u64>,
}

impl HeldCall {
    /// Sets aside what a call may use at most; none if nothing limits it. `sends` tells whether it may use HTTP.
    ///
    /// # Errors
    /// `Quota` if that is more than is left, with the time after which there is more; `Internal` if it is not known.
    pub(crate) async fn hold(call: &ToolCallContext, budget: &Budget, sends: bool) -> Result<Option<Self>, Stopped> {
        let services = &call.services;
        let now = services.clock.now();
        let mut limits = limits(&services.allowance, now);
        limits.retain(|limit| sends || limit.measure == Measure::Fuel);
        if limits.is_empty() || off("usage.calls") {
            return Ok(None);
        }
        let whole: Vec<u64> = limits.iter().map(|limit| limit.measure.most(budget)).collect();
        let charge = |(limit, &amount): (&Limit, &u64)| Charge { account: limit.account.clone(), limit: limit.amount, amount };
        let id = ReservationId::from_uuid(services.ids.next());
        let (session, turn) = (call.session_id, call.turn_id);
        let reservation = Reservation { id, session, turn, charges: limits.iter().zip(&whole).map(charge).collect(), at: now };
        let measures = limits.iter().map(|limit| limit.measure).collect();
        let held = Self { services: services.clone(), org: call.org_id, id, measures, whole: Vec::new() };
        match apart(held.reserve(reservation, whole.clone())).await {
            Ok(Ok(held)) => Ok(Some(held)),
            Ok(Err((charge, left))) => Err(limits[charge].refuse(whole[charge], left, now)),
            Err(error) => {
                tracing::error!(%error, "a call was not executed, because what its org has used could not be read");
                Err(Stopped::new(StopKind::Internal, "what the org has used so far could not be read; the call was not executed"))
            }
        }
    }

    /// Sets the amounts aside, or says which charge has too little left, and how much.
    async fn reserve(mut self, reservation: Reservation, whole: Vec<u64>) -> StoreResult<Result<Self, (usize, u64)>> {
        let reserved = self.services.backends.usage_store.reserve(self.org, reservation).await?;
        Ok(match reserved {
            Reserved::Held => {
                self.whole = whole;
                Ok(self)
            }
            Reserved::Refused { charge, left } => Err((charge, left)),
        })
    }

    /// Counts what the call took.
    pub(crate) async fn settle(mut self, fuel: u64, http_bytes: u64) {
        self.whole = Vec::new();
        let of = |measure: &Measure| match measure {
            Measure::Fuel => fuel,
            Measure::HttpBytes => http_bytes,
        };
        let spent = self.measures.iter().map(of).collect();
        told(apart(settle(self.services.clone(), self.org, self.id, spent)).await);
    }
}

impl Drop for HeldCall {
    fn drop(&mut self) {
        let whole = std::mem::take(&mut self.whole);
        if whole.is_empty() {
            return;
        }
        let (services, org, id) = (self.services.clone(), self.org, self.id);
        // Without a runtime the process ends, and the period settles it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { told(settle(services, org, id, whole).await) });
        }
    }
}

/// Does work on the ledger to its end even if the call, which waits for it, is dropped: half of it would stay
/// reserved with nobody to settle it.
async fn apart<T: Send + 'static>(work: impl Future<Output = StoreResult<T>> + Send + 'static) -> StoreResult<T> {
    let done = tokio::runtime::Handle::current().spawn(work).await;
    done.unwrap_or_else(|error| Err(StoreError::Unavailable(format!("work on the ledger ended early: {error}"))))
}

async fn settle(services: Arc<ToolServices>, org: OrgId, id: ReservationId, spent: Vec<u64>) -> StoreResult<()> {
    services.backends.usage_store.settle(org, id, spent, services.clock.now()).await.map(drop)
}

fn told(settled: StoreResult<()>) {
    if let Err(error) = settled {
        tracing::error!(%error, "what a call used could not be counted; all that it could have used counts until its period ends");
    }
}

impl Measure {
    /// The most that one call uses.
    fn most(self, budget: &Budget) -> u64 {
        match self {
            Self::Fuel => budget.fuel,
            Self::HttpBytes => budget.http_bytes,
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Self::Fuel => "fuel",
            Self::HttpBytes => "bytes of HTTP",
        }
    }
}

impl Limit {
    fn refuse(&self, needed: u64, left: u64, now: Timestamp) -> Stopped {
        let Self { name, amount, .. } = self;
        let unit = self.measure.unit();
        if needed > *amount {
            let message = format!(
                "a call of this version may use {needed} {unit}, and the org may use {amount} {name}; activate it with a lower limit, or have the operator raise the org's"
            );
            return Stopped::new(StopKind::Quota, message);
        }
        let seconds = u64::try_from(self.ends.duration_since(now).as_secs()).unwrap_or(0).max(1);
        let message = format!(
            "the org has {left} of {amount} {unit} left that it may use {name}, and the call may need {needed}; try again in {seconds} s"
        );
        Stopped { retry_after_seconds: Some(seconds), ..Stopped::new(StopKind::Quota, message) }
    }
}

/// Everything that limits the calls of an org.
fn limits(allowance: &OrgAllowance, now: Timestamp) -> Vec<Limit> {
    let second = now.as_second().div_euclid(MINUTE_SECONDS) * MINUTE_SECONDS;
    let at = |second| Timestamp::from_second(second).unwrap_or(Timestamp::MAX);
    let minute = ("in a minute", at(second), at(second + MINUTE_SECONDS));
    let day = ("in a day", Period::Day.opened(now), Period::Day.ends(now));
    let wanted = [
        (Measure::Fuel, "fuel per minute", minute, allowance.fuel_per_minute),
        (Measure::Fuel, "fuel per day", day, allowance.fuel_per_day),
        (Measure::HttpBytes, "http bytes per day", day, allowance.http_bytes_per_day),
    ];
    let limit = |(measure, key, (name, opened, ends), amount): (Measure, &str, _, Option<u64>)| {
        Some(Limit { measure, name, account: Account::of_every_org(key, opened), amount: amount?, ends })
    };
    wanted.into_iter().filter_map(limit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_of_calls_end_with_the_minute_and_with_the_day() {
        let allowance =
            OrgAllowance { fuel_per_minute: Some(10), fuel_per_day: Some(100), http_bytes_per_day: Some(7), ..OrgAllowance::default() };
        let now: Timestamp = "2026-02-28T23:59:30.5Z".parse().expect("a time");
        let limits = limits(&allowance, now);
        let midnight = "2026-03-01T00:00:00Z".parse().expect("a time");
        assert_eq!(limits.iter().map(|limit| limit.amount).collect::<Vec<_>>(), [10, 100, 7]);
        assert!(limits.iter().all(|limit| limit.ends == midnight));
        assert_eq!(limits[0].account.opens, midnight.as_second() - 60);
        assert_eq!(limits[1].account.opens, midnight.as_second() - 24 * 3_600);
        let refused = limits[0].refuse(10, 3, now);
        assert_eq!(refused.retry_after_seconds, Some(29), "{refused}");
        assert_eq!(limits[0].refuse(11, 10, now).retry_after_seconds, None, "time does not help a call that never fits");
    }
}
