//! What the suite does not know: workers that are frozen, and a Temporal that has lost everything.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Command, Stdio};

use everwit_runtime::engine::conformance::{Bench, Site, until};
use everwit_runtime::engine::{TurnStatus, reconcile};

use crate::site::{self, Installation, Process, temporal_program};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_was_frozen_repeats_nothing_and_works_on() {
    let mut site = site::open().await;
    let bench = Bench::new(&mut site).await;
    bench.site.start_worker().await;
    let key = bench.begin("note hold note").await;
    bench.held(key).await;
    bench.site.workers[0].signal("STOP");
    bench.site.start_worker().await;
    // The other worker has taken the turn over.
    bench.held(key).await;
    bench.release(key).await;
    assert_eq!(bench.ended(key).await, "note hold note end");
    // The first one goes on where it was, unless it is told in time that it is late.
    bench.site.workers[0].signal("CONT");
    bench.site.workers.truncate(1);
    let later = bench.submit(key.session, "note pause:500 note").await;
    assert_eq!(bench.ended(later).await, "note pause:500 note end", "it works");
    assert_eq!(bench.notes(key).await, "note hold note end", "each word is there once, whoever did it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_temporal_has_lost_is_told_to_it_again() {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let server = temporal(port).await;
    let mut site = Installation::open(&format!("http://127.0.0.1:{port}")).await;
    let bench = Bench::new(&mut site).await;
    bench.site.start_worker().await;
    let key = bench.begin("note wait note").await;
    bench.begun(key).await;
    drop(server);
    // It keeps all it knows in its memory.
    let _server = temporal(port).await;
    let (log, engine) = (bench.stores().log, bench.engine());
    until("Temporal is ready", async || engine.status(key).await.is_ok_and(|status| status == TurnStatus::Unknown)).await;
    until("the turn is submitted", async || reconcile(&*log, &*engine, None).await.is_ok_and(|round| round.told == 1)).await;
    bench.answer(key).await;
    assert_eq!(bench.ended(key).await, "note answered note end");
}

/// A Temporal server of a test's own.
async fn temporal(port: u16) -> Process {
    let mut server = Command::new(temporal_program());
    server.args(["server", "start-dev", "--headless", "--ip", "127.0.0.1", "--port", &port.to_string(), "--log-level", "never"]);
    server.args(["--dynamic-config-value", "history.transferProcessorMaxPollRPS=5000"]);
    let process = Process(server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts"));
    until("Temporal answers", async || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()).await;
    process
}
