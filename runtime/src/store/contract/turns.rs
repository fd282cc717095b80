//! The queue of turns: submission, claims, cancels, recovery.

use super::case::{Case, FIRST_PAGE, assert_none, assert_refused, assert_same, ok, some, time};
use crate::event::{Event, EventData, NewEvent};
use crate::id::{MessageId, OrgId, SessionId, TurnId};
use crate::limits::{EVENT_OVERHEAD_BYTES, MAX_QUEUED_TURNS};
use crate::session::SessionStatus;
use crate::store::{Claim, Fence, Page, StoreError, Submitted, TurnEnd, TurnFilter, TurnRecord};
use crate::usage::BegunTurns;

pub(super) async fn a_submission_appends_its_input_and_opens_the_turn(case: &Case) {
    let session = case.stored_session().await;
    let turn = case.id(TurnId::from_uuid);
    let input = case.input(turn, "Größe 日本 \u{0}");
    let submitted = ok(case.stores.log.submit_turn(case.org, session, turn, input.clone()).await);
    assert_eq!(submitted, Submitted { event: input.at(session, Some(2)), created: true });
    assert_same(&case.events(session).await[1..], &[submitted.event]);
    assert_same(&ok(case.stores.log.open_turns(case.org, session).await), &[turn]);
}

pub(super) async fn a_repeated_submission_changes_nothing(case: &Case) {
    let session = case.stored_session().await;
    let turn = case.id(TurnId::from_uuid);
    let first = ok(case.stores.log.submit_turn(case.org, session, turn, case.input(turn, "one")).await);
    let second = case.open_turn(session).await;
    let again = ok(case.stores.log.submit_turn(case.org, session, turn, case.input(turn, "two")).await);
    assert_eq!(again, Submitted { event: first.event, created: false });
    assert_eq!(case.last_sequence(session).await, 3);
    assert_same(&ok(case.stores.log.open_turns(case.org, session).await), &[turn, second]);
}

pub(super) async fn a_repeated_submission_of_an_ended_turn_changes_nothing(case: &Case) {
    let session = case.stored_session().await;
    let turn = case.id(TurnId::from_uuid);
    let first = ok(case.stores.log.submit_turn(case.org, session, turn, case.input(turn, "one")).await);
    let claim = case.claim(session).await;
    ok(case.append(session, claim.fence, case.steps(1), Some((turn, TurnEnd::Completed))).await);
    let again = ok(case.stores.log.submit_turn(case.org, session, turn, case.input(turn, "one")).await);
    assert_eq!(again, Submitted { event: first.event, created: false });
    assert_eq!(case.status(session).await, SessionStatus::Idle);
    assert_none(case.stores.log.claim_turn(case.org, session).await);
}

pub(super) async fn a_turn_belongs_to_one_session(case: &Case) {
    let session = case.stored_session().await;
    let other = case.stored_session().await;
    let turn = case.open_turn(session).await;
    let result = case.stores.log.submit_turn(case.org, other, turn, case.input(turn, "one")).await;
    assert_refused!(result, StoreError::Duplicate { what: "turn", .. });
    assert_eq!(case.last_sequence(other).await, 1);
    assert_eq!(case.status(other).await, SessionStatus::Started);
}

pub(super) async fn a_submission_needs_a_session(case: &Case) {
    let absent = case.id(SessionId::from_uuid);
    let turn = case.id(TurnId::from_uuid);
    let result = case.stores.log.submit_turn(case.org, absent, turn, case.input(turn, "one")).await;
    assert_refused!(result, StoreError::NotFound { what: "session", .. });
    // The turn was not used up by the refusal.
    let session = case.stored_session().await;
    assert!(ok(case.stores.log.submit_turn(case.org, session, turn, case.input(turn, "one")).await).created);
}

pub(super) async fn a_live_only_input_is_refused(case: &Case) {
    let session = case.stored_session().await;
    let turn = case.id(TurnId::from_uuid);
    let message_id = case.id(MessageId::from_uuid);
    let delta = case.event(EventData::OutputMessageDelta { turn_id: turn, message_id, delta: "x".to_owned(), offset: 0 });
    assert_refused!(case.stores.log.submit_turn(case.org, session, turn, delta).await, StoreError::Limit(_));
    assert_same(&ok(case.stores.log.open_turns(case.org, session).await), &[]);
}

pub(super) async fn too_many_open_turns_are_refused(case: &Case) {
    let session = case.stored_session().await;
    let mut turns = Vec::new();
    for _ in 0..MAX_QUEUED_TURNS {
        turns.push(case.open_turn(session).await);
    }
    let turn = case.id(TurnId::from_uuid);
    assert_refused!(case.stores.log.submit_turn(case.org, session, turn, case.input(turn, "one")).await, StoreError::Limit(_));
    assert_eq!(case.last_sequence(session).await, 1 + MAX_QUEUED_TURNS as u64);
    // What was submitted before is still known, and an ended turn makes room.
    assert!(!ok(case.stores.log.submit_turn(case.org, session, turns[0], case.input(turns[0], "one")).await).created);
    let claim = case.claim(session).await;
    ok(case.append(session, claim.fence, case.steps(1), Some((turns[0], TurnEnd::Completed))).await);
    assert!(ok(case.stores.log.submit_turn(case.org, session, turn, case.input(turn, "one")).await).created);
    assert_eq!(ok(case.stores.log.open_turns(case.org, session).await).last(), Some(&turn));
}

pub(super) async fn a_submission_leaves_the_owner_its_fence(case: &Case) {
    let (session, claim) = case.claimed().await;
    case.open_turn(session).await;
    let stored = ok(case.append(session, claim.fence, case.steps(1), None).await);
    assert_eq!(stored[0].sequence, Some(4));
}

pub(super) async fn claims_take_the_oldest_turn(case: &Case) {
    let session = case.stored_session().await;
    let mut turns = Vec::new();
    for _ in 0..3 {
        turns.push(case.open_turn(session).await);
    }
    for (at, turn) in turns.iter().enumerate() {
        assert_same(&ok(case.stores.log.open_turns(case.org, session).await), &turns[at..]);
        let claim = case.claim(session).await;
        assert_eq!((claim.turn_id, claim.attempt), (*turn, 1));
        ok(case.append(session, claim.fence, case.steps(1), Some((*turn, TurnEnd::Completed))).await);
    }
    assert_same(&ok(case.stores.log.open_turns(case.org, session).await), &[]);
}

pub(super) async fn each_claim_grows_fence_and_attempt(case: &Case) {
    let session = case.stored_session().await;
    let turn = case.open_turn(session).await;
    let mut last = Fence(0);
    for attempt in 1..=3 {
        let claim = case.claim(session).await;
        assert!(claim.fence > last, "{:?} is not newer than {last:?}", claim.fence);
        last = claim.fence;
        assert_eq!(claim, Claim { turn_id: turn, fence: last, attempt, cancel_requested: false });
    }
}

pub(super) async fn a_claim_at_a_fence_must_be_the_newest(case: &Case) {
    let (session, claim) = case.claimed().await;
    let log = &case.stores.log;
    let given = Fence(claim.fence.0 + 1_000_000);
    let newer = some(log.claim_turn_at(case.org, session, given).await);
    assert_eq!(newer, Claim { turn_id: claim.turn_id, fence: given, attempt: 2, cancel_requested: false });
    for stale in [0, claim.fence.0, given.0 - 1, given.0] {
        match log.claim_turn_at(case.org, session, Fence(stale)).await {
            Err(StoreError::Fenced { given: told, actual }) => assert_eq!((told, actual), (stale, given.0)),
            other => panic!("{other:?}"),
        }
    }
    assert_refused!(case.append(session, claim.fence, case.steps(1), None).await, StoreError::Fenced { .. });
    // A refused claim takes nothing away, and does not count.
    ok(case.append(session, given, case.steps(1), None).await);
    let next = case.claim(session).await;
    assert_eq!((next.fence, next.attempt), (Fence(given.0 + 1), 3));
    assert_eq!(ok(log.owner(case.org, session, claim.turn_id).await), Some(next.fence));
    let queued = case.open_turn(session).await;
    let elsewhere = (case.id(OrgId::from_uuid), case.stored_session().await);
    for (org, session, turn) in [(case.org, session, queued), (elsewhere.0, session, claim.turn_id), (case.org, elsewhere.1, claim.turn_id)]
    {
        assert_none(log.owner(org, session, turn).await);
    }
    ok(case.append(session, next.fence, case.steps(1), Some((claim.turn_id, TurnEnd::Completed))).await);
    assert_none(log.owner(case.org, session, claim.turn_id).await);
    let last = case.claim(session).await;
    ok(case.append(session, last.fence, case.steps(1), Some((queued, TurnEnd::Completed))).await);
    assert_none(log.claim_turn_at(case.org, session, Fence(u64::MAX >> 1)).await);
    ok(case.append(session, last.fence, case.steps(1), None).await);
}

pub(super) async fn nothing_is_claimed_when_no_turn_is_open(case: &Case) {
    let (session, claim) = case.claimed().await;
    ok(case.append(session, claim.fence, case.steps(1), Some((claim.turn_id, TurnEnd::Sealed))).await);
    assert_none(case.stores.log.claim_turn(case.org, session).await);
    // A claim of nothing takes nothing away from the last owner.
    ok(case.append(session, claim.fence, case.steps(1), None).await);
    assert_none(case.stores.log.claim_turn(case.org, case.stored_session().await).await);
    assert_none(case.stores.log.claim_turn(case.org, case.id(SessionId::from_uuid)).await);
}

pub(super) async fn a_claim_says_whether_a_cancel_was_requested(case: &Case) {
    let session = case.stored_session().await;
    let first = case.open_turn(session).await;
    let second = case.open_turn(session).await;
    assert!(ok(case.stores.log.request_cancel(case.org, session, second).await));
    let claim = case.claim(session).await;
    assert_eq!((claim.turn_id, claim.cancel_requested), (first, false));
    // A request does not end the turn, take it away from its owner, or wear off.
    for _ in 0..2 {
        assert!(ok(case.stores.log.request_cancel(case.org, session, first).await));
    }
    ok(case.append(session, claim.fence, case.steps(1), None).await);
    assert!(case.claim(session).await.cancel_requested);
    let claim = case.claim(session).await;
    assert!(claim.cancel_requested);
    ok(case.append(session, claim.fence, case.steps(1), Some((first, TurnEnd::Cancelled))).await);
    let claim = case.claim(session).await;
    assert_eq!((claim.turn_id, claim.cancel_requested), (second, true));
}

pub(super) async fn only_open_turns_can_be_cancelled(case: &Case) {
    let (session, claim) = case.claimed().await;
    let other = case.stored_session().await;
    for (session, turn) in [(other, claim.turn_id), (session, case.id(TurnId::from_uuid)), (case.id(SessionId::from_uuid), claim.turn_id)] {
        assert!(!ok(case.stores.log.request_cancel(case.org, session, turn).await));
    }
    ok(case.append(session, claim.fence, case.steps(1), Some((claim.turn_id, TurnEnd::Completed))).await);
    assert!(!ok(case.stores.log.request_cancel(case.org, session, claim.turn_id).await));
}

pub(super) async fn a_turn_that_just_waits_can_be_merged(case: &Case) {
    let (session, claim) = case.claimed().await;
    let (second, third) = (case.open_turn(session).await, case.open_turn(session).await);
    ok(case.append(session, claim.fence, case.steps(1), Some((second, TurnEnd::Merged))).await);
    assert_same(&ok(case.stores.log.open_turns(case.org, session).await), &[claim.turn_id, third]);
    assert_eq!(case.status(session).await, SessionStatus::Active);
    assert!(!ok(case.stores.log.request_cancel(case.org, session, second).await));
    let again = ok(case.stores.log.submit_turn(case.org, session, second, case.input(second, "hello")).await);
    assert!(!again.created, "it is known although it has ended");
    ok(case.append(session, claim.fence, case.steps(1), Some((claim.turn_id, TurnEnd::Completed))).await);
    assert_eq!(case.claim(session).await.turn_id, third);
}

pub(super) async fn a_turn_that_does_not_just_wait_is_not_merged(case: &Case) {
    let (session, claim) = case.claimed().await;
    let (cancelled, waiting) = (case.open_turn(session).await, case.open_turn(session).await);
    let (_, elsewhere) = case.claimed().await;
    assert!(ok(case.stores.log.request_cancel(case.org, session, cancelled).await));
    for turn in [claim.turn_id, cancelled, elsewhere.turn_id, case.id(TurnId::from_uuid)] {
        let merged = case.append(session, claim.fence, case.steps(1), Some((turn, TurnEnd::Merged))).await;
        assert_refused!(merged, StoreError::NotFound { what: "queued turn", .. });
    }
    assert_eq!(case.last_sequence(session).await, 4);
    assert_same(&ok(case.stores.log.open_turns(case.org, session).await), &[claim.turn_id, cancelled, waiting]);
}

pub(super) async fn recovery_finds_sessions_with_open_turns(case: &Case) {
    let idle = case.stored_session().await;
    let waiting = case.stored_session().await;
    case.open_turn(waiting).await;
    case.open_turn(waiting).await;
    let (running, _) = case.claimed().await;
    let (ended, claim) = case.claimed().await;
    ok(case.append(ended, claim.fence, case.steps(1), Some((claim.turn_id, TurnEnd::Completed))).await);
    let session = case.session();
    let elsewhere = session.id;
    let started = case.started(&session);
    ok(case.stores.session_store.add_session(case.other, session, started).await);
    let turn = case.id(TurnId::from_uuid);
    ok(case.stores.log.submit_turn(case.other, elsewhere, turn, case.input(turn, "one")).await);

    let busy = async |org| ok(case.stores.log.log_usage(org, time(10)).await).busy_sessions;
    assert_eq!(busy(case.org).await, 2, "one with two turns, and one that runs");
    assert_eq!(busy(case.other).await, 1);
    let found = ok(case.stores.log.sessions_with_open_turns().await);
    for expected in [(case.org, waiting), (case.org, running), (case.other, elsewhere)] {
        assert_eq!(found.iter().filter(|&&found| found == expected).count(), 1, "{expected:?}");
    }
    for unexpected in [(case.org, idle), (case.org, ended), (case.other, waiting), (case.org, elsewhere)] {
        assert!(!found.contains(&unexpected), "{unexpected:?}");
    }
}

pub(super) async fn turns_are_listed_by_session_and_end(case: &Case) {
    let (session, claim) = case.claimed().await;
    ok(case.append(session, claim.fence, case.steps(1), Some((claim.turn_id, TurnEnd::Sealed))).await);
    let open = case.open_turn(session).await;
    let (elsewhere, other) = case.claimed().await;
    let list = async |filter: TurnFilter, page| ok(case.stores.log.list_turns(case.org, filter, page).await);
    let all = list(TurnFilter::default(), FIRST_PAGE).await;
    let sealed = TurnRecord { turn_id: claim.turn_id, session_id: session, input_sequence: 2, attempts: 1, end: Some(TurnEnd::Sealed) };
    let waiting = TurnRecord { turn_id: open, session_id: session, input_sequence: 4, attempts: 0, end: None };
    let running = TurnRecord { turn_id: other.turn_id, session_id: elsewhere, input_sequence: 2, attempts: 1, end: None };
    assert_eq!((all.items, all.total), (vec![running, waiting, sealed], 3), "the latest first");
    let second = list(TurnFilter::default(), Page { offset: 1, limit: 1 }).await;
    assert_eq!((second.items, second.total), (vec![waiting], 3));
    let of_session = list(TurnFilter { session: Some(session), ..TurnFilter::default() }, FIRST_PAGE).await;
    assert_eq!(of_session.items, [waiting, sealed]);
    let dead = list(TurnFilter { end: Some(TurnEnd::Sealed), ..TurnFilter::default() }, FIRST_PAGE).await;
    assert_eq!((dead.items, dead.total), (vec![sealed], 1));
    let one = TurnFilter { session: Some(session), turn: Some(open), end: None };
    assert_eq!(list(one, FIRST_PAGE).await.items, [waiting]);
    assert_eq!(list(TurnFilter { session: Some(elsewhere), ..one }, FIRST_PAGE).await.total, 0);
}

pub(super) async fn events_count_their_bytes_until_their_session_is_deleted(case: &Case) {
    let counted = async || ok(case.stores.log.log_usage(case.org, time(10)).await).event_bytes;
    let expected = async |sessions: &[SessionId]| {
        let mut bytes = 0;
        for session in sessions {
            let of = |event: &Event| serde_json::to_string(&event.data).expect("JSON").len() as u64 + EVENT_OVERHEAD_BYTES;
            bytes += case.events(*session).await.iter().map(of).sum::<u64>();
        }
        bytes
    };
    assert_eq!(counted().await, 0);
    let (first, claim) = case.claimed().await;
    let (second, _) = case.parked().await;
    let turn = case.id(TurnId::from_uuid);
    ok(case.stores.log.submit_turn(case.org, second, turn, case.input(turn, "Größe 日本 \"quoted\"")).await);
    let all = [first, second];
    let before = counted().await;
    assert_eq!(before, expected(&all).await);
    assert!(before > 7 * EVENT_OVERHEAD_BYTES, "{before}");

    ok(case.stores.log.submit_turn(case.org, second, turn, case.input(turn, "repeated")).await);
    assert!(case.append(first, Fence(claim.fence.0 + 1), case.steps(3), None).await.is_err());
    assert_eq!(counted().await, before, "what is not stored does not count");
    ok(case.append(first, claim.fence, case.steps(40), Some((claim.turn_id, TurnEnd::Completed))).await);
    assert_eq!(counted().await, expected(&all).await);
    assert_eq!(ok(case.stores.log.log_usage(case.other, time(10)).await).event_bytes, 0);

    ok(case.stores.session_store.delete_session(case.org, first, None).await);
    assert_eq!(counted().await, expected(&[second]).await, "a deletion gives bytes back");
}

pub(super) async fn turns_are_counted_by_the_minute_of_their_messages(case: &Case) {
    let submit = async |session, seconds| {
        let turn = case.id(TurnId::from_uuid);
        // Sent twice, it counts once.
        for _ in 0..2 {
            let input = NewEvent { ts: time(seconds), ..case.input(turn, "hello") };
            ok(case.stores.log.submit_turn(case.org, session, turn, input).await);
        }
    };
    let begun = async |seconds| {
        let BegunTurns { this_minute, last_minute } = ok(case.stores.log.log_usage(case.org, time(seconds)).await).begun;
        (this_minute, last_minute)
    };
    // Many sessions, so that a store that spreads them has to add them up.
    let mut sessions = Vec::new();
    for _ in 0..20 {
        let session = case.stored_session().await;
        submit(session, 0).await;
        submit(session, 1).await;
        sessions.push(session);
    }
    assert_eq!(begun(59).await, (40, 0));
    for session in sessions {
        submit(session, 60).await;
    }
    assert_eq!(begun(60).await, (20, 40));
    assert_eq!(begun(120).await, (0, 20), "a minute later");
    assert_eq!(begun(180).await, (0, 0));
    assert_eq!(begun(0).await, (60, 0), "seen by a clock that is late");
    let session = case.stored_session().await;
    submit(session, 60).await;
    submit(session, 0).await;
    assert_eq!(begun(60).await, (22, 40), "a turn by a clock that is late counts as well");
    submit(session, 600).await;
    assert_eq!(begun(600).await, (1, 0));
    submit(session, 0).await;
    assert_eq!(begun(600).await, (0, 0), "a clock that was set back begins anew");
    assert_eq!(ok(case.stores.log.log_usage(case.other, time(60)).await).begun, BegunTurns::default());
}
