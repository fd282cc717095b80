//! Components whose tools call other tools of the turn, over HTTP.

use serde_json::{Value, json};

use super::upload;
use crate::support::{Api, Server};

/// An org with the caller, which may call echo, and echo.
async fn two(api: &Api) {
    let uploaded = upload(api, "caller").await;
    let path = uploaded["activate"]["path"].as_str().expect("the answer has the call");
    api.post(path, &json!({ "grant": { "tools": ["echo/echo", "elsewhere/tool"] } })).await.expect(200);
    upload(api, "echo").await;
}

/// What became of one call in a session with these settings.
async fn call(api: &Api, session: &Value, arguments: Value) -> Value {
    let session = api.session_with(session).await;
    let mut stream = api.stream(&session, "").await;
    api.say(&session, &format!("/call caller__look {arguments}")).await;
    let frames = stream.until("session.idled").await;
    let completed = frames.iter().find(|frame| frame.event == "tool.completed").expect("the tool was called");
    completed.data["data"].clone()
}

#[tokio::test]
async fn a_tool_calls_another_one_of_its_turn() {
    let server = Server::start().await;
    let api = server.api();
    two(&api).await;
    let echo = json!({ "name": "echo/echo", "arguments": { "value": 7 } });
    let both = json!({ "capabilities": [{ "ref": "caller" }, { "ref": "echo" }] });
    let called = call(&api, &both, echo.clone()).await;
    let (result, receipt) = (&called["structured"]["structured"], &called["receipt"]);
    assert_eq!((&called["success"], &result["value"]), (&json!(true), &json!(7)), "{called}");
    let key = result["context"]["idempotency_key"].as_str().expect("a key");
    assert_eq!(key, format!("{}/1", called["tool_call_id"].as_str().expect("an id")));
    assert_eq!((&receipt["calls"][0]["tool"], &receipt["calls"][0]["version"]), (&json!("echo/echo"), &json!(1)), "{receipt}");

    // What the agent has not got is not there, although it is granted and active.
    let alone = json!({ "capabilities": [{ "ref": "caller" }] });
    let denied = call(&api, &alone, echo.clone()).await;
    assert!(denied["success"] == false && denied["error"].to_string().contains("the turn has no tool"), "{denied}");
    let direct = json!({ "tool": "look", "arguments": echo });
    let direct = api.post("/v1/components/caller/call", &direct).await.expect(200);
    assert!(direct["error"]["message"].to_string().contains("belongs to no turn"), "{direct}");
}

/// Approvals and clients are not gone around.
#[tokio::test]
async fn a_tool_that_waits_for_somebody_is_not_called_from_within_a_call() {
    let server = Server::start().await;
    let api = server.api();
    two(&api).await;
    let echo = json!({ "name": "echo/echo", "arguments": { "value": 7 } });
    let gate = json!({ "ref": "tool_approval", "config": { "mode": "off", "ask": ["echo__echo"] } });
    let gated = json!({ "capabilities": [{ "ref": "caller" }, { "ref": "echo" }, gate] });
    let denied = call(&api, &gated, echo).await;
    assert!(denied["success"] == false && denied["error"].to_string().contains("needs a person's approval"), "{denied}");
}

/// THREAT[T01]
#[tokio::test]
async fn tools_of_another_org_do_not_exist_for_a_call() {
    let server = Server::start().await;
    let (owner, other) = (server.api_with_key("admin", None).await, server.api_with_key("admin", Some("other")).await);
    upload(&owner, "echo").await;
    let uploaded = upload(&other, "caller").await;
    let path = uploaded["activate"]["path"].as_str().expect("the answer has the call");
    other.post(path, &json!({ "grant": { "tools": ["echo/echo"] } })).await.expect(200);
    let alone = json!({ "capabilities": [{ "ref": "caller" }] });
    let denied = call(&other, &alone, json!({ "name": "echo/echo", "arguments": { "value": 7 } })).await;
    assert!(denied["success"] == false && denied["error"].to_string().contains("the turn has no tool"), "{denied}");
}
