//! Turns that wait for somebody outside: parking, answers, and what wakes them.

use super::case::{Case, assert_none, assert_refused, assert_same, ok};
use super::concurrency::all;
use crate::event::{Event, NewEvent};
use crate::id::{SessionId, TurnId};
use crate::session::SessionStatus;
use crate::store::{Append, Fence, ParkedFor, StoreError, StoreResult, TurnAnswer, TurnEnd};

async fn answer(case: &Case, session: SessionId, answer: TurnAnswer) -> StoreResult<Vec<Event>> {
    case.stores.log.answer_turn(case.org, session, answer).await
}

async fn park(case: &Case, session: SessionId, fence: Fence, turn: TurnId) -> StoreResult<Vec<Event>> {
    let expected_sequence = case.last_sequence(session).await;
    let append = Append { expected_sequence, fence, events: case.steps(1), ends_turn: None, parks_turn: Some((turn, ParkedFor::Answer)) };
    case.stores.log.append(case.org, session, append).await
}

/// That the session's turn still waits, and that its log ends there.
async fn assert_waits(case: &Case, session: SessionId, last_sequence: u64) {
    assert_none(case.stores.log.claim_turn(case.org, session).await);
    assert_eq!(case.status(session).await, SessionStatus::WaitingForToolResults);
    assert_eq!(case.last_sequence(session).await, last_sequence);
}

pub(super) async fn a_parked_turn_is_open_and_not_claimed(case: &Case) {
    let (session, claim) = case.parked().await;
    assert_waits(case, session, 3).await;
    assert_same(&ok(case.stores.log.open_turns(case.org, session).await), &[claim.turn_id]);
    assert_eq!(ok(case.stores.log.owner(case.org, session, claim.turn_id).await), None, "nobody owns it");
    // It can wait more than once: its owner may have found that nothing was settled.
    ok(park(case, session, claim.fence, claim.turn_id).await);
    assert_waits(case, session, 4).await;
}

pub(super) async fn only_the_owner_parks_a_turn_and_only_an_open_one(case: &Case) {
    let (session, old) = case.claimed().await;
    let (_, elsewhere) = case.claimed().await;
    let new = case.claim(session).await;
    assert_refused!(park(case, session, old.fence, old.turn_id).await, StoreError::Fenced { .. });
    for turn in [elsewhere.turn_id, case.id(TurnId::from_uuid)] {
        assert_refused!(park(case, session, new.fence, turn).await, StoreError::NotFound { what: "open turn", .. });
    }
    assert_eq!((case.last_sequence(session).await, case.status(session).await), (2, SessionStatus::Active));
    ok(case.append(session, new.fence, case.steps(1), Some((new.turn_id, TurnEnd::Completed))).await);
    assert_refused!(park(case, session, new.fence, new.turn_id).await, StoreError::NotFound { what: "open turn", .. });
    assert_eq!((case.last_sequence(session).await, case.status(session).await), (3, SessionStatus::Idle));
}

pub(super) async fn an_answer_leaves_the_turn_waiting_until_it_wakes(case: &Case) {
    let (session, claim) = case.parked().await;
    let turn_id = claim.turn_id;
    let events = case.steps(2);
    let expected: Vec<Event> = events.iter().cloned().zip(4..).map(|(event, sequence)| event.at(session, Some(sequence))).collect();
    let part = TurnAnswer { turn_id, expected_sequence: 3, events, wakes_turn: false };
    assert_same(&ok(answer(case, session, part).await), &expected);
    assert_same(&case.events(session).await[3..], &expected);
    assert_waits(case, session, 5).await;
    let rest = TurnAnswer { turn_id, expected_sequence: 5, events: case.steps(1), wakes_turn: true };
    ok(answer(case, session, rest).await);
    assert_eq!(case.status(session).await, SessionStatus::Active);
    let next = case.claim(session).await;
    assert_eq!((next.turn_id, next.attempt), (turn_id, claim.attempt + 1));
    assert!(next.fence > claim.fence, "{next:?}");
}

pub(super) async fn an_answer_needs_a_waiting_turn(case: &Case) {
    let (session, claim) = case.claimed().await;
    let (parked, elsewhere) = case.parked().await;
    let to = |turn_id| TurnAnswer { turn_id, expected_sequence: 2, events: case.steps(1), wakes_turn: true };
    for turn in [claim.turn_id, elsewhere.turn_id, case.id(TurnId::from_uuid)] {
        assert_refused!(answer(case, session, to(turn)).await, StoreError::NotFound { what: "waiting turn", .. });
    }
    assert_eq!(case.last_sequence(session).await, 2);
    ok(answer(case, parked, TurnAnswer { expected_sequence: 3, ..to(elsewhere.turn_id) }).await);
    let again = TurnAnswer { expected_sequence: 4, ..to(elsewhere.turn_id) };
    assert_refused!(answer(case, parked, again).await, StoreError::NotFound { what: "waiting turn", .. });
    assert_eq!(case.last_sequence(parked).await, 4);
    let absent = case.id(SessionId::from_uuid);
    assert_refused!(answer(case, absent, to(elsewhere.turn_id)).await, StoreError::NotFound { what: "session", .. });
}

pub(super) async fn an_answer_to_another_end_of_the_log_is_refused(case: &Case) {
    let (session, claim) = case.parked().await;
    for expected in [0, 2, 4, u64::MAX] {
        let late = TurnAnswer { turn_id: claim.turn_id, expected_sequence: expected, events: case.steps(1), wakes_turn: true };
        match answer(case, session, late).await {
            Err(StoreError::SequenceConflict { expected: given, actual }) => assert_eq!((given, actual), (expected, 3)),
            other => panic!("{other:?}"),
        }
    }
    assert_waits(case, session, 3).await;
}

pub(super) async fn a_refused_answer_changes_nothing(case: &Case) {
    let (session, claim) = case.parked().await;
    let with = |events| TurnAnswer { turn_id: claim.turn_id, expected_sequence: 3, events, wakes_turn: true };
    let stored = case.events(session).await[0].id;
    let taken = vec![case.step(1), NewEvent { id: stored, ..case.step(2) }];
    assert_refused!(answer(case, session, with(taken)).await, StoreError::Duplicate { what: "event", .. });
    assert_refused!(answer(case, session, with(case.steps(1_001))).await, StoreError::Limit(_));
    assert_waits(case, session, 3).await;
}

pub(super) async fn a_submission_wakes_the_turn(case: &Case) {
    let (session, claim) = case.parked().await;
    let log = &case.stores.log;
    let repeated = ok(log.submit_turn(case.org, session, claim.turn_id, case.input(claim.turn_id, "hello")).await);
    assert!(!repeated.created);
    assert_waits(case, session, 3).await;
    let second = case.open_turn(session).await;
    assert_eq!(case.status(session).await, SessionStatus::Active);
    let next = case.claim(session).await;
    assert_eq!(next.turn_id, claim.turn_id, "turns end in order");
    // What wakes the oldest turn never makes a later one wait.
    ok(case.append(session, next.fence, case.steps(1), Some((claim.turn_id, TurnEnd::Completed))).await);
    assert_eq!(case.claim(session).await.turn_id, second);
}

pub(super) async fn a_cancel_wakes_the_turn(case: &Case) {
    let (session, claim) = case.parked().await;
    assert!(ok(case.stores.log.request_cancel(case.org, session, claim.turn_id).await));
    assert_eq!(case.status(session).await, SessionStatus::Active);
    let next = case.claim(session).await;
    assert_eq!((next.turn_id, next.cancel_requested), (claim.turn_id, true));
}

pub(super) async fn of_parallel_answers_one_counts(case: &Case) {
    let (org, (session, claim)) = (case.org, case.parked().await);
    let results: Vec<StoreResult<Vec<Event>>> = all((0..8).map(|at| {
        let stores = case.stores.clone();
        let answer = TurnAnswer { turn_id: claim.turn_id, expected_sequence: 3, events: case.steps(1), wakes_turn: at % 2 == 0 };
        async move { stores.log.answer_turn(org, session, answer).await }
    }))
    .await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
    for refused in results.into_iter().filter_map(Result::err) {
        assert!(matches!(refused, StoreError::SequenceConflict { .. } | StoreError::NotFound { .. }), "{refused:?}");
    }
    assert_eq!(case.last_sequence(session).await, 4);
}

pub(super) async fn waiting_sessions_are_found_in_parts(case: &Case) {
    let log = &case.stores.log;
    let mut expected = Vec::new();
    for _ in 0..3 {
        expected.push(case.parked().await.0);
    }
    case.claimed().await;
    expected.sort_unstable();
    assert_eq!(ok(log.waiting_sessions(case.org, None, 2).await), expected[..2]);
    assert_eq!(ok(log.waiting_sessions(case.org, Some(expected[1]), 2).await), expected[2..]);
    case.open_turn(expected[0]).await;
    assert_eq!(ok(log.waiting_sessions(case.org, None, 9).await), expected[1..], "a submission woke it");
}

pub(super) async fn a_session_whose_turn_waits_to_be_resumed_is_paused(case: &Case) {
    let (session, claim) = case.claimed().await;
    let park = async |waits_for| {
        let (expected_sequence, parks_turn) = (case.last_sequence(session).await, Some((claim.turn_id, waits_for)));
        let append = Append { expected_sequence, fence: claim.fence, events: case.steps(1), ends_turn: None, parks_turn };
        ok(case.stores.log.append(case.org, session, append).await);
        case.status(session).await
    };
    assert_eq!(park(ParkedFor::Resume).await, SessionStatus::Paused);
    assert_none(case.stores.log.claim_turn(case.org, session).await);
    case.open_turn(session).await;
    assert_eq!(case.status(session).await, SessionStatus::Active, "a message wakes it");
    assert_eq!(park(ParkedFor::Answer).await, SessionStatus::WaitingForToolResults, "what it was parked for last counts");
}
