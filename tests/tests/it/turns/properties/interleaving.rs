//! Random interleavings of messages, cancels, results of client-side tools, and processes that die.

use std::collections::HashMap;
use std::sync::Arc;

use everwit_runtime::engine::TurnKey;
use everwit_runtime::event::{Event, EventData, ToolCompleted};
use everwit_runtime::id::TurnId;
use everwit_runtime::message::{ContentPart, Message};
use everwit_runtime::messages_from_events;
use everwit_runtime::store::{RuntimeBackends, SessionLog, StoreError};
use everwit_runtime::turn::{ClientToolResult, OutsideDesk, OutsideError, TurnPlatform, TurnSignals, session_messages};
use proptest::prelude::*;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::super::faults::{Fault, FaultyLog};
use super::super::rig::Rig;
use super::stage::{Actor, Meanwhile, staged};

/// One thing that happens between others.
#[derive(Debug, Clone, Copy)]
enum Act {
    /// A process takes up the oldest turn.
    Process {
        fault: Fault,
        /// Whether it is the process of before, with its memory.
        is_the_same: bool,
        /// Which of the open turns is cancelled first.
        cancels: Option<usize>,
    },
    /// A message comes.
    Message,
    /// The client sends results.
    Results {
        /// For how many of the calls that wait, at most.
        calls: usize,
        /// Whether the client hears that they were stored.
        replies: bool,
    },
}

/// Most rounds in which what is left open is brought to its end; a turn needs one for each answer.
const MAX_ROUNDS: usize = 40;

/// The results that were stored for the client: call and text.
pub(in super::super) type Told = HashMap<String, String>;

async fn play(rig: &Rig, actor: &Actor, act: Act, told: &mut Told) {
    match act {
        Act::Process { fault, is_the_same, cancels } => {
            if let Some(n) = cancels {
                let open = rig.log().open_turns(rig.org, rig.session).await.unwrap();
                if let Some(&turn) = open.get(n % open.len().max(1)) {
                    rig.log().request_cancel(rig.org, rig.session, turn).await.unwrap();
                }
            }
            live(rig, actor, fault, is_the_same).await;
        }
        Act::Message => actor.submit().await,
        Act::Results { calls, replies } => answer(rig, calls, replies, told).await,
    }
}

/// Lets one process take up the oldest turn, if there is any that does not wait.
async fn live(rig: &Rig, actor: &Actor, fault: Fault, is_the_same: bool) {
    let Some(claim) = rig.log().claim_turn(rig.org, rig.session).await.unwrap() else { return };
    let log: Arc<dyn SessionLog> = FaultyLog::new(rig.log(), fault);
    let backends = rig.platform.backends.clone();
    let backends = if is_the_same { RuntimeBackends { log, ..backends } } else { backends.with_log(log) };
    let platform = TurnPlatform { backends, ..rig.platform.clone() };
    let cancel = CancellationToken::new();
    actor.stage.state.lock().unwrap().cancel = cancel.clone();
    let key = TurnKey { org: rig.org, session: rig.session, turn: claim.turn_id };
    let signals = TurnSignals { cancel, drain: CancellationToken::new() };
    // The error of a process that dies is the case's own.
    drop(platform.run_turn(key, claim, signals).await);
}

/// Calls of the client-side tool that were asked for and have no result.
fn asked(events: &[Event]) -> Vec<String> {
    let mut open: Vec<String> = Vec::new();
    for event in events {
        match &event.data {
            EventData::ToolCallRequested { tool_calls, .. } => open.extend(tool_calls.iter().map(|call| call.tool_call.id.clone())),
            EventData::ToolCompleted(completed) => open.retain(|id| *id != completed.tool_call_id),
            _ => {}
        }
    }
    open
}

/// Sends results of the first calls that wait. What was stored counts, whatever the client hears.
async fn answer(rig: &Rig, calls: usize, replies: bool, told: &mut Told) {
    let waiting = asked(&rig.events().await);
    let result = |id: &String| ClientToolResult { tool_call_id: id.clone(), outcome: Ok(json!(format!("result of {id}"))) };
    let results: Vec<ClientToolResult> = waiting.iter().take(calls).map(result).collect();
    let fault = if replies { Fault::None } else { Fault::LostReply };
    let backends = RuntimeBackends { log: FaultyLog::new(rig.log(), fault), ..rig.platform.backends.clone() };
    let platform = &rig.platform;
    let (capabilities, clock, ids) = (&*platform.capabilities, &*platform.clock, &*platform.ids);
    let desk = OutsideDesk { backends: &backends, capabilities, clock, ids };
    match desk.settle(rig.org, rig.session, &results).await {
        Err(OutsideError::Empty { .. }) => assert!(results.is_empty()),
        // Cancelled or overtaken, and not yet taken up by a process that would settle them.
        Err(OutsideError::NotWaiting { .. }) => {}
        Ok(_) => told.extend(results.iter().map(|result| (result.tool_call_id.clone(), format!("result of {}", result.tool_call_id)))),
        Err(OutsideError::Store(StoreError::Unavailable(_))) => {
            assert!(!replies, "only a lost reply is one");
            let left = asked(&rig.events().await);
            let stored = results.iter().filter(|result| !left.contains(&result.tool_call_id));
            told.extend(stored.map(|result| (result.tool_call_id.clone(), format!("result of {}", result.tool_call_id))));
        }
        Err(error) => panic!("{error}"),
    }
}

/// Brings everything to its end: an engine runs what is open, and the client answers what waits.
async fn finish(rig: &Rig, told: &mut Told) {
    for _ in 0..MAX_ROUNDS {
        let engine = rig.engine();
        engine.recover().await.unwrap();
        engine.settled(rig.org, rig.session).await;
        engine.drain().await;
        if rig.log().open_turns(rig.org, rig.session).await.unwrap().is_empty() {
            return;
        }
        answer(rig, usize::MAX, true, told).await;
    }
    panic!("turns are open after {MAX_ROUNDS} rounds: {:#?}", rig.names().await);
}

const ENDS: [&str; 5] = ["turn.completed", "turn.failed", "turn.sealed", "turn.cancelled", "turn.merged"];

/// What must hold for the log of a session without open turns. Sequences have no gaps, or it would
/// not have been read.
pub(in super::super) fn assert_invariants(events: &[Event], executed: &[(String, String)], told: &Told) {
    let mut submitted = Vec::new();
    let (mut ended, mut merged) = (Vec::new(), Vec::new());
    let mut results: HashMap<&str, Vec<&ToolCompleted>> = HashMap::new();
    for event in events {
        let turn = event.context.turn_id;
        let is_over = turn.is_some_and(|turn| ended.contains(&turn));
        assert!(!is_over || event.data.name() == "session.idled", "{event:?} comes after the end of its turn");
        match &event.data {
            EventData::InputMessage { .. } => submitted.extend(turn),
            EventData::TurnMerged { turn_id, into_turn_id } => {
                let is_open = submitted.contains(into_turn_id) && !ended.contains(into_turn_id);
                assert!(is_open && into_turn_id != turn_id, "{event:?} names a turn that does not run");
                merged.push(*turn_id);
                ended.extend(turn);
            }
            EventData::OutputMessageCompleted { message, .. } => {
                for call in message.tool_calls() {
                    assert_eq!(results.insert(&call.id, Vec::new()), None, "two calls are called {}", call.id);
                }
            }
            EventData::ToolCompleted(completed) => {
                results.get_mut(completed.tool_call_id.as_str()).expect("a result belongs to a call").push(completed);
            }
            data if ENDS.contains(&data.name()) => ended.extend(turn),
            _ => {}
        }
    }
    let in_order =
        |wanted: bool, turns: &[TurnId]| turns.iter().copied().filter(|turn| merged.contains(turn) == wanted).collect::<Vec<_>>();
    for is_merged in [false, true] {
        assert_eq!(in_order(is_merged, &ended), in_order(is_merged, &submitted), "each turn ends once, in order of submission");
    }
    assert!(results.values().all(|results| results.len() == 1), "each call is settled once: {results:?}");
    for (id, text) in told {
        assert_eq!(results[id.as_str()][0].result, [ContentPart::text(text)], "what the client said is what the model is told");
    }
    let executed_here = |tool: &str| executed.iter().filter(|(name, _)| name == tool).map(|(_, id)| id.as_str()).collect::<Vec<_>>();
    assert!(executed_here("ask").is_empty(), "the client's tool is the client's");
    let mut steps = executed_here("step");
    let all = steps.len();
    steps.sort_unstable();
    steps.dedup();
    assert_eq!(steps.len(), all, "what must not be repeated is executed once: {executed:?}");
}

async fn check(meanwhile: Vec<Meanwhile>, answers: Vec<usize>, acts: Vec<Act>) {
    let (rig, actor) = staged(meanwhile, answers).await;
    let mut told = Told::new();
    for act in acts {
        play(&rig, &actor, act, &mut told).await;
    }
    finish(&rig, &mut told).await;
    let events = rig.events().await;
    assert_invariants(&events, &actor.stage.state.lock().unwrap().executed, &told);
    let messages = session_messages(&rig.platform.backends, rig.org, rig.session).await.unwrap();
    let messages: Vec<Message> = messages.iter().map(|message| Message::clone(message)).collect();
    assert_eq!(messages, messages_from_events(&events), "what is cached is what the log says");
}

fn meanwhile() -> impl Strategy<Value = Meanwhile> {
    prop_oneof![4 => Just(Meanwhile::Nothing), 3 => Just(Meanwhile::FollowUp), 1 => Just(Meanwhile::Cancel)]
}

fn act() -> impl Strategy<Value = Act> {
    let fault = prop_oneof![
        2 => Just(Fault::None),
        3 => (0..30_usize).prop_map(Fault::DeadAfter),
        3 => (0..30_usize).prop_map(Fault::SilentAfter),
        1 => (1..4_usize).prop_map(Fault::Outage),
        1 => Just(Fault::LostReply),
    ];
    let cancels = prop_oneof![4 => Just(None), 1 => (0..8_usize).prop_map(Some)];
    let process = (fault, any::<bool>(), cancels).prop_map(|(fault, is_the_same, cancels)| Act::Process { fault, is_the_same, cancels });
    let results = (1..3_usize, any::<bool>()).prop_map(|(calls, replies)| Act::Results { calls, replies });
    prop_oneof![5 => process, 1 => Just(Act::Message), 3 => results]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_interleaving_keeps_the_invariants(
        meanwhile in prop::collection::vec(meanwhile(), 0..20),
        answers in prop::collection::vec(0..5_usize, 0..12),
        acts in prop::collection::vec(act(), 0..14),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(check(meanwhile, answers, acts));
    }
}
