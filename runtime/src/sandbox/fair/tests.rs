use futures::FutureExt as _;
use uuid::Uuid;

use super::*;

fn org(number: u128) -> OrgId {
    OrgId::from_uuid(Uuid::from_u128(number))
}

fn fair(permits: usize, per_org: usize) -> Fair {
    Fair::new(Limits { permits, per_org, waiting: 100, waiting_per_org: 50 })
}

#[tokio::test]
async fn orgs_take_turns_however_many_wait_of_one() {
    let fair = fair(1, 1);
    let first = fair.try_take(org(1)).expect("it is free");
    let mut served = Vec::new();
    let mut waiting: Vec<_> = [1, 1, 1, 2, 1, 3].into_iter().map(|number| (number, fair.queue(org(number)).expect("room"))).collect();
    drop(first);
    while !waiting.is_empty() {
        let at = waiting.iter_mut().position(|(_, place)| !place.is_empty()).expect("somebody is served");
        let (number, place) = waiting.remove(at);
        served.push(number);
        drop(place.await.expect("a permit"));
    }
    assert_eq!(served, [1, 2, 3, 1, 1, 1]);
    assert!(fair.state().orgs.is_empty() && fair.state().held == 0 && fair.state().waiting == 0, "nothing is left");
}

#[tokio::test]
async fn one_org_never_has_more_than_its_share() {
    let fair = fair(4, 2);
    let held = [fair.try_take(org(1)), fair.try_take(org(1))];
    assert!(held.iter().all(Option::is_some) && fair.try_take(org(1)).is_none());
    let mut third = Box::pin(fair.take(org(1)));
    assert!(futures::poll!(third.as_mut()).is_pending());
    let other = fair.try_take(org(2)).expect("the rest is for others");
    drop(other);
    assert!(futures::poll!(third.as_mut()).is_pending(), "its share is still used");
    drop(held);
    third.await.expect("its share is free again");
    assert_eq!(fair.state().held, 0);
}

#[tokio::test]
async fn who_gives_up_leaves_permit_and_place() {
    let fair = fair(1, 1);
    let held = fair.try_take(org(1)).expect("it is free");
    let given_up: Vec<_> = (0..50).map(|_| fair.queue(org(2)).expect("room")).collect();
    assert!(fair.queue(org(2)).is_err(), "so many of one org wait and no more");
    fair.queue(org(3)).expect("others may still wait").now_or_never();
    drop(given_up);
    fair.queue(org(2)).expect("their places are free").now_or_never();
    drop(held);
    assert!(fair.try_take(org(1)).is_some(), "nobody waits for it any more");
    let state = fair.state();
    assert_eq!((state.held, state.waiting), (0, 0));
}

#[tokio::test]
async fn of_an_org_that_may_not_even_wait_nothing_is_kept() {
    let fair = Fair::new(Limits { permits: 1, per_org: 1, waiting: 1, waiting_per_org: 1 });
    let _held = fair.try_take(org(1)).expect("it is free");
    let _waiting = fair.queue(org(2)).expect("room");
    assert!(fair.queue(org(3)).is_err());
    assert!(!fair.state().orgs.contains_key(&org(3)));
}

/// As the engine yields when a slice of fuel is used up: ready again at once.
async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Yields so often, and notes each slice.
async fn spin(name: &'static str, slices: usize, seen: &Mutex<Vec<&'static str>>) {
    for _ in 0..slices {
        seen.lock().expect("nothing panics").push(name);
        yield_now().await;
    }
}

/// One thread, whose own queue would run a hundred guests before a new one's first slice.
#[tokio::test]
async fn a_guest_that_comes_late_does_not_wait_for_all_guests_of_another_org() {
    let turns = Fair::new(Limits { permits: 1, per_org: 1, waiting: 200, waiting_per_org: 200 });
    let seen = Arc::new(Mutex::new(Vec::new()));
    let start = |number, name, slices| {
        let (turns, seen) = (turns.clone(), seen.clone());
        tokio::spawn(async move {
            let work = std::pin::pin!(spin(name, slices, &seen));
            turns.slices(org(number), work).await;
        })
    };
    let noisy: Vec<_> = (0..100).map(|_| start(1, "noisy", 20)).collect();
    while seen.lock().expect("nothing panics").len() < 300 {
        tokio::task::yield_now().await;
    }
    start(2, "quiet", 5).await.expect("no panic");
    let slices = seen.lock().expect("nothing panics").clone();
    let quiet = |slice: &&str| *slice == "quiet";
    let (first, last) = (slices.iter().position(quiet), slices.iter().rposition(quiet));
    let between = last.expect("it ran") - first.expect("it ran") - 4;
    assert!(between <= 16, "{between} slices of the noisy org were among 5 of the quiet one");
    for task in noisy {
        task.await.expect("no panic");
    }
    assert_eq!(turns.state().held, 0, "every turn was given back");
}
