//! Accounting of one call: what the host did on the guest's behalf, in fuel, bytes and time.
//!
//! The engine counts guest code and nothing else: a host call that copies a megabyte costs the
//! guest four units of fuel and the host as much time as 80,000. So every import charges the
//! ledger, and guest fuel and ledger together may not exceed the budget. The ledger stands
//! beside the engine's fuel instead of taking from it, because setting the fuel inside an import
//! re-arms the engine's yield interval and a guest that floods imports would never yield.

use std::time::{Duration, Instant};

use super::trap::Stop;
use crate::capability::StopKind;
use crate::mutation::off;

/// Fuel for one host call: about 50 ns of host time at 0.25 ns a unit of fuel.
const FUEL_PER_HOST_CALL: u64 = 200;
/// Bytes copied for one unit of fuel, measured to cost as much as one unit of guest code.
const BYTES_PER_FUEL: u64 = 8;
/// Host work after which an import yields to the executor, in fuel: well under a millisecond.
const YIELD_EVERY_FUEL: u64 = 1_000_000;

/// The account of one call.
#[derive(Debug)]
pub(super) struct Ledger {
    limit: u64,
    spent: u64,
    since_yield: u64,
    host: Duration,
    entered: Option<Instant>,
    depth: u32,
    pub(super) host_calls: u64,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
}

impl Ledger {
    /// An account that may spend `limit` units of fuel.
    pub(super) fn new(limit: u64) -> Self {
        Self { limit, spent: 0, since_yield: 0, host: Duration::ZERO, entered: None, depth: 0, host_calls: 0, bytes_in: 0, bytes_out: 0 }
    }

    /// Fuel spent so far.
    pub(super) fn spent(&self) -> u64 {
        self.spent
    }

    /// Time spent in host calls so far.
    pub(super) fn host_time(&self) -> Duration {
        self.host
    }

    /// Starts the clock of a host call. WASI calls are bracketed by the engine's hook and our
    /// own by themselves, so brackets nest; only the outermost counts.
    pub(super) fn enter(&mut self) {
        self.depth += 1;
        if self.depth == 1 {
            self.entered = Some(Instant::now());
        }
    }

    /// Stops the clock.
    pub(super) fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        if self.depth == 0
            && let Some(entered) = self.entered.take()
        {
            self.host += entered.elapsed();
        }
    }

    /// Charges one host call that was given `bytes`.
    pub(super) fn charge_call(&mut self, bytes: u64) -> Result<(), Stop> {
        self.host_calls += 1;
        self.bytes_out += bytes;
        self.charge(FUEL_PER_HOST_CALL + bytes / BYTES_PER_FUEL)
    }

    /// Charges `bytes` that a host call returns.
    pub(super) fn charge_return(&mut self, bytes: u64) -> Result<(), Stop> {
        self.bytes_in += bytes;
        self.charge(bytes / BYTES_PER_FUEL)
    }

    /// Charges `bytes` that the host works on for the guest without handing them on.
    pub(super) fn charge_work(&mut self, bytes: u64) -> Result<(), Stop> {
        self.charge(bytes / BYTES_PER_FUEL)
    }

    fn charge(&mut self, fuel: u64) -> Result<(), Stop> {
        if off("fuel.host_work") {
            return Ok(());
        }
        self.spent = self.spent.saturating_add(fuel);
        self.since_yield = self.since_yield.saturating_add(fuel);
        if self.spent > self.limit {
            return Err(Stop::new(StopKind::Fuel, format!("host calls alone used up the fuel limit of {}", self.limit)));
        }
        Ok(())
    }

    /// Lets other tasks run if enough host work was done since the last time.
    pub(super) async fn yield_if_due(&mut self) {
        if self.since_yield >= YIELD_EVERY_FUEL && !off("fuel.yield_of_host_work") {
            self.since_yield = 0;
            tokio::task::yield_now().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_calls_and_the_bytes_they_copy_cost_fuel() {
        let mut ledger = Ledger::new(10_000);
        ledger.charge_call(0).expect("within the limit");
        assert_eq!(ledger.spent(), 200);
        ledger.charge_call(8_000).expect("within the limit");
        assert_eq!(ledger.spent(), 1_400);
        ledger.charge_return(16_000).expect("within the limit");
        assert_eq!(ledger.spent(), 3_400);
        assert_eq!((ledger.host_calls, ledger.bytes_out, ledger.bytes_in), (2, 8_000, 16_000));
        ledger.charge_return(8 * 6_600).expect("exactly the limit");
        let stop = ledger.charge_call(0).expect_err("beyond the limit");
        assert!(stop.to_string().contains("limit of 10000"), "{stop}");
    }

    /// A guest that calls the host with much, and computes little itself, gives way as well.
    #[tokio::test]
    async fn host_work_gives_way_after_so_much_fuel() {
        let mut ledger = Ledger::new(u64::MAX);
        ledger.charge_return(BYTES_PER_FUEL * (YIELD_EVERY_FUEL - 1)).expect("within the limit");
        assert!(futures::poll!(std::pin::pin!(ledger.yield_if_due())).is_ready(), "not yet");
        ledger.charge_return(BYTES_PER_FUEL).expect("within the limit");
        assert!(futures::poll!(std::pin::pin!(ledger.yield_if_due())).is_pending(), "others run first");
        assert!(futures::poll!(std::pin::pin!(ledger.yield_if_due())).is_ready(), "and then it goes on");
    }
}
