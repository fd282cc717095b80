//! Power cuts and orderly ends: what was accepted is done, once.

use serde_json::{Value, json};

use crate::support::{Api, Server, guest};

/// A script of several model calls, slow enough to be cut anywhere.
fn script() -> Value {
    let call = |n: u32| json!({ "tool_calls": [{ "name": "echo__nothing", "arguments": { "n": n } }] });
    json!({
        "response": { "scripted": { "turns": [call(1), call(2), { "assistant": "All of it is done now." }] } },
        "response_delay_ms": 30,
        "latency_per_token_ms": 20,
    })
}

async fn finished(api: &Api, session: &str) -> Vec<Value> {
    let mut stream = api.stream(session, "?after_sequence=0").await;
    stream.until("session.idled").await;
    api.events(session).await
}

/// What must hold of a session's record whatever happened on the way.
fn check_record(events: &[Value]) {
    for (at, event) in events.iter().enumerate() {
        assert_eq!(event["sequence"], at as u64 + 1, "sequences have no gap");
    }
    let count = |name: &str| events.iter().filter(|event| event["type"] == name).count();
    for once in ["session.started", "input.message", "turn.started", "turn.completed", "session.idled"] {
        assert_eq!(count(once), 1, "{once}: {events:#?}");
    }
    assert_eq!(count("output.message.completed"), 3, "each model answer is recorded once: {events:#?}");
    assert_eq!(count("tool.completed"), 2, "each tool call is settled once: {events:#?}");
    let answer = events.iter().rfind(|event| event["type"] == "output.message.completed").expect("there is an answer");
    assert_eq!(answer["data"]["message"]["content"][0]["text"], "All of it is done now.");
}

async fn killed_at(event: &str, nth: usize) {
    let server = Server::scripted(script()).await;
    let api = server.api();
    let session = api.session().await;
    let mut stream = api.stream(&session, "").await;
    api.say(&session, "go").await;
    for _ in 0..nth {
        stream.until(event).await;
    }
    let server = server.kill_and_restart().await;
    check_record(&finished(&server.api(), &session).await);
}

#[tokio::test]
async fn a_turn_survives_a_kill_before_its_first_answer() {
    killed_at("reason.started", 1).await;
}

#[tokio::test]
async fn a_turn_survives_a_kill_between_tool_calls() {
    killed_at("tool.completed", 1).await;
}

#[tokio::test]
async fn a_turn_survives_a_kill_after_its_second_step() {
    killed_at("act.completed", 2).await;
}

#[tokio::test]
async fn a_turn_survives_a_kill_in_the_middle_of_an_answer() {
    killed_at("output.message.delta", 1).await;
}

#[tokio::test]
async fn a_turn_survives_two_kills() {
    let server = Server::scripted(script()).await;
    let session = server.api().session().await;
    let mut stream = server.api().stream(&session, "").await;
    server.api().say(&session, "go").await;
    stream.until("reason.started").await;
    let server = server.kill_and_restart().await;
    let mut stream = server.api().stream(&session, "?after_sequence=0").await;
    stream.until("tool.completed").await;
    let server = server.kill_and_restart().await;
    check_record(&finished(&server.api(), &session).await);
}

#[tokio::test]
async fn messages_that_wait_survive_a_kill_and_are_answered_in_order() {
    let server = Server::scripted(json!({ "response": "echo", "response_delay_ms": 100 })).await;
    let api = server.api();
    let session = api.session().await;
    for n in 0..5 {
        api.say_apart(&session, &format!("message {n}"), n).await;
    }
    let server = server.kill_and_restart().await;
    let api = server.api();
    let mut stream = api.stream(&session, "?after_sequence=0&types=session.idled").await;
    for _ in 0..5 {
        stream.until("session.idled").await;
    }
    let messages = api.get(&format!("/v1/sessions/{session}/messages")).await.expect(200);
    let agent = messages["data"].as_array().expect("a list").iter().filter(|message| message["role"] == "agent");
    let answers: Vec<&str> = agent.filter_map(|message| message["content"][0]["text"].as_str()).collect();
    assert_eq!(answers, ["message 0", "message 1", "message 2", "message 3", "message 4"]);
}

#[tokio::test]
async fn an_orderly_end_leaves_the_turn_to_the_next_start() {
    let mut server = Server::scripted(script()).await;
    let api = server.api();
    let session = api.session().await;
    let mut stream = api.stream(&session, "").await;
    api.say(&session, "go").await;
    stream.until("reason.started").await;
    server.terminate();
    assert!(server.ended().await, "it ends well");
    let server = server.restart().await;
    check_record(&finished(&server.api(), &session).await);
}

#[tokio::test]
async fn what_was_stored_is_there_after_a_kill() {
    let server = Server::start().await;
    let api = server.api();
    let agent = api.post("/v1/agents", &json!({ "name": "a", "system_prompt": "x" })).await.expect(201);
    let session = api.session_with(&json!({ "agent": "a" })).await;
    let before = api.get(&format!("/v1/sessions/{session}")).await.expect(200);
    let server = server.kill_and_restart().await;
    let api = server.api();
    assert_eq!(api.get("/v1/agents/a").await.expect(200), agent);
    assert_eq!(api.get(&format!("/v1/sessions/{session}")).await.expect(200), before);
}

/// A read-only tool of a component is called again; its result is recorded once.
#[tokio::test]
async fn a_kill_within_a_guest_call_repeats_a_read_only_call() {
    let server = Server::start().await;
    let api = server.api();
    let uploaded = api.upload("?activate=false", guest("echo")).await.expect(201);
    let path = uploaded["activate"]["path"].as_str().expect("the answer has the call");
    api.post(path, &json!({ "limits": { "fuel": 100_000_000_000_u64, "wall_ms": 60_000 } })).await.expect(200);
    let session = api.session_with(&json!({ "capabilities": [{ "ref": "echo" }] })).await;
    let mut stream = api.stream(&session, "").await;
    api.say(&session, "/call echo__wait {\"steps\": 100000}").await;
    stream.until("tool.progress").await;
    let server = server.kill_and_restart().await;
    let events = finished(&server.api(), &session).await;
    let of_tools: Vec<_> = events.iter().filter(|event| event["type"] == "tool.completed").collect();
    assert_eq!(of_tools.len(), 1, "{of_tools:#?}");
    assert_eq!((&of_tools[0]["data"]["success"], &of_tools[0]["data"]["result"][0]["text"]), (&json!(true), &json!("done")));
    assert_eq!(events.iter().filter(|event| event["type"] == "turn.completed").count(), 1);
}
