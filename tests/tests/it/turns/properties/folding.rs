//! Random logs of every type of event that is stored, folded in pieces and at once.

use std::collections::BTreeSet;

use everwit_runtime::driver::DriverErrorKind;
use everwit_runtime::event::{
    BudgetNotice, CompactionReason, CompactionStrategy, Event, EventContext, EventData, NewEvent, RecoveryMode, RequestKind, RequestedCall,
    TokenUsage, ToolCompleted, ToolStatus,
};
use everwit_runtime::id::{BudgetId, EventId, HarnessId, MessageId, SessionId, TurnId};
use everwit_runtime::message::{ContentPart, Message, Role, ToolCall};
use everwit_runtime::messages_from_events;
use everwit_runtime::turn::{History, TurnState, next};
use everwit_runtime::usage::Currency;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

/// Turns of a log.
const TURNS: usize = 4;
/// Kinds that [`data`] knows: stored ones, then one that is live only.
const KINDS: u8 = 31;
/// Longest log, in events.
const LONGEST: usize = 80;

fn turn(n: usize) -> TurnId {
    TurnId::from_uuid(Uuid::from_u128(n as u128 + 1))
}

fn message(id: u64, role: Role, content: Vec<ContentPart>) -> Message {
    let id = MessageId::from_uuid(Uuid::from_u128(id.into()));
    Message { id, role, content, metadata: Default::default(), controls: None, created_at: Timestamp::UNIX_EPOCH }
}

/// The payload of an event of some kind. Calls and results name each other often enough.
fn data(kind: u8, sequence: u64, turn_id: TurnId) -> EventData {
    let call = || ToolCall::new(format!("call_{}", sequence % 5), "look", json!({"n": sequence}));
    let harness_id = HarnessId::from_uuid(Uuid::nil());
    let input_message_id = MessageId::from_uuid(Uuid::from_u128(sequence.into()));
    let usage = TokenUsage { input_tokens: sequence, ..TokenUsage::default() };
    let even = sequence.is_multiple_of(2);
    match kind {
        0 => EventData::InputMessage { message: message(sequence, Role::User, vec![ContentPart::text(format!("input {sequence}"))]) },
        1 => EventData::TurnStarted { turn_id, input_message_id, capabilities: Vec::new(), driver: None },
        2 => EventData::SessionActivated { turn_id, input_message_id },
        3 => EventData::ReasonStarted { harness_id, agent_id: None, iteration: 1 },
        4 => EventData::ReasonRecovered { turn_id, mode: RecoveryMode::Restart },
        5 => {
            let content = vec![ContentPart::text("calling"), ContentPart::ToolCall(call())];
            EventData::OutputMessageCompleted { message: message(sequence, Role::Agent, content), usage }
        }
        6 => EventData::OutputMessageCompleted { message: message(sequence, Role::Agent, vec![ContentPart::text("done")]), usage },
        7 => EventData::ReasonCompleted {
            success: even,
            text_preview: None,
            has_tool_calls: !even,
            tool_call_count: 1,
            error: None,
            duration_ms: 0,
            usage,
        },
        8 => generation(turn_id, sequence, usage),
        9 => EventData::ActStarted { tool_calls: vec![call()] },
        10 => EventData::ToolStarted { tool_call: call(), capability_id: None },
        11 => EventData::ToolCompleted(completed(call(), sequence)),
        12 => EventData::ActCompleted { success_count: 1, error_count: 0, duration_ms: 0 },
        13 => requested(turn_id, call(), sequence),
        14 => EventData::ToolApprovalDecided {
            tool_call_id: call().id,
            tool_name: call().name,
            approved: even,
            always: sequence.is_multiple_of(3),
            reason: None,
        },
        15 => answered(turn_id, usage),
        16 => {
            let error_code = DriverErrorKind::RateLimited.as_str().to_owned();
            EventData::TurnFailed { turn_id, error: "no answer".to_owned(), error_code, usage }
        }
        17 => EventData::TurnSealed { turn_id, reason: "budget".to_owned(), detail: "too long".to_owned() },
        18 => EventData::TurnCancelled { turn_id, usage },
        19 => EventData::SessionIdled { turn_id },
        20 => EventData::SessionStarted { harness_id, agent_id: None },
        21 => EventData::ToolConnectionMade { tool_call_id: call().id, tool_name: call().name, provider: "issues".to_owned() },
        22 => EventData::LoopDetected { turn_id, repetitions: 3, note: "you go in circles".to_owned() },
        23 => EventData::ContextCompacted {
            turn_id,
            reason: CompactionReason::ProactiveBudget,
            strategy_used: CompactionStrategy::Trim,
            messages_before: 2,
            messages_dropped: 1,
            first_kept_message_id: MessageId::from_uuid(Uuid::from_u128(sequence.saturating_sub(2).into())),
            summary: "earlier".to_owned(),
            duration_ms: 0,
            usage,
            receipt: None,
        },
        24 | 25 => EventData::TurnMerged { turn_id, into_turn_id: turn(usize::try_from(sequence).expect("it is small") % TURNS) },
        26 => EventData::BudgetWarning(notice(sequence)),
        27 => EventData::BudgetPaused(notice(sequence)),
        28 => EventData::BudgetResumed(notice(sequence)),
        29 => EventData::BudgetExhausted(notice(sequence)),
        _ => EventData::OutputMessageDelta { turn_id, message_id: input_message_id, delta: "live".to_owned(), offset: 0 },
    }
}

/// Of two budgets, so that what is resumed is what was paused often enough.
fn notice(sequence: u64) -> BudgetNotice {
    BudgetNotice {
        budget_id: BudgetId::from_uuid(Uuid::from_u128(u128::from(sequence % 2))),
        currency: Currency::Tokens,
        limit: 100.0,
        soft_limit: Some(50.0),
        balance: 10.0,
        period_started_at: None,
        message: "half of it is used".to_owned(),
    }
}

fn requested(turn_id: TurnId, tool_call: ToolCall, sequence: u64) -> EventData {
    let kinds = [RequestKind::ClientSide, RequestKind::Approval, RequestKind::Connection];
    let kind = kinds[usize::try_from(sequence % 3).expect("it is small")];
    let connection_required = (kind == RequestKind::Connection).then(|| "issues".to_owned());
    let request = RequestedCall { tool_call, kind, capability_id: None, connection_required };
    EventData::ToolCallRequested { turn_id, tool_calls: vec![request], expires_at: Some(Timestamp::UNIX_EPOCH) }
}

fn answered(turn_id: TurnId, usage: TokenUsage) -> EventData {
    EventData::TurnCompleted {
        turn_id,
        iterations: 1,
        tool_call_count: 0,
        reason: "answered".to_owned(),
        final_message_id: None,
        duration_ms: 0,
        usage,
    }
}

fn generation(turn_id: TurnId, sequence: u64, usage: TokenUsage) -> EventData {
    EventData::LlmGeneration {
        turn_id,
        model: "m".to_owned(),
        provider: "p".to_owned(),
        messages_to_sequence: sequence,
        tools: Vec::new(),
        success: true,
        error: None,
        finish_reason: None,
        response_id: None,
        retry: None,
        duration_ms: 0,
        time_to_first_token_ms: None,
        usage,
        receipt: None,
    }
}

fn completed(call: ToolCall, sequence: u64) -> ToolCompleted {
    ToolCompleted {
        tool_call_id: call.id,
        tool_name: call.name,
        success: sequence.is_multiple_of(2),
        status: ToolStatus::Success,
        result: vec![ContentPart::text(format!("result {sequence}"))],
        structured: None,
        error: None,
        error_kind: None,
        duration_ms: 0,
        capability_id: None,
        receipt: None,
    }
}

/// A log whose events come in any order, but that each turn begins with its input.
fn log_of(choices: &[(usize, u8)]) -> Vec<Event> {
    let (mut seen, mut last) = ([false; TURNS], 0);
    let events = choices.iter().map(|&(n, kind)| {
        let kind = if std::mem::replace(&mut seen[n], true) { kind } else { 0 };
        let payload = data(kind, last + 1, turn(n));
        let sequence = (!payload.is_live_only()).then(|| {
            last += 1;
            last
        });
        let ts = Timestamp::UNIX_EPOCH + SignedDuration::from_millis(i64::try_from(last * 7).expect("a short log"));
        let context = EventContext { turn_id: Some(turn(n)), input_message_id: None };
        let id = EventId::from_uuid(Uuid::from_u128(last.into()));
        NewEvent { id, ts, context, data: payload }.at(SessionId::from_uuid(Uuid::nil()), sequence)
    });
    events.collect()
}

fn choices() -> impl Strategy<Value = Vec<(usize, u8)>> {
    prop::collection::vec((0..TURNS, 0..KINDS), 0..LONGEST)
}

fn folded(events: &[Event]) -> History {
    let mut history = History::default();
    for event in events {
        history.fold(event);
    }
    history
}

/// The types of stored events, by the API's document.
fn documented() -> BTreeSet<String> {
    let document = std::fs::read(crate::tidy::root().join("docs/openapi.json")).expect("the document is there");
    let document: Value = serde_json::from_slice(&document).expect("it is JSON");
    let variants = document["components"]["schemas"]["EventData"]["oneOf"].as_array().expect("events are variants");
    let is_stored = |variant: &&Value| !variant["description"].as_str().is_some_and(|text| text.contains("Live only"));
    let names = variants.iter().filter(is_stored).map(|variant| {
        let tag = &variant["properties"]["type"];
        tag["enum"][0].as_str().or(tag["const"].as_str()).expect("a variant has a type").to_owned()
    });
    names.collect()
}

#[test]
fn logs_have_events_of_every_stored_type() {
    let all = documented();
    assert!(all.len() > 15, "{all:?}");
    let generated: BTreeSet<String> = (0..KINDS).map(|kind| data(kind, 1, turn(0)).name().to_owned()).collect();
    let missing: Vec<&String> = all.difference(&generated).collect();
    assert!(missing.is_empty(), "add {missing:?} to `data`, so that logs with them are folded too");
}

proptest! {
    #[test]
    fn folding_in_pieces_is_folding_at_once(choices in choices(), cuts in prop::collection::vec(0..LONGEST, 0..4)) {
        let log = log_of(&choices);
        let mut pieces = History::default();
        for cut in cuts.iter().map(|&cut| cut.min(log.len())).chain([log.len()]) {
            // Each piece begins at the start again: what is folded is skipped.
            for event in &log[..cut] {
                pieces.fold(event);
            }
        }
        prop_assert_eq!(&pieces, &folded(&log));
        let messages: Vec<Message> = pieces.conversation().messages().iter().map(|message| Message::clone(message)).collect();
        prop_assert_eq!(messages, messages_from_events(&log));
    }

    #[test]
    fn a_turn_that_goes_on_from_a_history_is_the_turn_from_the_start(choices in choices(), cut in 0..LONGEST) {
        let log = log_of(&choices);
        let cut = cut.min(log.len());
        let stored = || log.iter().filter(|event| event.sequence.is_some());
        for own in (0..TURNS).map(turn) {
            let mut whole = TurnState::new(own);
            stored().for_each(|event| whole.fold(event));
            let mut resumed = TurnState::resume(own, folded(&log[..cut]));
            let behind = resumed.last_sequence();
            stored().filter(|event| event.sequence > Some(behind)).for_each(|event| resumed.fold(event));
            prop_assert_eq!(&resumed, &whole);
            prop_assert_eq!(next(&resumed), next(&whole));
            // A summary stands for messages that are older, or were left out with them.
            let (summaries, seen): (Vec<_>, Vec<_>) = whole.messages().into_iter().partition(|message| message.text() == "earlier");
            let latest = seen.iter().map(|message| message.id.uuid().as_u128() as u64).max().unwrap_or(0);
            prop_assert!(latest <= whole.message_sequence());
            let merged = log.iter().any(|event| matches!(event.data, EventData::TurnMerged { .. }));
            prop_assert!(latest == whole.message_sequence() || !summaries.is_empty() || merged);
        }
    }
}
