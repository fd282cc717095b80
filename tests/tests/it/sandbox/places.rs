//! How many calls run at once, how many wait, and for how long.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::*;

/// Calls of one org that may wait for a place.
const MAX_WAITING: usize = 1_024;

/// A sandbox of one place, a component in it, and a call that keeps the place until it is cancelled.
async fn occupied(wall_ms: u64) -> (Arc<ComponentCapability>, tokio::task::JoinHandle<ToolOutcome>, CancellationToken) {
    let sandbox = guests::sandbox_of(1);
    let terms = |budget| Terms { version: Some(1), grant: Grant::default(), budget };
    let forever = Budget { fuel: Budget::CEILING.fuel, wall_ms: 600_000, ..SMALL };
    let spin = sandbox.open(guest("spin"), terms(forever)).await.expect("admitted");
    let echo = sandbox.open(guest("echo"), terms(Budget { wall_ms, ..SMALL })).await.expect("admitted");
    let mut context = call_context();
    let cancel = CancellationToken::new();
    context.cancel = cancel.clone();
    let spinning = tokio::spawn(async move { spin.call_tool(&context, "spin", json!({})).await });
    // On this test's one thread, the spinning call has its place after its first turn.
    tokio::task::yield_now().await;
    (Arc::new(echo), spinning, cancel)
}

#[tokio::test]
async fn a_call_waits_for_its_place_no_longer_than_its_own_time() {
    let (echo, spinning, cancel) = occupied(100).await;
    let waiting = tokio::time::timeout(Duration::from_secs(20), call(&echo, "echo", json!({ "value": 1 }))).await;
    let refused = waiting.expect("it gives up at its deadline");
    assert_eq!(stop_kind(&refused), StopKind::Busy, "the one place is taken");
    assert_eq!(refused.receipt.expect("a receipt").usage.fuel, 0, "what never ran costs nothing");
    cancel.cancel();
    assert_eq!(stop_kind(&spinning.await.expect("no panic")), StopKind::Cancelled);
    call(&echo, "echo", json!({ "value": 1 })).await.result.expect("the place is free again");
}

#[tokio::test]
async fn so_many_calls_wait_and_one_more_is_refused_at_once() {
    let (echo, spinning, cancel) = occupied(600_000).await;
    let context = call_context();
    let mut waiting = Vec::with_capacity(MAX_WAITING);
    for _ in 0..MAX_WAITING {
        let mut queued = Box::pin(echo.call_tool(&context, "echo", json!({ "value": 1 })));
        assert!(futures::poll!(queued.as_mut()).is_pending(), "it waits");
        waiting.push(queued);
    }
    let mut refused = Box::pin(echo.call_tool(&context, "echo", json!({ "value": 1 })));
    match futures::poll!(refused.as_mut()) {
        std::task::Poll::Ready(outcome) => assert_eq!(stop_kind(&outcome), StopKind::Busy),
        std::task::Poll::Pending => panic!("more calls wait than may"),
    }
    cancel.cancel();
    spinning.await.expect("no panic");
}

/// A call of an org by its number.
fn context_of(org: u128) -> everwit_runtime::capability::ToolCallContext {
    let org_id = everwit_runtime::id::OrgId::from_uuid(uuid::Uuid::from_u128(org));
    everwit_runtime::capability::ToolCallContext { org_id, ..call_context() }
}

/// Opens a guest in a sandbox.
async fn in_sandbox(sandbox: &everwit_runtime::sandbox::Sandbox, name: &str, budget: Budget) -> Arc<ComponentCapability> {
    let terms = Terms { version: Some(1), grant: Grant::default(), budget };
    Arc::new(sandbox.open(guest(name), terms).await.expect("admitted"))
}

#[tokio::test]
async fn one_org_leaves_places_for_others() {
    let sandbox = guests::sandbox_of(4);
    let spin = in_sandbox(&sandbox, "spin", Budget { fuel: Budget::CEILING.fuel, wall_ms: 600_000, ..SMALL }).await;
    let echo = in_sandbox(&sandbox, "echo", Budget { wall_ms: 5_000, ..SMALL }).await;
    let cancel = CancellationToken::new();
    let spinning: Vec<_> = (0..8)
        .map(|_| {
            let (spin, mut context) = (spin.clone(), context_of(1));
            context.cancel = cancel.clone();
            tokio::spawn(async move { spin.call_tool(&context, "spin", json!({})).await })
        })
        .collect();
    tokio::task::yield_now().await;
    let other = echo.call_tool(&context_of(2), "echo", json!({ "value": 1 })).await;
    other.result.expect("three of four places are one org's at most");
    cancel.cancel();
    for call in spinning {
        call.await.expect("no panic");
    }
}

/// All on one thread, whose own queue knows no orgs.
#[tokio::test]
async fn guests_of_a_noisy_org_do_not_go_before_those_of_a_quiet_one() {
    // More than there are turns, which are as many as processors.
    let count = 30 * std::thread::available_parallelism().expect("it is known").get();
    let sandbox = guests::sandbox_of(2 * count);
    // A slice is a million units of fuel: eighty for each of the noisy calls, 240 for the quiet one, so that it would
    // be the last to end if each guest had the same share.
    let budget = |fuel| Budget { fuel, wall_ms: 600_000, ..SMALL };
    let short = in_sandbox(&sandbox, "spin", budget(79_500_000)).await;
    let long = in_sandbox(&sandbox, "spin", budget(239_500_000)).await;
    let start = |guest: &Arc<ComponentCapability>, org| {
        let (guest, context) = (guest.clone(), context_of(org));
        async move { guest.call_tool(&context, "spin", json!({})).await }
    };
    let (quiet, noisy) = (start(&long, 2), (0..count).map(|_| start(&short, 1)).collect::<Vec<_>>());
    let quiet = tokio::spawn(quiet);
    let noisy: Vec<_> = noisy.into_iter().map(tokio::spawn).collect();
    assert_eq!(stop_kind(&quiet.await.expect("no panic")), StopKind::Fuel);
    let ended = noisy.iter().filter(|call| call.is_finished()).count();
    assert!(ended < count / 2, "{ended} of {count} calls of the noisy org ended before the one of the quiet org");
    for call in noisy {
        assert_eq!(stop_kind(&call.await.expect("no panic")), StopKind::Fuel);
    }
}
