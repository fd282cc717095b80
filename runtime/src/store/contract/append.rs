//! Appending to a log: who may, where, and what.

use serde_json::json;

use super::case::{Case, assert_refused, assert_same, ok, some};
use crate::event::{Event, EventContext, EventData, NewEvent, ToolCompleted, ToolStatus};
use crate::id::{EventId, MessageId, SessionId, TurnId};
use crate::limits::MAX_EVENTS_PER_PAGE;
use crate::message::{ContentPart, ToolCall};
use crate::store::{Append, Fence, StoreError, StoreResult, TurnEnd};

/// Appends one event with this fence and expectation.
async fn append_at(case: &Case, session: SessionId, fence: Fence, expected_sequence: u64) -> StoreResult<Vec<Event>> {
    let append = Append { expected_sequence, fence, events: case.steps(1), ends_turn: None, parks_turn: None };
    case.stores.log.append(case.org, session, append).await
}

pub(super) async fn stores_events_in_order_and_returns_them(case: &Case) {
    let (session, claim) = case.claimed().await;
    let context = EventContext { turn_id: Some(claim.turn_id), input_message_id: Some(case.id(MessageId::from_uuid)) };
    let events: Vec<NewEvent> = case.steps(5).into_iter().map(|event| NewEvent { context, ..event }).collect();
    let stored = ok(case.append(session, claim.fence, events.clone(), None).await);
    let expected: Vec<Event> = events.into_iter().zip(3..).map(|(event, sequence)| event.at(session, Some(sequence))).collect();
    assert_same(&stored, &expected);
    assert_same(&case.events(session).await[2..], &expected);
    assert_eq!(case.last_sequence(session).await, 7);
}

pub(super) async fn refuses_a_stale_fence(case: &Case) {
    let (session, old) = case.claimed().await;
    let new = case.claim(session).await;
    match append_at(case, session, old.fence, 2).await {
        Err(StoreError::Fenced { given, actual }) => assert_eq!((Fence(given), Fence(actual)), (old.fence, new.fence)),
        other => panic!("{other:?}"),
    }
    // Nor can it end the turn, not even without an event.
    let end = Append {
        expected_sequence: 2,
        fence: old.fence,
        events: Vec::new(),
        ends_turn: Some((old.turn_id, TurnEnd::Failed)),
        parks_turn: None,
    };
    assert_refused!(case.stores.log.append(case.org, session, end).await, StoreError::Fenced { .. });
    assert_eq!(case.last_sequence(session).await, 2);
    assert_same(&ok(case.stores.log.open_turns(case.org, session).await), &[old.turn_id]);
    ok(append_at(case, session, new.fence, 2).await);
}

pub(super) async fn refuses_a_fence_from_the_future(case: &Case) {
    let (session, claim) = case.claimed().await;
    for fence in [Fence(claim.fence.0 + 1), Fence(u64::MAX)] {
        assert_refused!(append_at(case, session, fence, 2).await, StoreError::Fenced { .. });
    }
    assert_eq!(case.last_sequence(session).await, 2);
}

pub(super) async fn refuses_another_sequence(case: &Case) {
    let (session, claim) = case.claimed().await;
    for expected in [0, 1, 3, u64::MAX] {
        match append_at(case, session, claim.fence, expected).await {
            Err(StoreError::SequenceConflict { expected: given, actual }) => assert_eq!((given, actual), (expected, 2)),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(case.last_sequence(session).await, 2);
}

pub(super) async fn names_the_fence_before_the_sequence(case: &Case) {
    // A writer that lost its session must stop, not read the log again and retry.
    let (session, old) = case.claimed().await;
    case.claim(session).await;
    assert_refused!(append_at(case, session, old.fence, 0).await, StoreError::Fenced { .. });
}

pub(super) async fn needs_a_session(case: &Case) {
    let absent = case.id(SessionId::from_uuid);
    assert_refused!(append_at(case, absent, Fence(0), 0).await, StoreError::NotFound { what: "session", .. });
}

pub(super) async fn ends_a_turn_in_every_way(case: &Case) {
    let session = case.stored_session().await;
    for end in [TurnEnd::Completed, TurnEnd::Failed, TurnEnd::Cancelled, TurnEnd::Sealed] {
        let turn = case.open_turn(session).await;
        let claim = case.claim(session).await;
        ok(case.append(session, claim.fence, case.steps(2), Some((turn, end))).await);
        assert_same(&ok(case.stores.log.open_turns(case.org, session).await), &[]);
    }
}

pub(super) async fn refuses_to_end_a_turn_that_is_not_open(case: &Case) {
    let (session, claim) = case.claimed().await;
    let (_, elsewhere) = case.claimed().await;
    ok(case.append(session, claim.fence, case.steps(1), Some((claim.turn_id, TurnEnd::Completed))).await);
    for turn in [claim.turn_id, elsewhere.turn_id, case.id(TurnId::from_uuid)] {
        let result = case.append(session, claim.fence, case.steps(1), Some((turn, TurnEnd::Completed))).await;
        assert_refused!(result, StoreError::NotFound { what: "open turn", .. });
    }
    assert_eq!(case.last_sequence(session).await, 3);
}

pub(super) async fn may_end_a_turn_without_events(case: &Case) {
    let (session, claim) = case.claimed().await;
    let before = some(case.stores.session_store.get_session(case.org, session).await).updated_at;
    assert_same(&ok(case.append(session, claim.fence, Vec::new(), Some((claim.turn_id, TurnEnd::Completed))).await), &[]);
    assert_same(&ok(case.stores.log.open_turns(case.org, session).await), &[]);
    assert_eq!(case.last_sequence(session).await, 2);
    assert_eq!(some(case.stores.session_store.get_session(case.org, session).await).updated_at, before);
}

pub(super) async fn without_anything_changes_nothing(case: &Case) {
    let (session, claim) = case.claimed().await;
    let before = some(case.stores.session_store.get_session(case.org, session).await);
    assert_same(&ok(case.append(session, claim.fence, Vec::new(), None).await), &[]);
    assert_eq!(some(case.stores.session_store.get_session(case.org, session).await), before);
    assert_eq!(case.last_sequence(session).await, 2);
}

pub(super) async fn refuses_a_taken_event_id(case: &Case) {
    let (session, claim) = case.claimed().await;
    let [one, two] = [1, 2].map(|iteration| case.step(iteration));
    let stored = case.events(session).await[0].id;
    let twice = vec![one.clone(), NewEvent { id: one.id, ..two.clone() }];
    let again = vec![one, NewEvent { id: stored, ..two }];
    for events in [twice, again] {
        let result = case.append(session, claim.fence, events, Some((claim.turn_id, TurnEnd::Completed))).await;
        assert_refused!(result, StoreError::Duplicate { what: "event", .. });
    }
    assert_eq!(case.last_sequence(session).await, 2);
    assert_same(&ok(case.stores.log.open_turns(case.org, session).await), &[claim.turn_id]);
    // In another session the id means another event.
    let (other, claim) = case.claimed().await;
    ok(case.append(other, claim.fence, vec![NewEvent { id: stored, ..case.step(1) }], None).await);
}

pub(super) async fn takes_a_thousand_events_and_no_more(case: &Case) {
    let (session, claim) = case.claimed().await;
    assert_refused!(case.append(session, claim.fence, case.steps(1_001), None).await, StoreError::Limit(_));
    assert_eq!(case.last_sequence(session).await, 2);
    let events = case.steps(1_000);
    let ids: Vec<EventId> = events.iter().map(|event| event.id).collect();
    ok(case.append(session, claim.fence, events, None).await);
    let stored = ok(case.stores.log.read_events(case.org, session, 2, MAX_EVENTS_PER_PAGE).await);
    assert_same(&stored.iter().map(|event| event.id).collect::<Vec<_>>(), &ids);
    assert_same(&stored.iter().filter_map(|event| event.sequence).collect::<Vec<_>>(), &(3..=1_002).collect::<Vec<_>>());
}

pub(super) async fn refuses_live_only_events(case: &Case) {
    let (session, claim) = case.claimed().await;
    let turn_id = claim.turn_id;
    let message_id = case.id(MessageId::from_uuid);
    let call = || ("call".to_owned(), "notes__add".to_owned());
    let live = [
        EventData::OutputMessageStarted { turn_id, message_id, model: "m".to_owned(), iteration: 1 },
        EventData::OutputMessageDelta { turn_id, message_id, delta: "x".to_owned(), offset: 0 },
        EventData::ToolProgress { tool_call_id: call().0, tool_name: call().1, done: 1, total: None, message: String::new() },
        EventData::ToolOutputDelta { tool_call_id: call().0, tool_name: call().1, parts: Vec::new() },
    ];
    for data in live {
        let events = vec![case.step(1), case.event(data)];
        assert_refused!(case.append(session, claim.fence, events, None).await, StoreError::Limit(_));
    }
    assert_eq!(case.last_sequence(session).await, 2);
}

pub(super) async fn keeps_payloads_exactly(case: &Case) {
    let text = "\u{0} \u{1f} \" \\ \\u0000 / \r\n \u{2028} \u{feff} ñ n\u{303} 日本 \u{1F9F0} ' -- ; %s ${x}";
    let value = json!({
        text: [text, null, true, {"deep": [[[]]]}],
        "numbers": [u64::MAX, i64::MIN, 0.1, -0.0, 1e300, 5e-324, 9_007_199_254_740_993_u64],
    });
    let completed = ToolCompleted {
        tool_call_id: text.to_owned(),
        tool_name: "notes__add".to_owned(),
        success: true,
        status: ToolStatus::Success,
        result: vec![ContentPart::text(text), ContentPart::text("x".repeat(300_000))],
        structured: Some(value.clone()),
        error: None,
        error_kind: None,
        duration_ms: u64::MAX,
        capability_id: None,
        receipt: None,
    };
    let call = ToolCall::new("call", "notes__add", value);
    let (session, claim) = case.claimed().await;
    let events =
        vec![case.event(EventData::ActStarted { tool_calls: vec![call] }), case.event(EventData::ToolCompleted(completed.clone()))];
    let stored = ok(case.append(session, claim.fence, events.clone(), None).await);
    let read = case.events(session).await;
    for ((event, stored), read) in events.into_iter().zip(&stored).zip(&read[2..]) {
        assert!(event.data == stored.data && stored == read, "{} came back changed", event.data.name());
    }
}
