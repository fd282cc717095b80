//! Turns whose process dies, whose store fails, or whose session is taken over.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use everwit_runtime::driver::llmsim::{LlmSimConfig, SimTurn};
use everwit_runtime::engine::Executor;
use everwit_runtime::error::ErrorKind;
use everwit_runtime::event::{Event, EventContext, EventData, RecoveryMode, ToolStatus};
use everwit_runtime::store::{Append, Fence, TurnEnd};
use everwit_runtime::turn::{TurnPlatform, TurnRun};

use super::faults::{Fault, FaultyLog, dies, run_on};
use super::rig::{Rig, call, calling, heard};

/// Two steps of parallel calls; `order` must not be repeated.
fn script(first: &[&str]) -> LlmSimConfig {
    LlmSimConfig::scripted([
        SimTurn::Mixed { text: "Let me see.".to_owned(), tool_calls: first.iter().map(|tool| call(tool)).collect() },
        SimTurn::ToolCalls(vec![call("look")]),
        SimTurn::Assistant("done".to_owned()),
    ])
}

/// Types of the stored events, without those that only tell of a recovery.
fn shape(events: &[Event]) -> Vec<&'static str> {
    let mut started = false;
    let told = events.iter().filter(|event| match event.data {
        EventData::ReasonRecovered { .. } => false,
        EventData::SessionActivated { .. } => !std::mem::replace(&mut started, true),
        _ => true,
    });
    told.map(|event| event.data.name()).collect()
}

async fn undisturbed(first: &[&str]) -> Rig {
    let rig = Rig::new(script(first)).await;
    assert_eq!(rig.ask("go").await, TurnRun::Ended(TurnEnd::Completed));
    rig
}

/// All faults that a turn of so many events can have.
fn deaths(events: usize) -> impl Iterator<Item = Fault> {
    (0..events).flat_map(|k| [Fault::DeadAfter(k), Fault::SilentAfter(k)])
}

#[tokio::test(start_paused = true)]
async fn a_death_after_any_event_changes_nothing_if_tools_are_repeatable() {
    let whole = undisturbed(&["look", "look"]).await;
    let events = whole.events().await;
    for fault in deaths(events.len() - 2) {
        let rig = Rig::new(script(&["look", "look"])).await;
        rig.submit("go").await;
        let error = dies(&rig, fault).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{fault:?}");
        rig.recover().await;
        assert_eq!(rig.conversation().await, whole.conversation().await, "{fault:?}");
        assert_eq!(shape(&rig.events().await), shape(&events), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_death_after_any_event_never_repeats_an_unrepeatable_tool() {
    let whole = undisturbed(&["look", "order"]).await;
    let events = whole.events().await;
    let mut interrupted = 0;
    for fault in deaths(events.len() - 2) {
        let rig = Rig::new(script(&["look", "order"])).await;
        rig.submit("go").await;
        dies(&rig, fault).await.unwrap_err();
        rig.recover().await;
        assert_eq!(shape(&rig.events().await), shape(&events), "{fault:?}");
        assert!(rig.desk.executed("order").len() <= 1, "{fault:?}");
        let results = rig.results().await;
        let names: Vec<&str> = results.iter().map(|result| result.tool_name.as_str()).collect();
        assert_eq!(names, ["look", "order", "look"], "{fault:?}");
        assert!(results[0].success && results[2].success, "{fault:?}");
        if results[1].status == ToolStatus::Interrupted {
            interrupted += 1;
            assert!(results[1].error.as_ref().unwrap().contains("uncertain"));
        } else {
            assert_eq!(rig.conversation().await, whole.conversation().await, "{fault:?}");
        }
        assert_eq!(rig.last_text().await, "done");
    }
    assert!(interrupted > 0, "some of the deaths are between claim and result");
}

#[tokio::test(start_paused = true)]
async fn a_repeated_call_has_the_same_idempotency_key() {
    let rig = Rig::new(calling(&["look"])).await;
    rig.submit("go").await;
    // turn.started, session.activated, reason.started, the answer (3), act.started, tool.started
    dies(&rig, Fault::DeadAfter(8)).await.unwrap_err();
    rig.recover().await;
    let keys = rig.desk.executed("look");
    assert_eq!(keys.len(), 2);
    assert_eq!(keys[0], keys[1]);
}

#[tokio::test(start_paused = true)]
async fn a_model_call_that_was_left_behind_is_made_again() {
    let rig = Rig::new(LlmSimConfig::fixed("hello")).await;
    rig.submit("go").await;
    dies(&rig, Fault::DeadAfter(3)).await.unwrap_err();
    rig.recover().await;
    let events = rig.events().await;
    let recovered = events.iter().find(|event| event.data.name() == "reason.recovered").unwrap();
    assert!(matches!(recovered.data, EventData::ReasonRecovered { mode: RecoveryMode::Restart, .. }));
    assert_eq!(rig.last_text().await, "hello");
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_kills_every_process_is_sealed() {
    let rig = Rig::new(LlmSimConfig::fixed("never seen")).await;
    rig.submit("go").await;
    dies(&rig, Fault::DeadAfter(3)).await.unwrap_err();
    for _ in 0..3 {
        // session.activated, reason.recovered
        dies(&rig, Fault::DeadAfter(2)).await.unwrap_err();
    }
    rig.recover().await;
    let EventData::TurnSealed { reason, .. } = rig.end().await else { panic!("not sealed") };
    assert_eq!(reason, "no_progress");
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_never_starts_is_sealed() {
    let rig = Rig::new(LlmSimConfig::fixed("never seen")).await;
    rig.submit("go").await;
    for _ in 0..3 {
        dies(&rig, Fault::DeadAfter(0)).await.unwrap_err();
    }
    rig.recover().await;
    let names = rig.names().await;
    assert_eq!(names[2..], ["turn.started", "session.activated", "turn.sealed", "session.idled"]);
}

#[tokio::test(start_paused = true)]
async fn outages_and_lost_replies_are_survived() {
    for fault in [Fault::Outage(4), Fault::LostReply] {
        let whole = undisturbed(&["look", "order"]).await;
        let rig = Rig::new(script(&["look", "order"])).await;
        rig.submit("go").await;
        let mut listener = rig.listen();
        assert_eq!(dies(&rig, fault).await.unwrap(), TurnRun::Ended(TurnEnd::Completed), "{fault:?}");
        assert_eq!(rig.conversation().await, whole.conversation().await, "{fault:?}");
        let mut heard: Vec<&'static str> = Vec::new();
        while let Ok(event) = listener.try_recv() {
            heard.extend(event.sequence.map(|_| event.data.name()));
        }
        assert_eq!(heard, rig.names().await[2..], "{fault:?}: each event is published once");
    }
}

#[tokio::test(start_paused = true)]
async fn a_turn_goes_on_by_itself_after_a_long_outage() {
    let rig = Rig::new(LlmSimConfig::echo()).await;
    let mut backends = rig.platform.backends.clone();
    backends.log = FaultyLog::new(backends.log, Fault::Outage(20));
    let platform = TurnPlatform { backends, ..rig.platform.clone() };
    let engine = Executor::new(platform, 1);
    rig.go(&engine, "one").await;
    assert_eq!(rig.log().open_turns(rig.org, rig.session).await.unwrap(), []);
    assert_eq!(rig.last_text().await, "one");
}

#[tokio::test]
async fn a_fenced_owner_writes_nothing_more() {
    let rig = Arc::new(Rig::new(calling(&["gate"])).await);
    let mut listener = rig.listen();
    rig.submit("go").await;
    let old = tokio::spawn({
        let rig = rig.clone();
        async move { rig.run().await }
    });
    heard(&mut listener, "tool.started").await;
    rig.claim().await;
    let before = rig.events().await;
    rig.desk.gate.add_permits(1);
    assert_eq!(old.await.unwrap(), TurnRun::Lost);
    assert_eq!(rig.events().await, before);
}

#[tokio::test]
async fn a_message_that_arrives_in_the_middle_stands_behind_the_results() {
    let rig = Rig::new(calling(&["gate"])).await;
    let mut listener = rig.listen();
    let engine = rig.engine();
    engine.submit(rig.submit("first").await).unwrap();
    heard(&mut listener, "tool.started").await;
    engine.submit(rig.submit("second").await).unwrap();
    rig.desk.gate.add_permits(1);
    engine.settled(rig.org, rig.session).await;
    let texts: Vec<String> = rig.conversation().await.iter().map(|(role, parts)| format!("{role:?} {}", parts.len())).collect();
    assert_eq!(texts, ["User 1", "Agent 1", "ToolResult 1", "User 1", "Agent 1"]);
}

#[tokio::test]
async fn events_of_the_turn_from_elsewhere_make_it_plan_again() {
    let rig = Arc::new(Rig::new(calling(&["gate"])).await);
    let mut listener = rig.listen();
    let key = rig.submit("go").await;
    let old = tokio::spawn({
        let rig = rig.clone();
        async move { rig.run().await }
    });
    heard(&mut listener, "tool.started").await;
    // The turn is ended behind the owner's back, with the owner's own fence.
    let events = rig.events().await;
    let context = EventContext { turn_id: Some(key.turn), input_message_id: None };
    let cancelled = rig.event(context, EventData::TurnCancelled { turn_id: key.turn, usage: Default::default() });
    let append = Append {
        expected_sequence: events.len() as u64,
        fence: Fence(1),
        events: vec![cancelled],
        ends_turn: Some((key.turn, TurnEnd::Cancelled)),
        parks_turn: None,
    };
    rig.log().append(rig.org, rig.session, append).await.unwrap();
    rig.desk.gate.add_permits(1);
    assert_eq!(old.await.unwrap(), TurnRun::Ended(TurnEnd::Cancelled));
    assert_eq!(rig.events().await.len(), events.len() + 1);
}

/// Runs one turn of a hundred model calls and tool calls; returns how many pages were read.
async fn pages_read(rig: &Rig) -> usize {
    rig.submit("go").await;
    let log = FaultyLog::new(rig.log(), Fault::None);
    assert_eq!(run_on(rig, log.clone()).await.unwrap(), TurnRun::Ended(TurnEnd::Completed));
    log.reads.load(Ordering::Relaxed)
}

#[tokio::test]
async fn the_log_is_read_once_at_the_start_in_pages() {
    let rig = Rig::new(LlmSimConfig::scripted([SimTurn::ToolCalls(vec![call("look")])])).await;
    assert_eq!(pages_read(&rig).await, 1);
    assert_eq!(pages_read(&rig).await, 1);
    let last = rig.log().last_sequence(rig.org, rig.session).await.unwrap();
    assert!(last > 1_000, "{last} events");
    assert_eq!(pages_read(&rig).await, 2);
}
