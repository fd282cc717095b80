//! Calls that wait for a person, whatever happens meanwhile: decisions, answers, messages, cancels and
//! deaths of processes in any order.

use std::collections::HashMap;
use std::sync::Arc;

use everwit_runtime::capability::Capability;
use everwit_runtime::clock::Clock;
use everwit_runtime::driver::llmsim::{LlmSimConfig, SimToolCall, SimTurn};
use everwit_runtime::event::{Event, EventData, RequestKind, RequestedCall};
use everwit_runtime::messages_from_events;
use everwit_runtime::store::TurnEnd;
use everwit_runtime::turn::{
    ApprovalVerdict, ClientToolResult, OutsideDesk, OutsideError, ToolApproval, TurnRun, TurnSignals, session_messages,
};
use everwit_runtime::{AskUserCapability, ToolApprovalCapability};
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::faults::{Fault, dies};
use super::properties::{Told, assert_invariants};
use super::rig::{Rig, WAIT_LIMIT, call};

/// A rig whose agent asks about `order` and `look`, and can ask its user.
async fn gated(script: LlmSimConfig) -> Rig {
    let mut rig = Rig::new(script).await;
    let gate = json!({"mode": "off", "ask": ["order", "look"]});
    rig.equip([(Arc::new(AskUserCapability) as Arc<dyn Capability>, json!({})), (Arc::new(ToolApprovalCapability), gate)]).await;
    rig
}

fn desk(rig: &Rig) -> OutsideDesk<'_> {
    rig.platform.outside_desk()
}

/// What the oldest turn waits for, as far as its log tells.
async fn asked(rig: &Rig) -> Vec<RequestedCall> {
    let mut asked: Vec<RequestedCall> = Vec::new();
    for event in rig.events().await {
        match event.data {
            EventData::ToolCallRequested { tool_calls, .. } => asked.extend(tool_calls),
            EventData::ToolCompleted(completed) => asked.retain(|asked| asked.tool_call.id != completed.tool_call_id),
            // A lasting decision is one about all calls of the tool that wait.
            EventData::ToolApprovalDecided { tool_call_id, tool_name, always, .. } => asked.retain(|asked| {
                let is_of_tool = asked.kind == RequestKind::Approval && asked.tool_call.name == tool_name;
                asked.tool_call.id != tool_call_id && !(always && is_of_tool)
            }),
            _ => {}
        }
    }
    asked
}

async fn decide(rig: &Rig, asked: &RequestedCall, verdict: ApprovalVerdict) -> Result<(), OutsideError> {
    let tool_call_id = asked.tool_call.id.clone();
    let said = if asked.kind == RequestKind::Approval {
        desk(rig).decide(rig.org, rig.session, &[ToolApproval { tool_call_id, verdict, reason: None }]).await
    } else {
        desk(rig).settle(rig.org, rig.session, &[ClientToolResult { tool_call_id, outcome: Ok(blue()) }]).await
    };
    said.map(drop)
}

/// An answer to [`question`].
fn blue() -> Value {
    json!({"status": "answered", "answers": [{"id": "question_1", "text": "Blue"}]})
}

fn question() -> SimToolCall {
    SimToolCall::new("ask_user", json!({"questions": [{"header": "Colour", "question": "Which?", "kind": "text"}]}))
}

/// All faults that a run of so many events can have.
fn deaths(events: usize) -> impl Iterator<Item = Fault> {
    (0..events).flat_map(|k| [Fault::DeadAfter(k), Fault::SilentAfter(k)])
}

/// A rig in which one approved call is to be executed.
async fn approved() -> Rig {
    let rig = gated(LlmSimConfig::scripted([SimTurn::ToolCalls(vec![call("order")]), SimTurn::Assistant("done".to_owned())])).await;
    assert_eq!(rig.ask("go").await, TurnRun::Parked);
    let asked = asked(&rig).await;
    decide(&rig, &asked[0], ApprovalVerdict::Allow).await.unwrap();
    rig
}

#[tokio::test(start_paused = true)]
async fn a_death_after_any_event_never_repeats_an_approved_call_nor_asks_again() {
    let whole = approved().await;
    let before = whole.events().await.len();
    assert_eq!(whole.run().await, TurnRun::Ended(TurnEnd::Completed));
    let (mut executed, behind) = (0, whole.events().await.len() - before);
    for fault in deaths(behind) {
        let rig = approved().await;
        dies(&rig, fault).await.unwrap_err();
        rig.recover().await;
        let count = |name: &str, names: &[&str]| names.iter().filter(|other| **other == name).count();
        let names = rig.names().await;
        assert_eq!((count("tool.call_requested", &names), count("tool.completed", &names)), (1, 1), "{fault:?}");
        assert_eq!(count("llm.generation", &names), 2, "{fault:?}");
        assert!(rig.desk.executed("order").len() <= 1, "{fault:?}");
        executed += rig.desk.executed("order").len();
        assert_eq!(rig.last_text().await, "done", "{fault:?}");
    }
    assert!(executed > 0);
}

#[tokio::test]
async fn a_cancel_settles_what_is_asked() {
    let rig = gated(LlmSimConfig::scripted([SimTurn::ToolCalls(vec![call("order"), question()])])).await;
    let key = rig.submit("go").await;
    assert_eq!(rig.run().await, TurnRun::Parked);
    assert!(rig.log().request_cancel(rig.org, rig.session, key.turn).await.unwrap());
    assert_eq!(rig.run().await, TurnRun::Ended(TurnEnd::Cancelled));
    let results = rig.results().await;
    assert!(results.iter().all(|result| result.error.as_deref().is_some_and(|error| error.contains("not called"))), "{results:?}");
    let late = desk(&rig).settle(rig.org, rig.session, &[ClientToolResult { tool_call_id: "x".to_owned(), outcome: Ok(json!(1)) }]).await;
    assert!(matches!(late, Err(OutsideError::NotWaiting { .. })), "{late:?}");
    assert_eq!(rig.desk.executed("order"), [] as [String; 0]);
}

/// A clock that has gone on for longer than turns wait.
struct Later;

impl Clock for Later {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH + 2 * WAIT_LIMIT
    }
}

/// What somebody does next.
#[derive(Debug, Clone, Copy)]
enum Move {
    /// A process takes up the oldest turn.
    Run(Fault),
    /// Somebody says something about one of the calls that wait.
    Say(usize, ApprovalVerdict),
    FollowUp,
    Cancel(usize),
    /// Nobody says anything for longer than a turn waits.
    Silence,
}

fn moves() -> impl Strategy<Value = Move> {
    let fault = prop_oneof![
        4 => Just(Fault::None),
        2 => (0..20_usize).prop_map(Fault::DeadAfter),
        2 => (0..20_usize).prop_map(Fault::SilentAfter),
        1 => Just(Fault::LostReply),
    ];
    let verdict = prop_oneof![
        3 => Just(ApprovalVerdict::Allow),
        2 => Just(ApprovalVerdict::Reject),
        1 => Just(ApprovalVerdict::AllowAlways),
        1 => Just(ApprovalVerdict::RejectAlways),
    ];
    prop_oneof![
        5 => fault.prop_map(Move::Run),
        5 => (0..4_usize, verdict).prop_map(|(n, verdict)| Move::Say(n, verdict)),
        1 => Just(Move::FollowUp),
        1 => (0..3_usize).prop_map(Move::Cancel),
        1 => Just(Move::Silence),
    ]
}

/// Calls by kind: ungated and failing, asked about and not repeatable, asked about and repeatable, a question.
fn step(kinds: &[u8]) -> SimTurn {
    let call_of = |kind: &u8| match kind {
        0 => call("fail"),
        1 => call("order"),
        2 => call("look"),
        _ => question(),
    };
    SimTurn::ToolCalls(kinds.iter().map(call_of).collect())
}

async fn act(rig: &Rig, next: Move) {
    match next {
        Move::Run(fault) => {
            if let Some(claim) = rig.log().claim_turn(rig.org, rig.session).await.unwrap() {
                drop((claim, dies(rig, fault).await));
            }
        }
        Move::Say(n, verdict) => {
            let asked = asked(rig).await;
            let Some(one) = asked.get(n % asked.len().max(1)) else { return };
            match decide(rig, one, verdict).await {
                // It may have been decided with another call, or its turn is about to end.
                Ok(()) | Err(OutsideError::NotWaiting { .. } | OutsideError::Unknown { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        Move::Silence => {
            let desk = OutsideDesk { clock: &Later, ..desk(rig) };
            desk.expire(rig.org, rig.session).await.unwrap();
        }
        Move::FollowUp => drop(rig.submit("more").await),
        Move::Cancel(n) => {
            let open = rig.log().open_turns(rig.org, rig.session).await.unwrap();
            if let Some(&turn) = open.get(n % open.len().max(1)) {
                rig.log().request_cancel(rig.org, rig.session, turn).await.unwrap();
            }
        }
    }
}

/// Brings all turns to their ends: what waits is refused.
async fn finish(rig: &Rig) {
    for _ in 0..100 {
        if let Some(claim) = rig.log().claim_turn(rig.org, rig.session).await.unwrap() {
            let key = everwit_runtime::engine::TurnKey { org: rig.org, session: rig.session, turn: claim.turn_id };
            rig.platform.run_turn(key, claim, TurnSignals::default()).await.unwrap();
        } else if rig.log().open_turns(rig.org, rig.session).await.unwrap().is_empty() {
            return;
        } else {
            let asked = asked(rig).await;
            decide(rig, &asked[0], ApprovalVerdict::Reject).await.unwrap();
        }
    }
    panic!("the turns do not end: {:#?}", rig.events().await);
}

/// Calls that need an approval begin only behind one, and with the arguments that were shown.
fn assert_gate(events: &[Event]) {
    let (mut shown, mut allowed, mut always) = (HashMap::new(), HashMap::new(), HashMap::new());
    for event in events {
        match &event.data {
            EventData::ToolCallRequested { tool_calls, .. } => {
                shown.extend(tool_calls.iter().map(|asked| (asked.tool_call.id.clone(), asked.tool_call.clone())));
            }
            EventData::ToolApprovalDecided { tool_call_id, tool_name, approved, always: lasts, .. } => {
                assert_eq!(allowed.insert(tool_call_id.clone(), *approved), None, "a call is decided once");
                if *lasts {
                    always.insert(tool_name.clone(), *approved);
                }
            }
            EventData::ToolCompleted(completed) if ["order", "look"].contains(&completed.tool_name.as_str()) && completed.success => {
                let (own, rule) = (allowed.get(&completed.tool_call_id), always.get(&completed.tool_name));
                assert!(own == Some(&true) || (own.is_none() && rule == Some(&true)), "nobody allowed {completed:?}");
            }
            EventData::ToolStarted { tool_call, .. } => {
                assert!(shown.get(&tool_call.id).is_none_or(|asked| asked == tool_call), "{tool_call:?} is not what was shown");
            }
            _ => {}
        }
    }
}

async fn check(steps: Vec<Vec<u8>>, moves: Vec<Move>) {
    let mut script: Vec<SimTurn> = steps.iter().map(|kinds| step(kinds)).collect();
    script.push(SimTurn::Assistant("done".to_owned()));
    let rig = gated(LlmSimConfig::scripted(script)).await;
    rig.submit("go").await;
    for next in moves {
        act(&rig, next).await;
    }
    finish(&rig).await;
    let events = rig.events().await;
    let unrepeatable = |(tool, id): &(String, String)| (if tool == "order" { "step".to_owned() } else { tool.clone() }, id.clone());
    let executed: Vec<(String, String)> = rig.desk.calls.lock().unwrap().iter().map(unrepeatable).collect();
    assert_invariants(&events, &executed, &Told::new());
    assert_gate(&events);
    let messages = session_messages(&rig.platform.backends, rig.org, rig.session).await.unwrap();
    let messages: Vec<_> = messages.iter().map(|message| everwit_runtime::message::Message::clone(message)).collect();
    assert_eq!(messages, messages_from_events(&events), "what is cached is what the log says");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_interleaving_of_decisions_and_deaths_keeps_the_invariants(
        steps in prop::collection::vec(prop::collection::vec(0..4_u8, 1..4), 1..4),
        moves in prop::collection::vec(moves(), 0..20),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(check(steps, moves));
    }
}
