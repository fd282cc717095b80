//! Workers that freeze, die or are told to stop, and a Temporal server that dies.

use std::time::{Duration, Instant};

use everwit_runtime::engine::conformance::until;
use everwit_runtime::store::postgres::testing::{Other, query};
use serde_json::{Value, json};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::site::{LEASE, Site, free_port, shared_temporal, signal, start_temporal};
use crate::support::Api;

/// Within what a cancel reaches a running tool, and beyond its lease a dead worker's turn another worker.
const CANCEL_LIMIT: Duration = Duration::from_secs(1);
const TAKE_OVER_LIMIT: Duration = Duration::from_secs(2);
/// Measurements, of which the one in the middle counts: the machine does other things, too.
const ROUNDS: usize = 5;

fn calls(tool: &str) -> Value {
    let call = json!({ "tool_calls": [{ "name": tool, "arguments": {} }] });
    json!({ "response": { "scripted": { "turns": [call, { "assistant": "Done." }] } } })
}

async fn begin(api: &Api) -> String {
    let session = api.session_with(&json!({ "capabilities": [{ "ref": "trouble" }, { "ref": "ledger" }] })).await;
    api.say(&session, "go").await;
    session
}

fn middle(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// A way to Temporal that can be cut: for the worker its connections stay open and nothing passes any more, for Temporal
/// they are closed, or it would give the worker that does not hear it further turns.
async fn breakable_way(to: &str) -> (String, watch::Sender<bool>) {
    let target = to.trim_start_matches("http://").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let (address, (cut, is_cut)) = (listener.local_addr().expect("an address"), watch::channel(false));
    tokio::spawn(async move {
        while let Ok((mut inner, _)) = listener.accept().await {
            let (target, mut is_cut) = (target.clone(), is_cut.clone());
            tokio::spawn(async move {
                let Ok(mut outer) = TcpStream::connect(target).await else { return };
                let cut = async {
                    let _cut = is_cut.wait_for(|cut| *cut).await;
                };
                tokio::select! {
                    _ = copy_bidirectional(&mut inner, &mut outer) => {}
                    () = cut => {}
                }
                drop(outer);
                std::future::pending::<()>().await;
            });
        }
    });
    (format!("http://{address}"), cut)
}

/// The log ends where the frozen worker thinks, because who took its turn over is kept from storing anything yet: nothing
/// but the fence tells the two apart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fence_refuses_what_a_worker_writes_that_was_frozen_beyond_its_lease() {
    let site = Site::new(&calls("freeze"), LEASE).await;
    let temporal = shared_temporal();
    let _server = site.start("server", "server", &temporal).await;
    let (way, cut) = breakable_way(&temporal).await;
    let frozen = site.start("worker", "frozen", &way).await;
    let session = begin(&site.api()).await;
    until("the tool freezes its worker", async || site.effects().len() == 1).await;
    // Nobody tells it that it is late, so that it goes on in good faith.
    cut.send_replace(true);
    // Who takes a turn over settles what its last owner set aside before it stores an event.
    let mut hold = Other::connect(&site.database).await;
    hold.execute("BEGIN; LOCK TABLE usage_reservations").await;
    let _other = site.start("worker", "other", &temporal).await;
    until("the other worker has the turn", async || query(&site.database, "SELECT attempt::text FROM turns").await == ["2"]).await;
    let events = site.api().events(&session).await;
    signal(&frozen, "CONT");
    let is_refused = || site.log("frozen").contains("another owner took the session over");
    until("its write is refused or stored", async || is_refused() || site.api().events(&session).await != events).await;
    assert_eq!(site.api().events(&session).await, events, "nothing of it is in the log, and nothing of anybody else");
    hold.execute("COMMIT").await;
    site.api().stream(&session, "?after_sequence=0").await.until("session.idled").await;
    assert!(is_refused(), "{}", site.log("frozen"));
    assert_eq!(site.api().events(&session).await[..events.len()], events);
    assert_eq!(site.effects().into_values().collect::<Vec<_>>(), [1], "what must not be repeated was not");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_reaches_a_tool_that_runs_on_a_worker_within_a_second() {
    let site = Site::new(&calls("nap"), LEASE).await;
    let temporal = shared_temporal();
    let _server = site.start("server", "server", &temporal).await;
    let _worker = site.start("worker", "worker", &temporal).await;
    let mut times = Vec::new();
    for round in 1..=ROUNDS {
        let session = begin(&site.api()).await;
        until("the tool runs", async || site.effects().len() == round).await;
        let mut stream = site.api().stream(&session, "").await;
        let begun = Instant::now();
        site.api().post(&format!("/v1/sessions/{session}/cancel"), &json!({})).await.expect(200);
        stream.until("turn.cancelled").await;
        times.push(begun.elapsed());
    }
    eprintln!("from a cancel to the end of the turn: {times:?}");
    assert!(middle(times.clone()) <= CANCEL_LIMIT, "{times:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_turn_of_a_worker_that_died_goes_on_soon_after_its_lease() {
    let site = Site::new(&calls("nap"), LEASE).await;
    let temporal = shared_temporal();
    let _server = site.start("server", "server", &temporal).await;
    let mut worker = site.start("worker", "worker", &temporal).await;
    let mut times = Vec::new();
    for round in 1..=ROUNDS {
        let session = begin(&site.api()).await;
        until("the tool runs", async || site.effects().len() == round).await;
        worker.kill().await.expect("it is ours");
        let died = Instant::now();
        worker = site.start("worker", "worker", &temporal).await;
        until("the tool runs again", async || site.effects().values().sum::<usize>() == 2 * round).await;
        times.push(died.elapsed());
        site.api().post(&format!("/v1/sessions/{session}/cancel"), &json!({})).await.expect(200);
    }
    eprintln!("from a death to the next attempt, with a lease of {LEASE:?}: {times:?}");
    assert!(middle(times.clone()) <= LEASE + TAKE_OVER_LIMIT, "{times:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_survives_the_death_of_the_temporal_server() {
    let site = Site::new(&calls("nap"), LEASE).await;
    let (port, file) = (free_port(), site.file("temporal.db"));
    let mut temporal = start_temporal(port, &file);
    let url = format!("http://127.0.0.1:{port}");
    until("Temporal answers", async || TcpStream::connect(("127.0.0.1", port)).await.is_ok()).await;
    let _server = site.start("server", "server", &url).await;
    let mut worker = site.start("worker", "worker", &url).await;
    let session = begin(&site.api()).await;
    until("the tool runs", async || site.effects().len() == 1).await;
    temporal.kill().await.expect("it is ours");
    worker.kill().await.expect("it is ours");
    let _temporal = start_temporal(port, &file);
    until("Temporal answers", async || TcpStream::connect(("127.0.0.1", port)).await.is_ok()).await;
    let _worker = site.start("worker", "worker", &url).await;
    until("the tool runs again", async || site.effects().values().sum::<usize>() == 2).await;
    let mut stream = site.api().stream(&session, "?after_sequence=0").await;
    site.api().post(&format!("/v1/sessions/{session}/cancel"), &json!({})).await.expect(200);
    stream.until("turn.cancelled").await;
}
