//! A turn with a rest before its model answers, parallel tools, a component's tool, an approval and a client's tool, on one control plane and two workers.
//! After each of its events whoever has stored it dies, be it the worker or the control plane: the log becomes the one of
//! a turn that was never interrupted, and no tool that must not be repeated is.

use everwit_runtime::engine::conformance::until;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::site::{SHORT_LEASE, Site};
use crate::support::{Api, EventStream, guest, interrupted};

/// Sequence of the session's last event before its first message.
const BEFORE: u64 = 1;
/// Boundaries that one test goes through.
const STEP: usize = 4;

/// A session that has all the tools.
async fn session(api: &Api) -> String {
    let made = retried(api.request(Method::POST, "/v1/sessions").json(&interrupted::session())).await;
    made["id"].as_str().expect("an id").to_owned()
}

/// The answer, also if the control plane dies meanwhile.
async fn retried(request: RequestBuilder) -> Value {
    let mut answer = None;
    until("the control plane answers", async || {
        let sent = request.try_clone().expect("it has no stream").send().await;
        let Ok(response) = sent else { return false };
        let status = response.status();
        answer = response.text().await.ok();
        assert!(answer.is_none() || status.is_success() || status == 503, "{status}: {answer:?}");
        answer.is_some() && status.is_success()
    })
    .await;
    serde_json::from_str(&answer.expect("it has come")).expect("JSON")
}

/// Answers what the session waits for, as the person at the other end, until the turn ends.
async fn accompany(api: &Api, session: &str) {
    loop {
        let stream = api.request(Method::GET, &format!("/v1/sessions/{session}/sse?after_sequence=0"));
        // Without a control plane there is no stream.
        let Ok(response) = stream.send().await else { continue };
        if interrupted::follow(api, session, EventStream::of(response)).await {
            return;
        }
    }
}

/// Has a turn in a session of its own; whoever stores the given event dies.
async fn log_of(site: &Site, die_after: Option<u64>) -> Vec<Value> {
    let api = site.api();
    let session = session(&api).await;
    if let Some(sequence) = die_after {
        std::fs::write(site.file("deaths").join(&session), sequence.to_string()).expect("a file");
    }
    let message = json!({ "message": { "content": [{ "type": "text", "text": "go" }] } });
    let say = api.request(Method::POST, &format!("/v1/sessions/{session}/messages")).json(&message);
    // A repetition has no second effect.
    retried(say.header("idempotency-key", &session)).await;
    accompany(&api, &session).await;
    let path = format!("/v1/sessions/{session}/events?limit=1000");
    let events = retried(api.request(Method::GET, &path)).await["data"].as_array().expect("a list").clone();
    // The last event is heard of before its listener dies.
    let death = site.file("deaths").join(&session);
    until("somebody dies after the event", async || !death.exists()).await;
    events
}

/// A death after every fourth event, beginning with the given one; one at a time, because a process that dies for one
/// turn would not die for another one any more.
async fn dies_at_every_fourth(first: u64) {
    let site = Site::new(&interrupted::script(), SHORT_LEASE).await;
    let _processes = [site.supervise("server", "server"), site.supervise("worker", "one"), site.supervise("worker", "two")];
    let upload = site.api().request(Method::POST, "/v1/components").header("content-type", "application/wasm").body(guest("echo"));
    retried(upload).await;
    let uninterrupted = log_of(&site, None).await;
    let (expected, last) = (interrupted::essence(&uninterrupted), uninterrupted.len() as u64);
    interrupted::assert_whole(&uninterrupted, &expected, "uninterrupted");
    interrupted::assert_rested(&uninterrupted);
    assert_eq!(site.effects().values().sum::<usize>(), 2, "{:?}", site.effects());
    assert!(last > 20, "{expected:#?}");
    let compiled = ["one", "two"].map(|worker| std::fs::read_dir(site.file(&format!("data-{worker}/cache"))).map_or(0, Iterator::count));
    assert!(compiled.iter().sum::<usize>() > 0, "a worker has compiled the component for itself");
    for sequence in (BEFORE + first..=last).step_by(STEP) {
        let events = log_of(&site, Some(sequence)).await;
        interrupted::assert_whole(&events, &expected, &format!("a death after event {sequence} of {last}"));
    }
    for (call, times) in site.effects() {
        assert!(times == 1 || !call.starts_with("charge "), "{call} was executed {times} times");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_stores_the_first_of_four_events_dies() {
    dies_at_every_fourth(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_stores_the_second_of_four_events_dies() {
    dies_at_every_fourth(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_stores_the_third_of_four_events_dies() {
    dies_at_every_fourth(3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_stores_the_fourth_of_four_events_dies() {
    dies_at_every_fourth(4).await;
}
