//! Components and the files of a session, over HTTP.

use reqwest::Method;
use serde_json::{Value, json};

use super::upload;
use crate::support::{Api, Server, send};

/// A version that nothing is granted to, and where it is activated.
async fn uploaded(api: &Api) -> String {
    let uploaded = upload(api, "filer").await;
    assert_eq!((&uploaded["active"], &uploaded["activate"]["body"]["grant"]["files"]), (&json!(false), &json!("write")), "{uploaded}");
    uploaded["activate"]["path"].as_str().expect("the answer has the call").to_owned()
}

/// What became of one call in a session.
async fn call(api: &Api, session: &str, tool: &str, arguments: Value) -> Value {
    let mut stream = api.stream(session, "").await;
    api.say(session, &format!("/call filer__{tool} {arguments}")).await;
    let frames = stream.until("session.idled").await;
    let completed = frames.iter().rev().find(|frame| frame.event == "tool.completed").expect("the tool was called");
    completed.data["data"].clone()
}

#[tokio::test]
async fn a_component_shares_files_with_the_people_of_its_session() {
    let server = Server::start().await;
    let api = server.api();
    let activate = uploaded(&api).await;
    api.post(&activate, &json!({ "grant": { "files": "read" } })).await.expect(200);
    let session = api.session_with(&json!({ "capabilities": [{ "ref": "filer" }] })).await;
    let at = |path: &str| format!("/v1/sessions/{session}/fs{path}");
    api.post(&at("/in.txt"), &json!({ "content": "for the tool" })).await.expect(201);
    let read = call(&api, &session, "read", json!({ "path": "/in.txt" })).await;
    assert_eq!((&read["success"], &read["structured"]["text"]), (&json!(true), &json!("for the tool")), "{read}");
    let write = json!({ "path": "/out.txt", "text": "for the people" });
    let denied = call(&api, &session, "write", write.clone()).await;
    assert!(denied["success"] == false && denied["error"].to_string().contains("changing the session's files is not granted"), "{denied}");

    api.post(&activate, &json!({ "grant": { "files": "write" } })).await.expect(200);
    let written = call(&api, &session, "write", write).await;
    assert_eq!(written["success"], true, "{written}");
    assert_eq!(api.get(&at("/out.txt")).await.expect(200)["content"], "for the people");
    // The revision that the tool was given is the digest that everybody sees; a stale one is noticed.
    send(api.request(Method::PUT, &at("/out.txt")).json(&json!({ "content": "changed" }))).await.expect(200);
    let stale = json!({ "path": "/out.txt", "text": "again", "expected": written["structured"] });
    let conflict = call(&api, &session, "write", stale).await;
    assert_eq!((&conflict["success"], &conflict["error_kind"]), (&json!(false), &json!("conflict")), "{conflict}");
    assert_eq!(api.get(&at("/out.txt")).await.expect(200)["content"], "changed");
}

#[tokio::test]
async fn a_call_without_a_session_has_no_files() {
    let server = Server::start().await;
    let api = server.api();
    let activate = uploaded(&api).await;
    api.post(&activate, &json!({ "grant": { "files": "write" } })).await.expect(200);
    let write = json!({ "tool": "write", "arguments": { "path": "/a", "text": "x" } });
    let refused = api.post("/v1/components/filer/call", &write).await.expect(200);
    assert!(refused["error"]["message"].to_string().contains("belongs to no session"), "{refused}");
}
