//! What the world does to servers: databases that die or cannot be reached, disks that are full, two servers on
//! one session, and clients that ask twice or just then. Nothing is lost, nothing is done twice.

use std::sync::Arc;
use std::time::Duration;

use everwit_runtime::clock::{Clock as _, SystemClock};
use everwit_runtime::engine::conformance::until;
use everwit_runtime::event::{EventContext, EventData, NewEvent};
use everwit_runtime::id::{EventId, IdSource as _, OrgId, RandomIds, SessionId};
use everwit_runtime::store::{Append, OrgStore as _, SessionLog as _, StoreError, TurnEnd};
use reqwest::Method;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use serde_json::{Value, json};

use crate::support::cluster::Cluster;
use crate::support::postgres::{new_database, open};
use crate::support::proxy::Proxy;
use crate::support::{Api, Server, ServerOptions};

/// A turn that takes long enough for something to happen meanwhile.
fn slow() -> Value {
    let call = json!({ "tool_calls": [{ "name": "get_current_time", "arguments": {} }] });
    json!({ "response": { "scripted": { "turns": [call, { "assistant": "Done." }] } }, "response_delay_ms": 300 })
}

async fn on(database: &str) -> Server {
    let args = vec!["--database".to_owned(), database.to_owned()];
    Server::start_with(ServerOptions { script: Some(slow()), args }).await
}

async fn session(api: &Api) -> String {
    api.session_with(&json!({ "capabilities": [{ "ref": "current_time" }] })).await
}

fn message(text: &str) -> Value {
    json!({ "message": { "content": [{ "type": "text", "text": text }] } })
}

/// Asks until there is this answer.
async fn until_status(api: &Api, path: &str, status: u16) -> Value {
    let mut last = None;
    until(&format!("{path} answers {status}"), async || {
        let answer = last.insert(api.get(path).await);
        answer.status == status
    })
    .await;
    last.expect("an answer").json()
}

/// Waits until the turn has given its step up, after all the tries that one has: it is the engine that takes it up again.
async fn outlasts_the_patience_of_its_turn(server: &Server) {
    until("the turn is interrupted", async || server.log().contains("a session's turn is interrupted; it is taken up again")).await;
}

/// Waits for the end of a session's turn, and expects that it was a whole one.
async fn ends_whole(api: &Api, session: &str) {
    api.stream(session, "?after_sequence=0").await.until("session.idled").await;
    let events = api.events(session).await;
    for (event, sequence) in events.iter().zip(1..) {
        assert_eq!(event["sequence"], sequence, "sequences have no gap");
    }
    let count = |name: &str| events.iter().filter(|event| event["type"] == name).count();
    let names = ["input.message", "turn.started", "turn.completed", "output.message.completed", "tool.completed"];
    assert_eq!(names.map(count), [1, 1, 1, 2, 1], "{events:#?}");
}

#[tokio::test]
async fn a_turn_goes_on_after_postgres_was_killed() {
    let mut cluster = Cluster::start().await;
    let server = on(&cluster.url()).await;
    let api = server.api();
    let session = session(&api).await;
    let mut stream = api.stream(&session, "").await;
    api.say(&session, "go").await;
    stream.until("reason.started").await;
    cluster.kill().await;
    let readiness = until_status(&api, "/readyz", 503).await;
    assert!(readiness["checks"].to_string().contains("the store does not answer"), "{readiness}");
    cluster.begin().await;
    until_status(&api, "/readyz", 200).await;
    ends_whole(&api, &session).await;
    // The right to run turns went with its connection, and is taken again.
    let other = open(&cluster.url()).await;
    until("the right is not free", async || other.claim_turns(true).await.expect("an answer").is_none()).await;
}

#[tokio::test]
async fn a_server_without_the_right_to_run_turns_says_so_and_runs_none() {
    let database = new_database().await;
    let proxy = Proxy::before(&database).await;
    let server = on(proxy.url()).await;
    let api = server.api();
    let session = session(&api).await;
    // While its database cannot be reached, somebody else takes the right.
    proxy.cut();
    let other = open(&database).await;
    let mut claim = None;
    until("the right is free", async || {
        claim = other.claim_turns(true).await.expect("an answer");
        claim.is_some()
    })
    .await;
    proxy.mend();
    let turns = |readiness: &Value| {
        let checks = readiness["checks"].as_array().expect("a list");
        checks.iter().find(|check| check["name"] == "turns").expect("the check").clone()
    };
    let mut readiness = Value::Null;
    until("the store answers again", async || {
        readiness = until_status(&api, "/readyz", 503).await;
        readiness["checks"][1]["ok"] == true
    })
    .await;
    let said = turns(&readiness);
    assert_eq!((&said["ok"], said["detail"].as_str().is_some_and(|why| why.contains("right"))), (&json!(false), true), "{said}");
    api.say(&session, "go").await;
    until("it says so", async || server.log().contains("nobody runs turns here")).await;
    assert!(api.events(&session).await.iter().all(|event| event["type"] != "turn.started"));
    drop(claim);
    let readiness = until_status(&api, "/readyz", 200).await;
    assert_eq!(turns(&readiness)["ok"], true);
    ends_whole(&api, &session).await;
}

#[tokio::test]
async fn a_turn_goes_on_after_its_database_could_not_be_reached() {
    let database = new_database().await;
    let proxy = Proxy::before(&database).await;
    let server = on(proxy.url()).await;
    let api = server.api();
    let session = session(&api).await;
    let mut stream = api.stream(&session, "").await;
    api.say(&session, "go").await;
    stream.until("reason.started").await;
    proxy.cut();
    let refused = api.post(&format!("/v1/sessions/{session}/messages"), &message("meanwhile")).await;
    assert_eq!((refused.status, &refused.json()["code"]), (503, &json!("unavailable")), "{}", refused.text());
    outlasts_the_patience_of_its_turn(&server).await;
    proxy.mend();
    until_status(&api, "/readyz", 200).await;
    ends_whole(&api, &session).await;
    assert!(!server.log().contains("is sealed"), "an outage ends no turn");
}

#[tokio::test]
async fn a_turn_goes_on_after_the_disk_was_full() {
    let server = Server::start_ignoring_full_files(ServerOptions { script: Some(slow()), args: Vec::new() }).await;
    let api = server.api();
    let session = session(&api).await;
    let mut stream = api.stream(&session, "").await;
    api.say(&session, "go").await;
    stream.until("reason.started").await;
    // No file of the server can grow beyond what the database's log has by now.
    let process = Pid::from_raw(server.id()).expect("the server runs");
    let limits = getrlimit(Resource::Fsize);
    let size = std::fs::metadata(server.data_dir().join("everwit.db-wal")).expect("the write-ahead log").len();
    prlimit(Some(process), Resource::Fsize, Rlimit { current: Some(size), maximum: limits.maximum }).expect("the limit is set");
    let refused = api.post(&format!("/v1/sessions/{session}/messages"), &message("no place")).await;
    assert_eq!((refused.status, &refused.json()["code"]), (503, &json!("unavailable")), "{}", refused.text());
    api.get(&format!("/v1/sessions/{session}")).await.expect(200);
    outlasts_the_patience_of_its_turn(&server).await;
    prlimit(Some(process), Resource::Fsize, limits).expect("the limit is lifted");
    ends_whole(&api, &session).await;
}

#[tokio::test]
async fn a_message_that_is_sent_twice_at_once_is_one() {
    let server = Server::start().await;
    let api = server.api();
    let session = api.session().await;
    let path = format!("/v1/sessions/{session}/messages");
    let send = || async {
        let request = api.request(Method::POST, &path).header("idempotency-key", "one").json(&message("hello"));
        crate::support::send(request).await.expect(201)
    };
    let sent = futures::future::join_all((0..8).map(|_| send())).await;
    assert!(sent.iter().all(|message| *message == sent[0]), "{sent:#?}");
    api.stream(&session, "?after_sequence=0").await.until("session.idled").await;
    let events = api.events(&session).await;
    let count = |name: &str| events.iter().filter(|event| event["type"] == name).count();
    assert_eq!([count("input.message"), count("turn.started"), count("turn.completed")], [1, 1, 1], "{events:#?}");
}

/// Messages come before, while and after the turn before them ends, and whoever looks for open turns
/// must not have looked too early.
#[tokio::test]
async fn a_message_that_comes_when_a_turn_ends_is_answered() {
    let server = Server::start().await;
    let api = server.api();
    let session = api.session().await;
    let mut stream = api.stream(&session, "").await;
    let (mut sent, mut open) = (0_usize, 0_usize);
    while sent < 150 {
        for _ in 0..=sent % 3 {
            // In a language of its own, so that no turn takes it in.
            api.say_apart(&session, "hello", sent).await;
            (sent, open) = (sent + 1, open + 1);
        }
        // The next ones come at the moment at which the last turn, or one before it, tells of its end.
        stream.until("turn.completed").await;
        open -= 1;
    }
    for _ in 0..open {
        stream.until("turn.completed").await;
    }
    let status = until_idle(&api, &session).await;
    assert_eq!(status["status"], "idle");
}

async fn until_idle(api: &Api, session: &str) -> Value {
    let idle = async {
        loop {
            let found = api.get(&format!("/v1/sessions/{session}")).await.expect(200);
            if found["status"] == "idle" {
                return found;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), idle).await.expect("the session comes to rest")
}

#[tokio::test]
async fn two_servers_never_both_write_to_one_session() {
    let database = new_database().await;
    // A session and a message of it, and the stores of two servers that both take its turn.
    let server = on(&database).await;
    let session_id = session(&server.api()).await;
    server.api().stream(&session_id, "?after_sequence=0").await.until("session.started").await;
    drop(server);
    let (one, two, clock) = (open(&database).await, open(&database).await, Arc::new(SystemClock));
    let (now, ids) = (clock.now(), RandomIds::new(clock.clone()));
    let org = one.default_org(OrgId::from_uuid(ids.next()), now).await.expect("the org of the server");
    let session: SessionId = session_id.parse().expect("an id");
    let turn = everwit_runtime::id::TurnId::from_uuid(ids.next());
    let event = |data: EventData| {
        let context = EventContext { turn_id: Some(turn), input_message_id: None };
        NewEvent { id: EventId::from_uuid(ids.next()), ts: now, context, data }
    };
    let noted = |repetitions: u32| event(EventData::LoopDetected { turn_id: turn, repetitions, note: String::new() });
    one.submit_turn(org, session, turn, noted(0)).await.expect("a turn");
    let first = one.claim_turn(org, session).await.expect("a claim").expect("the turn");
    let second = two.claim_turn(org, session).await.expect("a claim").expect("the same turn");
    let append = |fence, expected_sequence, repetitions, end| Append {
        expected_sequence,
        fence,
        events: vec![noted(repetitions)],
        ends_turn: end,
        parks_turn: None,
    };
    let end = Some((turn, TurnEnd::Completed));
    // Both at the same time, with and without the end of the turn: the one that was overtaken writes nothing.
    for (last, repetitions) in [(2, 1), (3, 2)] {
        let (stale, ending, current) = tokio::join!(
            one.append(org, session, append(first.fence, last, 90, None)),
            one.append(org, session, append(first.fence, last, 91, end)),
            two.append(org, session, append(second.fence, last, repetitions, None)),
        );
        for refused in [stale, ending] {
            assert!(matches!(refused, Err(StoreError::Fenced { .. })), "{refused:?}");
        }
        current.expect("the owner writes");
    }
    two.append(org, session, append(second.fence, 4, 3, end)).await.expect("the owner ends its turn");
    let events = one.read_events(org, session, 1, 100).await.expect("the log");
    let repetitions = |event: &everwit_runtime::event::Event| match event.data {
        EventData::LoopDetected { repetitions, .. } => repetitions,
        _ => 99,
    };
    assert_eq!(events.iter().map(repetitions).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!(one.open_turns(org, session).await.expect("the turns"), []);
}
