use std::time::Duration;

use uuid::Uuid;

use super::*;

fn org(number: u128) -> OrgId {
    OrgId::from_uuid(Uuid::from_u128(number))
}

/// As the engine yields when a slice of fuel is used up: ready again at once.
async fn yield_now() {
    let mut yielded = false;
    poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Yields so often, and notes each slice.
async fn spin(name: &'static str, slices: usize, seen: Arc<Mutex<Vec<&'static str>>>) {
    for _ in 0..slices {
        seen.lock().expect("nothing panics").push(name);
        yield_now().await;
    }
}

/// Whether it runs on a thread of the background.
fn in_background() -> bool {
    thread::current().name() == Some("guests")
}

#[tokio::test]
async fn a_guest_that_comes_late_does_not_wait_for_all_guests_of_another_org() {
    let turns = Arc::new(Turns::start(1).expect("it starts"));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let start = |number, name, slices| {
        let (turns, seen) = (turns.clone(), seen.clone());
        tokio::spawn(async move { turns.run(org(number), spin(name, slices, seen)).await })
    };
    let noisy: Vec<_> = (0..100).map(|_| start(1, "noisy", 2_000)).collect();
    while seen.lock().expect("nothing panics").len() < 300 {
        tokio::task::yield_now().await;
    }
    start(2, "quiet", 5).await.expect("no panic");
    let slices = seen.lock().expect("nothing panics").clone();
    let quiet = |slice: &&str| *slice == "quiet";
    // Its first slice is where it is called, and the others are in its org's turn.
    let (second, last) = (slices.iter().position(quiet).expect("it ran") + 1, slices.iter().rposition(quiet).expect("it ran"));
    let second = second + slices[second..].iter().position(quiet).expect("it ran");
    let between = last - second - 3;
    assert!(between <= 3, "{between} slices of the noisy org were among 4 of the quiet one");
    noisy.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn who_yields_goes_on_in_the_background_and_who_waits_does_not() {
    let turns = Turns::start(1).expect("it starts");
    let waits = async {
        tokio::task::spawn_blocking(|| ()).await.expect("no panic");
        in_background()
    };
    assert!(!turns.run(org(1), waits).await, "it waited for something else");
    let yields = async {
        yield_now().await;
        // Timers are those of the runtime that it comes from.
        tokio::time::timeout(Duration::from_secs(600), async {}).await.expect("no time has passed");
        in_background()
    };
    assert!(turns.run(org(1), yields).await, "it has used up its slice");
}

#[tokio::test]
async fn who_is_given_up_is_dropped_and_leaves_nothing() {
    let turns = Turns::start(1).expect("it starts");
    let (sender, dropped) = tokio::sync::oneshot::channel::<()>();
    let spins = async move {
        let _sender = sender;
        loop {
            yield_now().await;
        }
    };
    let mut running = Box::pin(turns.run::<()>(org(1), spins));
    assert!(futures::poll!(running.as_mut()).is_pending());
    assert!(futures::poll!(running.as_mut()).is_pending());
    drop(running);
    dropped.await.expect_err("it is gone");
    turns.run(org(2), yield_now()).await;
    let state = turns.queue.state();
    assert!(state.orgs.is_empty() && state.round.is_empty(), "nothing is left");
}

#[tokio::test]
async fn a_panic_in_the_background_arrives_where_it_was_called() {
    let turns = Arc::new(Turns::start(1).expect("it starts"));
    let panics = async {
        yield_now().await;
        panic!("as a defect would");
    };
    let (other, calls) = (turns.clone(), turns.clone());
    assert!(tokio::spawn(async move { calls.run::<()>(org(1), panics).await }).await.expect_err("it panics").is_panic());
    other.run(org(1), yield_now()).await;
}
