//! Reading a log.

use super::case::{Case, assert_none, assert_same, ok};
use crate::event::Event;
use crate::id::{EventId, SessionId};
use crate::limits::MAX_EVENTS_PER_PAGE;

pub(super) async fn pages_through_the_log(case: &Case) {
    let (session, claim) = case.claimed().await;
    ok(case.append(session, claim.fence, case.steps(5), None).await);
    let (other, claim) = case.claimed().await;
    ok(case.append(other, claim.fence, case.steps(9), None).await);
    let all = case.events(session).await;
    assert_same(&all.iter().map(|event| event.sequence).collect::<Vec<_>>(), &(1..=7).map(Some).collect::<Vec<_>>());
    assert!(all.iter().all(|event| event.session_id == session), "{all:#?}");
    for (after, limit, expected) in [(0, 3, 0..3), (3, 3, 3..6), (6, 3, 6..7), (7, 3, 7..7), (2, 0, 2..2), (u64::MAX, 3, 7..7)] {
        let part: Vec<Event> = ok(case.stores.log.read_events(case.org, session, after, limit).await);
        assert_same(&part, &all[expected]);
    }
}

pub(super) async fn returns_a_thousand_events_at_most(case: &Case) {
    let (session, claim) = case.claimed().await;
    ok(case.append(session, claim.fence, case.steps(1_000), None).await);
    for limit in [MAX_EVENTS_PER_PAGE + 1, usize::MAX] {
        let events = ok(case.stores.log.read_events(case.org, session, 0, limit).await);
        assert_eq!(events.len(), MAX_EVENTS_PER_PAGE);
    }
}

pub(super) async fn finds_events_by_id(case: &Case) {
    let (session, claim) = case.claimed().await;
    ok(case.append(session, claim.fence, case.steps(3), None).await);
    let (other, _) = case.claimed().await;
    for event in case.events(session).await {
        assert_eq!(ok(case.stores.log.find_event(case.org, session, event.id).await), event.sequence);
        assert_none(case.stores.log.find_event(case.org, other, event.id).await);
    }
    assert_none(case.stores.log.find_event(case.org, session, case.id(EventId::from_uuid)).await);
}

pub(super) async fn an_absent_session_has_an_empty_log(case: &Case) {
    let absent = case.id(SessionId::from_uuid);
    assert_same(&case.events(absent).await, &[]);
    assert_eq!(case.last_sequence(absent).await, 0);
    assert_same(&ok(case.stores.log.open_turns(case.org, absent).await), &[]);
    assert_none(case.stores.log.find_event(case.org, absent, case.id(EventId::from_uuid)).await);
}
