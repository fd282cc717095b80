//! How many calls run at once, how many wait, and for how long.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::*;

/// Calls that may wait for a place.
const MAX_WAITING: usize = 4_096;

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
