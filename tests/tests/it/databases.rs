//! The server and its commands on either database.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use everwit_runtime::clock::{Clock as _, SystemClock};
use everwit_runtime::event::{EventContext, EventData, NewEvent};
use everwit_runtime::id::{EventId, IdSource as _, MessageId, OrgId, RandomIds, SessionId, TurnId};
use everwit_runtime::message::{ContentPart, Message, Role};
use everwit_runtime::store::{OrgStore as _, SessionLog as _};
use serde_json::{Value, json};

use crate::support::postgres::{new_database, open};
use crate::support::{Server, ServerOptions, everwit, mode};

/// Runs `everwit db …`; what it printed, or what it complained about.
async fn db(data: &Path, args: &[&str]) -> Result<Value, String> {
    let mut command = everwit();
    command.arg("db").args(args).arg("--json").arg("--data-dir").arg(data);
    let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().await.expect("the command runs");
    if output.status.success() {
        return Ok(serde_json::from_slice(&output.stdout).expect("it prints JSON"));
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Has a short conversation; returns the session and its events.
async fn conversation(server: &Server) -> (String, Vec<Value>) {
    let api = server.api();
    let session = api.session().await;
    api.say(&session, "hello there").await;
    api.stream(&session, "?after_sequence=0").await.until("session.idled").await;
    let events = api.events(&session).await;
    (session, events)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are UTF-8")
}

#[tokio::test]
async fn a_server_keeps_everything_in_postgres() {
    let database = new_database().await;
    let options = ServerOptions { script: None, args: vec!["--database".to_owned(), database.clone()] };
    let server = Server::start_with(options).await;
    let password = url::Url::parse(&database).expect("a URL").password().expect("a password").to_owned();
    let announced = server.announcement["database"].as_str().expect("the database is announced").to_owned();
    assert!(announced.starts_with("postgres://everwit@127.0.0.1:"), "{announced}");
    let (session, events) = conversation(&server).await;
    assert!(events.iter().any(|event| event["type"] == "turn.completed"), "{events:#?}");
    assert!(!server.data_dir().join("everwit.db").exists(), "there is no second database");
    let server = server.kill_and_restart().await;
    assert_eq!(server.api().events(&session).await, events);
    server.api().get("/readyz").await.expect(200);
    let (_, more) = conversation(&server).await;
    assert_eq!(more.len(), events.len());
    let status = db(&server.data_dir(), &["status", "--database", &database]).await.expect("a status");
    assert_eq!((&status["database"], &status["schema"]), (&json!("postgres"), &status["newest_schema"]));
    let refused = db(&server.data_dir(), &["backup", "x", "--database", &database]).await.expect_err("pg_dump does that");
    assert!(refused.contains("pg_dump"), "{refused}");
    assert!(!format!("{}{status}{refused}{announced}", server.log()).contains(&password), "the password is told to nobody");
}

#[tokio::test]
async fn a_stream_shows_what_another_process_appends() {
    let database = new_database().await;
    let server = Server::start_with(ServerOptions { script: None, args: vec!["--database".to_owned(), database.clone()] }).await;
    let api = server.api();
    let session = api.session().await;
    let mut stream = api.stream(&session, "").await;
    stream.until("connected").await;
    // This process, which is none of the server's: a message in the server's database.
    let (store, clock) = (open(&database).await, Arc::new(SystemClock));
    let (now, ids) = (clock.now(), RandomIds::new(clock.clone()));
    let org = store.default_org(OrgId::from_uuid(ids.next()), now).await.expect("the org of the server");
    let (turn, id) = (TurnId::from_uuid(ids.next()), MessageId::from_uuid(ids.next()));
    let content = vec![ContentPart::text("from elsewhere")];
    let message = Message { id, role: Role::User, content, metadata: Default::default(), controls: None, created_at: now };
    let context = EventContext { turn_id: Some(turn), input_message_id: Some(id) };
    let input = NewEvent { id: EventId::from_uuid(ids.next()), ts: now, context, data: EventData::InputMessage { message } };
    let session: SessionId = session.parse().expect("an id");
    let submitted = store.submit_turn(org, session, turn, input).await.expect("it is stored");
    let shown = stream.until("input.message").await.pop().expect("a frame");
    assert_eq!(shown.sequence(), submitted.event.sequence);
    assert!(shown.data.to_string().contains("from elsewhere"), "{shown:?}");
}

#[tokio::test]
async fn a_turn_on_postgres_survives_a_kill() {
    let call = |n: u32| json!({ "tool_calls": [{ "name": "echo__nothing", "arguments": { "n": n } }] });
    let script = json!({
        "response": { "scripted": { "turns": [call(1), call(2), { "assistant": "Done." }] } },
        "response_delay_ms": 30,
    });
    let database = new_database().await;
    let server = Server::start_with(ServerOptions { script: Some(script), args: vec!["--database".to_owned(), database] }).await;
    let session = server.api().session().await;
    let mut stream = server.api().stream(&session, "").await;
    server.api().say(&session, "go").await;
    stream.until("tool.completed").await;
    let server = server.kill_and_restart().await;
    server.api().stream(&session, "?after_sequence=0").await.until("session.idled").await;
    let events = server.api().events(&session).await;
    for (event, sequence) in events.iter().zip(1..) {
        assert_eq!(event["sequence"], sequence, "sequences have no gap");
    }
    let count = |name: &str| events.iter().filter(|event| event["type"] == name).count();
    let counted = [count("turn.completed"), count("tool.completed"), count("output.message.completed")];
    assert_eq!(counted, [1, 2, 3], "{events:#?}");
}

#[tokio::test]
async fn a_database_that_cannot_be_reached_is_told_without_the_password() {
    let home = tempfile::tempdir().expect("a directory");
    let mut command = everwit();
    // Nobody answers on the discard port.
    let database = "postgres://u:hunter2hunter2@[::1]:9/d";
    command.args(["keys", "list", "--database", database, "--data-dir"]).arg(home.path().join("data"));
    let output = command.stderr(Stdio::piped()).output().await.expect("the command runs");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(told.contains("the store is not available") && !told.contains("hunter2"), "{told}");
}

#[tokio::test]
async fn a_backup_is_taken_while_the_server_runs_and_can_be_restored() {
    let server = Server::start().await;
    let (session, events) = conversation(&server).await;
    let elsewhere = tempfile::tempdir().expect("a directory");
    let backup = elsewhere.path().join("backup.db");
    let made = db(&server.data_dir(), &["backup", text(&backup)]).await.expect("a backup");
    assert!(made["bytes"].as_u64().is_some_and(|bytes| bytes > 0) && made["schema"].as_u64().is_some_and(|schema| schema > 0), "{made}");
    assert_eq!(mode(&backup), 0o600);
    let refused = db(&server.data_dir(), &["backup", text(&backup)]).await.expect_err("it exists");
    assert!(refused.contains("exists already"), "{refused}");
    // What comes after the backup is not in it.
    let (later, _) = conversation(&server).await;
    let busy = db(&server.data_dir(), &["restore", text(&backup)]).await.expect_err("the server runs");
    assert!(busy.contains("another server uses"), "{busy}");
    let mut server = server;
    server.terminate();
    assert!(server.ended().await);
    db(&server.data_dir(), &["restore", text(&backup)]).await.expect("a restore");
    let again = db(&server.data_dir(), &["restore", text(&backup)]).await.expect_err("what was there is kept once");
    assert!(again.contains("move it away"), "{again}");
    let server = server.restart().await;
    assert_eq!(server.api().events(&session).await, events);
    server.api().get(&format!("/v1/sessions/{later}")).await.expect(404);
    conversation(&server).await;
}

#[tokio::test]
async fn what_is_no_backup_is_refused_and_changes_nothing() {
    let mut server = Server::start().await;
    let (session, events) = conversation(&server).await;
    server.terminate();
    assert!(server.ended().await);
    let elsewhere = tempfile::tempdir().expect("a directory");
    let (prose, missing, cut) = (elsewhere.path().join("prose"), elsewhere.path().join("missing"), elsewhere.path().join("cut"));
    std::fs::write(&prose, "not a database, but long enough to look like one\n".repeat(100)).expect("a file");
    let whole = std::fs::read(server.data_dir().join("everwit.db")).expect("the database");
    std::fs::write(&cut, &whole[..whole.len() / 2]).expect("half a database");
    for file in [&prose, &missing, &cut] {
        let refused = db(&server.data_dir(), &["restore", text(file)]).await.expect_err("it is no backup");
        assert!(refused.contains(text(file)), "{refused}");
    }
    assert_eq!(std::fs::read(server.data_dir().join("everwit.db")).expect("the database"), whole);
    let server = server.restart().await;
    assert_eq!(server.api().events(&session).await, events);
}

#[tokio::test]
async fn the_schema_of_a_file_is_told_and_brought_up_to_date() {
    let home = tempfile::tempdir().expect("a directory");
    let data = home.path().join("data");
    std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700).create(&data).expect("a private directory");
    let absent = db(&data, &["status"]).await.expect_err("there is no database");
    assert!(absent.contains("does not exist"), "{absent}");
    assert!(!data.join("everwit.db").exists(), "a status makes nothing");
    let migrated = db(&data, &["migrate"]).await.expect("a database");
    let status = db(&data, &["status"]).await.expect("a status");
    assert_eq!(migrated, status);
    assert_eq!((&status["database"], &status["schema"]), (&json!("sqlite"), &status["newest_schema"]));
}
