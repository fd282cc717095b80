//! What the calls of an org may use of fuel and of the network together, in one ledger.

use std::sync::atomic::{AtomicI64, Ordering};

use everwit_runtime::capability::{ToolCallContext, ToolServices};
use everwit_runtime::clock::Clock;
use everwit_runtime::id::OrgId;
use everwit_runtime::usage::{Account, OrgAllowance};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::imports::{answer_of, fetcher};
use super::*;

#[derive(Default)]
struct SetClock(AtomicI64);

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.0.load(Ordering::Relaxed)).expect("a time")
    }
}

/// Calls of two orgs that are held to an allowance, at a time that is set.
struct Held {
    clock: Arc<SetClock>,
    services: Arc<ToolServices>,
}

impl Held {
    async fn to(allowance: OrgAllowance) -> Self {
        let (before, clock) = (guests::tool_services(), Arc::new(SetClock::default()));
        for org in [1, 2] {
            let id = OrgId::from_uuid(Uuid::from_u128(org));
            before.backends.org_store.add_org(id, &format!("org-{org}"), Timestamp::UNIX_EPOCH).await.expect("a new org");
        }
        let (backends, egress, ids) = (before.backends.clone(), before.egress.clone(), before.ids.clone());
        let services = Arc::new(ToolServices { backends, egress, ids, clock: clock.clone(), allowance });
        Self { clock, services }
    }

    async fn to_fuel(per_minute: u64) -> Self {
        Self::to(OrgAllowance { fuel_per_minute: Some(per_minute), ..OrgAllowance::default() }).await
    }

    /// What the first org has used in the first minute, and what is set aside.
    async fn balance(&self) -> (u64, u64) {
        let account = Account { key: "every org: fuel per minute".to_owned(), opens: 0 };
        let org = self.context(1).org_id;
        let balance = self.services.backends.usage_store.read_balance(org, &account).await.expect("a balance");
        (balance.spent, balance.reserved)
    }

    /// Lets others run until it is that.
    async fn until(&self, balance: (u64, u64)) {
        while self.balance().await != balance {
            tokio::task::yield_now().await;
        }
    }

    fn context(&self, org: u128) -> ToolCallContext {
        let org_id = OrgId::from_uuid(Uuid::from_u128(org));
        ToolCallContext { org_id, services: self.services.clone(), ..call_context() }
    }
}

/// Seconds after which a refused call is told to come again.
fn refused(outcome: &ToolOutcome) -> Option<u64> {
    assert_eq!(stop_kind(outcome), StopKind::Quota, "{:?}", outcome.result);
    assert_eq!(outcome.receipt.as_ref().expect("a receipt").usage.fuel, 0, "what never ran costs nothing");
    let Err(CallError::Stopped(stopped)) = &outcome.result else { unreachable!("stop_kind has checked it") };
    stopped.retry_after_seconds
}

#[tokio::test]
async fn an_org_has_so_much_fuel_in_a_minute() {
    let held = Held::to_fuel(SMALL.fuel + SMALL.fuel / 2).await;
    let spin = open("spin", SMALL).await;
    let call = async |org| spin.call_tool(&held.context(org), "spin", json!({})).await;
    assert_eq!(stop_kind(&call(1).await), StopKind::Fuel, "the first one has all that it may use");
    held.clock.0.store(50, Ordering::Relaxed);
    assert_eq!(refused(&call(1).await), Some(10), "half of a call is left");
    assert_eq!(stop_kind(&call(2).await), StopKind::Fuel, "another org has its own");
    held.clock.0.store(60, Ordering::Relaxed);
    assert_eq!(stop_kind(&call(1).await), StopKind::Fuel, "it is another minute");
}

#[tokio::test]
async fn what_a_call_did_not_use_is_given_back() {
    let held = Held::to_fuel(SMALL.fuel + 1).await;
    let echo = open("echo", SMALL).await;
    let once = echo.call_tool(&held.context(1), "echo", json!({ "value": 1 })).await;
    let fuel = once.receipt.expect("a receipt").usage.fuel;
    assert!(fuel > 1 && fuel < SMALL.fuel / 10, "{fuel}");
    // The next one could use more than is left, and is not executed; with a lower limit it is.
    assert!(refused(&echo.call_tool(&held.context(1), "echo", json!({ "value": 1 })).await).is_some());
    let modest = open("echo", Budget { fuel: SMALL.fuel / 10, ..SMALL }).await;
    for _ in 0..9 {
        modest.call_tool(&held.context(1), "echo", json!({ "value": 1 })).await.result.expect("what is given back is there");
    }
}

#[tokio::test]
async fn calls_at_the_same_time_do_not_exceed_the_orgs_fuel_together() {
    let held = Held::to_fuel(2 * SMALL.fuel - 1).await;
    let spin = Arc::new(open("spin", SMALL).await);
    let cancel = CancellationToken::new();
    let context = ToolCallContext { cancel: cancel.clone(), ..held.context(1) };
    let mut first = Box::pin(spin.call_tool(&context, "spin", json!({})));
    assert!(futures::poll!(first.as_mut()).is_pending(), "it runs");
    assert!(refused(&spin.call_tool(&held.context(1), "spin", json!({})).await).is_some(), "the other has set its fuel aside");
    cancel.cancel();
    first.await.result.expect_err("it never ends by itself");
}

#[tokio::test]
async fn a_call_that_is_dropped_counts_in_full() {
    let held = Held::to_fuel(2 * SMALL.fuel - 1).await;
    let spin = open("spin", SMALL).await;
    let context = held.context(1);
    let mut dropped = Box::pin(spin.call_tool(&context, "spin", json!({})));
    while held.balance().await != (0, SMALL.fuel) {
        assert!(futures::poll!(dropped.as_mut()).is_pending(), "it runs");
        tokio::task::yield_now().await;
    }
    drop(dropped);
    held.until((SMALL.fuel, 0)).await;
}

#[tokio::test]
async fn a_call_that_is_dropped_at_any_moment_leaves_nothing_reserved() {
    let echo = open("echo", SMALL).await;
    let (mut polls, mut ended) = (0, false);
    while !ended {
        let held = Held::to_fuel(2 * SMALL.fuel).await;
        let context = held.context(1);
        let mut dropped = Box::pin(echo.call_tool(&context, "echo", json!({ "value": 1 })));
        for _ in 0..=polls {
            ended = futures::poll!(dropped.as_mut()).is_ready();
            if ended {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(dropped);
        while held.balance().await.1 > 0 || held.balance().await.0 == 0 {
            tokio::task::yield_now().await;
        }
        polls += 1;
    }
    assert!(polls > 2, "it was dropped while it reserved, while it ran, and while it settled: {polls}");
}

#[tokio::test]
async fn an_org_exchanges_so_many_bytes_over_http_in_a_day() {
    let held = Held::to(OrgAllowance { http_bytes_per_day: Some(25_000), ..OrgAllowance::default() }).await;
    let budget = Budget { http_bytes: 20_000, ..SMALL };
    let (fetcher, _) = fetcher(answer_of(10_000), budget).await;
    let fetch = async || fetcher.call_tool(&held.context(1), "fetch", json!({ "url": "http://a.test/" })).await;
    held.clock.0.store(3_600, Ordering::Relaxed);
    fetch().await.result.expect("nothing was used before");
    assert_eq!(refused(&fetch().await), Some(23 * 3_600), "15,000 are left, and it may use 20,000");
    let echo = open("echo", SMALL).await;
    echo.call_tool(&held.context(1), "echo", json!({ "value": 1 })).await.result.expect("it may not send anything");
    held.clock.0.store(24 * 3_600, Ordering::Relaxed);
    fetch().await.result.expect("it is another day");
}

#[tokio::test]
async fn a_call_that_can_never_fit_is_told_so() {
    let held = Held::to_fuel(SMALL.fuel - 1).await;
    let echo = open("echo", SMALL).await;
    let outcome = echo.call_tool(&held.context(1), "echo", json!({ "value": 1 })).await;
    assert_eq!(refused(&outcome), None, "time does not help");
    let said = format!("{:?}", outcome.result);
    assert!(said.contains("activate it with a lower limit"), "{said}");
}
