//! The table of workers: who is let in, who is told to pause, and what streams show of turns that run elsewhere.

use everwit_runtime::engine::conformance::until;
use serde_json::{Value, json};

use crate::deltas::{assert_deltas, slow_answer};
use crate::site::{LEASE, Site, shared_temporal};
use crate::support::Api;

/// Turns that are enough for two workers to have some each, if both take any.
const TURNS: usize = 8;
/// What a worker logs at the end of a turn.
const ENDED: &str = "a turn ended";

/// The workers in order of their start.
async fn workers(api: &Api) -> Vec<Value> {
    api.get("/v1/workers").await.expect(200)["data"].as_array().expect("a list").clone()
}

async fn tell(api: &Api, worker: &Value, what: &str) {
    let id = worker["id"].as_str().expect("an id");
    let told = api.post(&format!("/v1/workers/{id}/{what}"), &json!({})).await.expect(200);
    assert_eq!(told["id"], id);
}

/// Has turns, each in a session of its own, and waits for their ends.
async fn have_turns(api: &Api) {
    for _ in 0..TURNS {
        let session = api.session().await;
        api.say(&session, "go").await;
        api.stream(&session, "?after_sequence=0").await.until("session.idled").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_runs_something_else_is_refused_with_the_difference_before_any_turn() {
    let site = Site::new(&json!({ "response": "echo" }), LEASE).await;
    let temporal = shared_temporal();
    let _server = site.start("server", "server", &temporal).await;
    let session = site.api().session().await;
    site.api().say(&session, "go").await;
    let providers = site.file("providers.json");
    let fields = json!([{ "name": "api_key", "label": "API key", "field_type": "password", "required": true }]);
    let acme = json!([{ "id": "acme", "display_name": "Acme", "hosts": ["acme.example"], "method": { "api_key": { "fields": fields } } }]);
    std::fs::write(&providers, acme.to_string()).expect("a file");
    let more = [("EVERWIT_CONNECTION_PROVIDERS", providers.to_str().expect("a path"))];
    let log = site.refused("worker", "other", &temporal, &more).await;
    assert!(log.contains("only in the second: connection/acme") && log.contains("the same definition"), "{log}");
    let log = site.refused("worker", "other", &temporal, &[("EVERWIT_WORKER_TOKEN", "another-token-of-32-characters-0")]).await;
    assert!(log.contains("401") && log.contains("token"), "{log}");
    assert!(workers(&site.api()).await.is_empty(), "nobody was let in");
    let worker = site.start("worker", "worker", &temporal).await;
    site.api().stream(&session, "?after_sequence=0").await.until("turn.completed").await;
    assert_eq!(workers(&site.api()).await.len(), 1);
    drop(worker);
    until("who was killed is gone", async || workers(&site.api()).await[0]["state"] == "gone").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drained_worker_takes_nothing_while_another_does_until_it_is_resumed() {
    let site = Site::new(&json!({ "response": "echo" }), LEASE).await;
    let (temporal, api) = (shared_temporal(), site.api());
    let _server = site.start("server", "server", &temporal).await;
    let _one = site.start("worker", "one", &temporal).await;
    let _two = site.start("worker", "two", &temporal).await;
    let both = workers(&api).await;
    let count = |name: &str| site.log(name).matches(ENDED).count();
    for (drained, busy, at) in [("one", "two", 0), ("two", "one", 1)] {
        tell(&api, &both[at], "drain").await;
        until("it has drained", async || workers(&api).await[at]["state"] == "drained").await;
        let before = [count(drained), count(busy)];
        have_turns(&api).await;
        until("the other one tells", async || count(busy) == before[1] + TURNS).await;
        assert_eq!(count(drained), before[0], "{drained} takes up nothing");
        assert!(site.log(drained).contains("takes up no further turns"), "and says so");
        tell(&api, &both[at], "resume").await;
        until("it works again", async || workers(&api).await[at]["state"] == "active").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_drains_finishes_what_it_runs() {
    let call = json!({ "tool_calls": [{ "name": "nap", "arguments": {} }] });
    let site = Site::new(&json!({ "response": { "scripted": { "turns": [call, { "assistant": "Done." }] } } }), LEASE).await;
    let (temporal, api) = (shared_temporal(), site.api());
    let _server = site.start("server", "server", &temporal).await;
    let _one = site.start_with("worker", "one", &temporal, &[("EVERWIT_DRAIN_SECONDS", "0")]).await;
    let session = api.session_with(&json!({ "capabilities": [{ "ref": "trouble" }] })).await;
    api.say(&session, "go").await;
    until("the tool runs", async || site.effects().len() == 1).await;
    let worker = workers(&api).await.remove(0);
    tell(&api, &worker, "drain").await;
    until("it drains", async || {
        let worker = workers(&api).await.remove(0);
        worker["state"] == "draining" && worker["running"] == 1 && site.log("one").contains("takes up no further turns")
    })
    .await;
    let _two = site.start("worker", "two", &temporal).await;
    until("the tool has ended where it ran", async || workers(&api).await[0]["state"] == "drained").await;
    api.stream(&session, "?after_sequence=0").await.until("turn.completed").await;
    assert_eq!(site.effects().into_values().collect::<Vec<_>>(), [1], "nobody cut it off, and nobody else ran it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_control_plane_shows_the_deltas_of_turns_that_run_on_workers() {
    let site = Site::new(&slow_answer(), LEASE).await;
    let temporal = shared_temporal();
    let _server = site.start("server", "server", &temporal).await;
    let _worker = site.start("worker", "worker", &temporal).await;
    let session = site.api().session().await;
    let mut stream = site.api().stream(&session, "").await;
    site.api().say(&session, "go").await;
    let frames = stream.until("session.idled").await;
    assert_deltas(&frames, &session);
}
