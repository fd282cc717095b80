//! Turns that the platform gave up: they are found with their reason, and somebody may have them tried again.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{Server, ServerOptions, everwit};

/// Deaths without progress that a turn survives.
const DEATHS: usize = 4;

async fn turns(server: &Server, args: &[&str]) -> Result<Value, String> {
    let mut command = everwit();
    command.arg("turns").args(args).args(["--json", "--server", server.url()]);
    let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().await.expect("the command runs");
    match output.status.success() {
        true => Ok(serde_json::from_slice(&output.stdout).expect("it prints JSON")),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// A server whose processes died so often within one model call that the turn was given up.
async fn given_up() -> (Server, String, Value) {
    let home = tempfile::tempdir().expect("a directory");
    let script = home.path().join("endless.json");
    std::fs::write(&script, json!({ "response": "echo", "response_delay_ms": 600_000 }).to_string()).expect("a script");
    let args = vec!["--llmsim-script".to_owned(), script.display().to_string()];
    let mut server = Server::start_with(ServerOptions { script: None, args }).await;
    let session = server.api().session().await;
    let mut stream = server.api().stream(&session, "").await;
    server.api().say(&session, "hello there").await;
    stream.until("reason.started").await;
    for death in 1..=DEATHS {
        server = server.kill_and_restart().await;
        let mut stream = server.api().stream(&session, "?after_sequence=0").await;
        // The first activation is that of the turn's start.
        for _ in 0..=death.min(DEATHS - 1) {
            stream.until("session.activated").await;
        }
    }
    let mut stream = server.api().stream(&session, "?after_sequence=0").await;
    let sealed = stream.until("turn.sealed").await.pop().expect("a frame").data;
    stream.until("session.idled").await;
    // The model answers from now on.
    let server = server.kill_and_restart_with(Vec::new()).await;
    (server, session, sealed)
}

#[tokio::test]
async fn a_turn_that_was_given_up_is_found_and_retried_once() {
    let (server, session, sealed) = given_up().await;
    let api = server.api();
    assert_eq!(sealed["data"]["reason"], "no_progress", "{sealed}");
    let dead = turns(&server, &["list", "--outcome", "sealed"]).await.expect("a list");
    assert_eq!(dead["total"], 1, "{dead}");
    let turn = &dead["data"][0];
    assert_eq!((&turn["id"], &turn["reason"], &turn["session_id"]), (&sealed["data"]["turn_id"], &json!("no_progress"), &json!(session)));
    assert!(turn["detail"].as_str().is_some_and(|detail| detail.contains("without coming further")), "{turn}");

    let id = turn["id"].as_str().expect("an id");
    let mut stream = api.stream(&session, "").await;
    let retried = turns(&server, &["retry", &session, id]).await.expect("a new turn");
    assert_eq!((&retried["content"][0]["text"], &retried["metadata"]["retry_of"]), (&json!("hello there"), &turn["id"]), "{retried}");
    stream.until("turn.completed").await;
    let path = format!("/v1/sessions/{session}/turns/{id}/retry");
    let again = api.post(&path, &json!({})).await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.expect(201), retried, "it was tried again, once");
    let events = api.events(&session).await;
    let count = |name: &str| events.iter().filter(|event| event["type"] == name).count();
    assert_eq!([count("input.message"), count("turn.sealed"), count("turn.completed")], [2, 1, 1], "{events:#?}");

    // What has its answer cannot be retried, and what does not exist neither.
    let answered = retried["turn_id"].as_str().expect("an id");
    let refused = api.post(&format!("/v1/sessions/{session}/turns/{answered}/retry"), &json!({})).await.expect(409);
    assert_eq!(refused["code"], "not_retryable", "{refused}");
    let nothing = turns(&server, &["retry", &session, "turn_01920000000070008000000000000009"]).await.expect_err("there is none");
    assert!(nothing.contains("does not exist"), "{nothing}");
    let all = api.get(&format!("/v1/turns?session_id={session}")).await.expect(200);
    let outcomes: Vec<&str> = all["data"].as_array().expect("a list").iter().filter_map(|turn| turn["outcome"].as_str()).collect();
    assert_eq!(outcomes.len(), 2, "{all}");
    assert!(outcomes.contains(&"completed") && outcomes.contains(&"sealed"), "{all}");
    assert_eq!(api.get("/v1/turns?outcome=lost").await.status, 400);

    let audit = api.get("/v1/audit").await.expect(200);
    let actions: Vec<&str> = audit["data"].as_array().expect("a list").iter().filter_map(|entry| entry["action"].as_str()).collect();
    assert!(actions.contains(&"POST /v1/sessions/{session_id}/turns/{turn_id}/retry"), "{actions:?}");
}
