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
