//! Messages that come while a turn runs: what the turn sees of them, and when.

use everwit_runtime::driver::llmsim::{LlmSimConfig, SimToolCall, SimTurn, ToolCallConfig};
use everwit_runtime::event::{Event, EventData};
use everwit_runtime::message::Role;
use everwit_runtime::store::TurnEnd;
use everwit_runtime::turn::{TurnRun, session_messages};
use serde_json::json;

use super::faults::{Fault, dies};
use super::history::Recording;
use super::properties::{Meanwhile, staged};
use super::rig::{Rig, call, calling, heard};

/// Echoes the user's last message, behind one call of the gate.
async fn at_the_gate() -> Rig {
    Rig::new(LlmSimConfig::echo().with_tool_calls(ToolCallConfig::Sequence(vec![vec![call("gate")]]))).await
}

fn count(events: &[Event], name: &str) -> usize {
    events.iter().filter(|event| event.data.name() == name).count()
}

#[tokio::test]
async fn a_message_during_a_tool_call_is_told_before_the_next_model_call() {
    let rig = at_the_gate().await;
    let engine = rig.engine();
    let mut listener = rig.listen();
    let first = rig.submit("first").await;
    engine.submit(first).unwrap();
    heard(&mut listener, "tool.started").await;
    let followers = [rig.submit("second").await, rig.submit("third").await];
    for follower in followers {
        engine.submit(follower).unwrap();
    }
    rig.desk.gate.add_permits(1);
    engine.settled(rig.org, rig.session).await;

    assert_eq!(rig.last_text().await, "third", "the model was told both before it answered");
    let roles: Vec<Role> = rig.conversation().await.into_iter().map(|(role, _)| role).collect();
    assert_eq!(roles, [Role::User, Role::Agent, Role::ToolResult, Role::User, Role::User, Role::Agent]);
    let names = rig.names().await;
    let acted = names.iter().position(|name| *name == "act.completed").unwrap();
    assert_eq!(names[acted + 1..acted + 4], ["turn.merged", "turn.merged", "reason.started"]);
    let events = rig.events().await;
    assert_eq!((count(&events, "turn.started"), count(&events, "turn.completed")), (1, 1));
    for (merged, follower) in events.iter().filter(|event| event.data.name() == "turn.merged").zip(followers) {
        let input = events.iter().find(|event| event.context.turn_id == Some(follower.turn)).unwrap();
        assert_eq!(merged.context, input.context, "it is that turn's own end");
        assert_eq!(merged.data, EventData::TurnMerged { turn_id: follower.turn, into_turn_id: first.turn });
    }
    assert!(!engine.cancel(followers[0]).await.unwrap(), "it is not open any more");
    // What is cached of the session is what its log says.
    let cached = session_messages(&rig.platform.backends, rig.org, rig.session).await.unwrap();
    rig.platform.backends.history_cache.forget(rig.org, rig.session);
    assert_eq!(session_messages(&rig.platform.backends, rig.org, rig.session).await.unwrap(), cached);
    let sent = events.iter().rev().find_map(|event| match &event.data {
        EventData::LlmGeneration { messages_to_sequence, .. } => Some(*messages_to_sequence),
        _ => None,
    });
    assert_eq!(sent, Some(acted as u64 + 3), "what was sent reaches to the last merge");
}

#[tokio::test]
async fn a_message_during_the_last_model_call_gets_a_turn_of_its_own() {
    let (rig, _actor) = staged(vec![Meanwhile::FollowUp], vec![0]).await;
    assert_eq!(rig.run().await, TurnRun::Ended(TurnEnd::Completed));
    let events = rig.events().await;
    assert_eq!((count(&events, "turn.completed"), count(&events, "turn.merged"), count(&events, "llm.generation")), (1, 0, 1));
    assert_eq!(rig.run().await, TurnRun::Ended(TurnEnd::Completed));
    assert_eq!(rig.log().open_turns(rig.org, rig.session).await.unwrap(), []);
}

#[tokio::test]
async fn what_waits_for_a_turn_to_begin_is_told_with_its_first_model_call() {
    let driver = Recording::default();
    let rig = Rig::with_driver(driver.clone()).await;
    for text in ["one", "two", "three"] {
        rig.submit(text).await;
    }
    assert_eq!(rig.run().await, TurnRun::Ended(TurnEnd::Completed));
    assert_eq!(driver.last(), ["one", "two", "three"]);
    assert_eq!(driver.requests().len(), 1);
}

#[tokio::test]
async fn a_message_that_wants_another_model_or_language_waits_and_so_do_those_behind_it() {
    let driver = Recording::default();
    let rig = Rig::with_driver(driver.clone()).await;
    rig.submit("one").await;
    rig.submit_apart("two").await;
    rig.submit("three").await;
    for last in [vec!["one"], vec!["one", "ok", "two"], vec!["one", "ok", "two", "ok", "three"]] {
        assert_eq!(rig.run().await, TurnRun::Ended(TurnEnd::Completed));
        assert_eq!(driver.last(), last);
    }
}

#[tokio::test]
async fn a_message_whose_turn_is_to_be_cancelled_is_not_told() {
    let driver = Recording::default();
    let rig = Rig::with_driver(driver.clone()).await;
    rig.submit("one").await;
    let second = rig.submit("two").await;
    rig.submit("three").await;
    assert!(rig.log().request_cancel(rig.org, rig.session, second.turn).await.unwrap());
    let ends: Vec<TurnRun> = [rig.run().await, rig.run().await, rig.run().await].to_vec();
    assert_eq!(ends, [TurnEnd::Completed, TurnEnd::Cancelled, TurnEnd::Completed].map(TurnRun::Ended));
    assert_eq!(driver.requests()[0].messages.len(), 1);
}

/// A turn that calls twice, with a message that came before its first model call.
async fn followed() -> Rig {
    let step = |n: u32| SimTurn::ToolCalls(vec![SimToolCall::new("look", json!({ "n": n }))]);
    let rig = Rig::new(LlmSimConfig::scripted([step(1), step(2), SimTurn::Assistant("done".to_owned())])).await;
    rig.submit("first").await;
    rig.submit("second").await;
    rig
}

#[tokio::test(start_paused = true)]
async fn a_death_after_any_event_tells_the_message_once() {
    let whole = followed().await;
    let before = whole.events().await.len();
    assert_eq!(whole.run().await, TurnRun::Ended(TurnEnd::Completed));
    let (expected, behind) = (whole.conversation().await, whole.events().await.len() - before);
    for fault in (0..behind).flat_map(|k| [Fault::DeadAfter(k), Fault::SilentAfter(k)]) {
        let rig = followed().await;
        dies(&rig, fault).await.unwrap_err();
        rig.recover().await;
        assert_eq!(rig.conversation().await, expected, "{fault:?}");
        assert_eq!(count(&rig.events().await, "turn.merged"), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn a_turn_without_model_calls_left_leaves_the_message_its_turn() {
    let mut rig = Rig::new(calling(&["gate"])).await;
    let harness = rig.platform.backends.harness_store.find_harness(rig.org, "base").await.unwrap().unwrap();
    rig.session = rig.add_session(harness.id, |session| session.max_iterations = Some(1)).await;
    let engine = rig.engine();
    let mut listener = rig.listen();
    engine.submit(rig.submit("first").await).unwrap();
    heard(&mut listener, "tool.started").await;
    engine.submit(rig.submit("second").await).unwrap();
    rig.desk.gate.add_permits(1);
    engine.settled(rig.org, rig.session).await;
    let events = rig.events().await;
    assert_eq!((count(&events, "turn.merged"), count(&events, "turn.completed")), (0, 2));
}
