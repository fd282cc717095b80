//! Histories of workflows: that today's code still means by them what the code meant that made them, and that nothing
//! large is in them. `EVERWIT_BLESS=1` records them anew, for workflows that nobody has under way any more.

use std::fs;
use std::path::PathBuf;

use everwit_runtime::engine::conformance::{Bench, Site, until};
use everwit_runtime::engine::{Engine, TurnKey, TurnStatus};
use everwit_temporal::MAX_PAYLOAD_BYTES;
use everwit_temporal::pump::{MAX_ROUNDS, SessionPump};
use temporalio_client::WorkflowHistory;
use temporalio_sdk::workflow_replayer::{WorkflowReplayer, WorkflowReplayerOptions};

use crate::site::{self, Installation};

fn recorded(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/histories").join(name)
}

async fn replay(history: &[u8]) -> Result<(), String> {
    let options = WorkflowReplayerOptions::new().register_workflow::<SessionPump>().expect("a workflow").build();
    let replayer = WorkflowReplayer::new(options).expect("a replayer");
    replayer.replay_workflow(WorkflowHistory::from_json(history).expect("a history")).await.map_err(|error| error.to_string())
}

/// More than the workflow of a turn with one word makes.
const MAX_EVENTS: usize = 100;

/// The history of a session's last workflow.
async fn history(site: &Installation, key: TurnKey) -> serde_json::Value {
    let history = site.engine.history(key.org, key.session).await.expect("Temporal answers");
    serde_json::from_slice(&history).expect("JSON")
}

/// Waits until a session's workflow has ended, and holds its history against the code and the recorded one.
async fn check(site: &Installation, key: TurnKey, name: &str, events: &[&str]) {
    until("the workflow ends", async || site.engine.status(key).await.expect("Temporal answers") == TurnStatus::Unknown).await;
    let history = site.engine.history(key.org, key.session).await.expect("Temporal answers");
    let text = String::from_utf8(history.clone()).expect("JSON");
    for event in events {
        assert!(text.contains(&format!("{event}EventAttributes")), "the history has no {event}");
    }
    assert_small(&serde_json::from_slice(&history).expect("JSON"));
    replay(&history).await.expect("the code that made it follows it");
    if std::env::var_os("EVERWIT_BLESS").is_some() {
        fs::write(recorded(name), &history).expect("a file");
    }
    replay(&fs::read(recorded(name)).expect("a recorded history")).await.expect("the code follows what is under way");
}

fn assert_small(value: &serde_json::Value) {
    match value {
        serde_json::Value::Object(fields) => {
            // In base 64, which makes four characters of three bytes.
            if let Some(serde_json::Value::String(data)) = fields.get("data") {
                assert!(data.len() * 3 / 4 < MAX_PAYLOAD_BYTES, "a payload of {} characters: {data}", data.len());
            }
            fields.values().for_each(assert_small);
        }
        serde_json::Value::Array(items) => items.iter().for_each(assert_small),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_waits_and_is_cancelled() {
    let mut site = site::open().await;
    let bench = Bench::new(&mut site).await;
    bench.site.start_worker().await;
    let first = bench.begin("note wait:50 pause:50 late").await;
    bench.held(first).await;
    let second = bench.submit(first.session, "hold").await;
    bench.answer(first).await;
    bench.release(first).await;
    assert_eq!(bench.ended(first).await, "note timed-out pause:50 answered end");
    bench.held(second).await;
    assert!(bench.engine().cancel(second).await.unwrap());
    assert_eq!(bench.ended(second).await, "cancelled");
    let events = ["TimerFired", "WorkflowExecutionSignaled", "ActivityTaskCancelRequested"];
    drop(bench);
    check(&site, second, "waits-and-cancel.json", &events).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_with_turns_that_its_workflow_was_not_told_of() {
    let mut site = site::open().await;
    let bench = Bench::new(&mut site).await;
    bench.site.start_worker().await;
    let session = bench.session().await;
    let earlier = bench.submit(session, "note").await;
    bench.ended(earlier).await;
    check(bench.site, earlier, "one-turn.json", &[]).await;
    let (untold, told) = (bench.open(session, "note").await, bench.submit(session, "note").await);
    for key in [untold, told] {
        assert_eq!(bench.ended(key).await, "note end");
    }
    check(bench.site, told, "untold-turn.json", &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_turn_goes_on_in_a_further_workflow() {
    let mut site = site::open().await;
    let bench = Bench::new(&mut site).await;
    bench.site.start_worker().await;
    let words = vec!["note"; MAX_ROUNDS as usize + 2].join(" ");
    let key = bench.begin(&words).await;
    let behind = bench.submit(key.session, "note").await;
    assert_eq!(bench.ended(key).await, format!("{words} end"), "each word is there once");
    assert_eq!(bench.ended(behind).await, "note end", "what was told to the first workflow is known to the next");
    let started = &history(bench.site, key).await["events"][0]["attributes"]["WorkflowExecutionStartedEventAttributes"];
    assert!(started["continued_execution_run_id"].as_str().is_some_and(|run| !run.is_empty()), "{started}");
    check(bench.site, behind, "continued.json", &[]).await;
    // The next workflow begins to count its claims from nothing, and the store refuses that once.
    let later = bench.submit(key.session, "note").await;
    assert_eq!(bench.ended(later).await, "note end");
    let events = history(bench.site, later).await["events"].as_array().map_or(0, Vec::len);
    assert!(events < MAX_EVENTS, "{events} events");
}

#[tokio::test]
async fn code_that_does_not_follow_a_history_is_noticed() {
    let history = String::from_utf8(fs::read(recorded("one-turn.json")).unwrap()).unwrap();
    let other = history.replace("Steps::run", "Steps::walk");
    assert!(history != other, "the history has no activity of that name");
    replay(other.as_bytes()).await.unwrap_err();
}
