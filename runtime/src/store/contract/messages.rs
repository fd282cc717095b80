//! Messages of sessions: a copy that an embedder keeps, or the projection of the log. Each case
//! stores events first and tells the message store of them, as the runtime does.

use serde_json::json;

use super::case::{Case, assert_refused, assert_same, ok};
use crate::event::{EventContext, EventData, TokenUsage, ToolCompleted, ToolStatus};
use crate::id::{MessageId, SessionId};
use crate::message::{ContentPart, Message, Role, ToolCall};
use crate::store::{Claim, MessageBatch, SessionMessages, StoreError, StoredMessage};

/// The answer of an agent in a turn.
fn answer(case: &Case, content: Vec<ContentPart>) -> EventData {
    let id = case.id(MessageId::from_uuid);
    let metadata = json!({"é": [null, 1.5]}).as_object().cloned().unwrap_or_default();
    let message = Message { id, role: Role::Agent, content, metadata, controls: None, created_at: super::case::time(7) };
    EventData::OutputMessageCompleted { message, usage: TokenUsage::default() }
}

/// A session with an input, an answer with a call and its result, in sequences 2 to 5.
async fn talk(case: &Case) -> (SessionId, Claim) {
    let (session, claim) = case.claimed().await;
    let call = ToolCall::new("call_1", "look", json!({"deep": {"a": [1, null]}}));
    let result = ToolCompleted {
        tool_call_id: call.id.clone(),
        tool_name: call.name.clone(),
        success: true,
        status: ToolStatus::Success,
        result: vec![ContentPart::text("Größe \u{0} 日本")],
        structured: None,
        error: None,
        error_kind: None,
        duration_ms: 1,
        capability_id: None,
        receipt: None,
    };
    let asked = answer(case, vec![ContentPart::text("Let me see."), ContentPart::ToolCall(call)]);
    let context = EventContext { turn_id: Some(claim.turn_id), input_message_id: None };
    let events = [asked, EventData::ToolCompleted(result)].map(|data| crate::event::NewEvent { context, ..case.event(data) });
    let mut events = events.to_vec();
    events.insert(1, case.step(1));
    ok(case.append(session, claim.fence, events, None).await);
    (session, claim)
}

async fn record(case: &Case, session: SessionId, after: u64) -> MessageBatch {
    let batch = case.batch(session, after).await;
    ok(case.stores.messages().record_messages(case.org, session, batch.clone()).await);
    batch
}

async fn load(case: &Case, session: SessionId) -> SessionMessages {
    ok(case.stores.messages().load_messages(case.org, session).await)
}

fn assert_loaded(loaded: &SessionMessages, expected: &[StoredMessage], through: u64) {
    assert_same(&loaded.messages, expected);
    assert_eq!(loaded.through, through);
}

pub(super) async fn what_the_log_settled_is_loaded_in_order(case: &Case) {
    let (session, claim) = talk(case).await;
    let batch = record(case, session, 0).await;
    let order: Vec<(u64, Role)> = batch.messages.iter().map(|stored| (stored.sequence, stored.message.role)).collect();
    assert_eq!(order, [(2, Role::User), (3, Role::Agent), (5, Role::ToolResult)]);
    assert!(batch.messages.iter().all(|stored| stored.turn_id == Some(claim.turn_id)), "{batch:#?}");
    assert_loaded(&load(case, session).await, &batch.messages, 5);
    // Events without a message take the store further as well.
    ok(case.append(session, claim.fence, case.steps(2), None).await);
    record(case, session, 5).await;
    assert_loaded(&load(case, session).await, &batch.messages, 7);
}

pub(super) async fn payloads_are_kept_exactly(case: &Case) {
    let (session, claim) = case.claimed().await;
    let image = ContentPart::Image { url: None, base64: Some("aGk=".to_owned()), media_type: Some("image/png".to_owned()) };
    let arguments = json!({"n": 9_007_199_254_740_993_u64, "f": 0.1, "s": "\u{0}\u{1F9F0}\"\\", "null": null});
    let call = ContentPart::ToolCall(ToolCall::new("ü", "t", arguments));
    let data = answer(case, vec![ContentPart::text(""), image, call]);
    let context = EventContext { turn_id: Some(claim.turn_id), input_message_id: None };
    ok(case.append(session, claim.fence, vec![crate::event::NewEvent { context, ..case.event(data) }], None).await);
    let batch = record(case, session, 0).await;
    assert_loaded(&load(case, session).await, &batch.messages, 3);
}

pub(super) async fn recording_again_changes_nothing(case: &Case) {
    let (session, _) = talk(case).await;
    let batch = record(case, session, 0).await;
    record(case, session, 0).await;
    let nothing = MessageBatch { after: 1, through: 1, messages: Vec::new() };
    ok(case.stores.messages().record_messages(case.org, session, nothing).await);
    assert_loaded(&load(case, session).await, &batch.messages, 5);
}

pub(super) async fn an_overlap_adds_only_what_is_new(case: &Case) {
    let (session, claim) = talk(case).await;
    record(case, session, 0).await;
    let context = EventContext { turn_id: Some(claim.turn_id), input_message_id: None };
    let data = answer(case, vec![ContentPart::text("done")]);
    ok(case.append(session, claim.fence, vec![crate::event::NewEvent { context, ..case.event(data) }], None).await);
    record(case, session, 2).await;
    let all = case.batch(session, 0).await;
    assert_loaded(&load(case, session).await, &all.messages, 6);
}

pub(super) async fn a_gap_is_refused(case: &Case) {
    let (session, _) = talk(case).await;
    let batch = record(case, session, 0).await;
    let late = MessageBatch { after: 6, through: 9, messages: Vec::new() };
    let refused = case.stores.messages().record_messages(case.org, session, late).await;
    assert_refused!(refused, StoreError::SequenceConflict { expected: 6, actual: 5 });
    assert_loaded(&load(case, session).await, &batch.messages, 5);
}

pub(super) async fn thousands_of_messages_are_loaded(case: &Case) {
    let (session, claim) = case.claimed().await;
    record(case, session, 0).await;
    let context = EventContext { turn_id: Some(claim.turn_id), input_message_id: None };
    for after in [2, 902, 1_802] {
        let answers = (0..900).map(|n| case.event(answer(case, vec![ContentPart::text(n.to_string())])));
        let events = answers.map(|event| crate::event::NewEvent { context, ..event }).collect();
        ok(case.append(session, claim.fence, events, None).await);
        record(case, session, after).await;
    }
    let loaded = load(case, session).await;
    let sequences: Vec<u64> = loaded.messages.iter().map(|stored| stored.sequence).collect();
    assert_eq!((sequences, loaded.through), ((2..=2_702).collect(), 2_702));
}

pub(super) async fn sessions_never_meet(case: &Case) {
    let (session, _) = talk(case).await;
    let (other, _) = case.claimed().await;
    let batch = record(case, session, 0).await;
    let short = record(case, other, 0).await;
    assert_loaded(&load(case, session).await, &batch.messages, 5);
    assert_loaded(&load(case, other).await, &short.messages, 2);
}

pub(super) async fn an_absent_session_has_no_messages(case: &Case) {
    assert_loaded(&load(case, case.id(SessionId::from_uuid)).await, &[], 0);
}
