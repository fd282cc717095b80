//! Archived components make room: their bytes are deleted once nobody needs them.

use reqwest::Method;
use serde_json::{Value, json};

use super::upload;
use super::versions::another;
use crate::support::{Api, Server, ServerOptions, guest, send};

/// More than the description of a test guest, and less than the guest.
const DESCRIPTION: usize = 8 << 10;

async fn server_of(limit: &str, value: usize) -> Server {
    Server::start_with(ServerOptions { args: vec![limit.to_owned(), value.to_string()], ..ServerOptions::default() }).await
}

async fn stored_at(api: &Api, version: &str) -> Value {
    api.get(&format!("/v1/components/{version}")).await.expect(200)["stored_at"].clone()
}

#[tokio::test]
async fn an_org_without_room_archives_what_it_does_not_use() {
    let (minimal, echo) = (guest("minimal"), guest("echo"));
    assert!(minimal.len().min(echo.len()) > DESCRIPTION);
    let server = server_of("--org-component-bytes", minimal.len().max(echo.len()) + DESCRIPTION).await;
    let api = server.api();
    upload(&api, "minimal").await;
    assert_eq!(api.upload("", echo.clone()).await.expect(507)["code"], "quota_exceeded");
    assert_eq!(api.delete("/v1/components/minimal").await.status, 204);
    assert!(stored_at(&api, "minimal/versions/1").await.is_string(), "its room is not needed yet");
    api.upload("", echo).await.expect(201);
    assert_eq!(stored_at(&api, "minimal/versions/1").await, Value::Null);
    for (method, path) in [(Method::GET, "wasm"), (Method::POST, "activate")] {
        let refused = send(api.request(method, &format!("/v1/components/minimal/versions/1/{path}"))).await.expect(409);
        assert_eq!(refused["code"], "bytes_deleted", "{refused}");
    }
    // There is no room for it now, and what is used does not go.
    api.upload("", minimal.clone()).await.expect(507);
    assert!(stored_at(&api, "echo/versions/1").await.is_string());
    assert_eq!(api.delete("/v1/components/echo").await.status, 204);
    let back = api.upload("", minimal.clone()).await.expect(200);
    assert_eq!((&back["created"], &back["version"]["version"]), (&json!(false), &json!(1)), "{back}");
    api.post("/v1/components/minimal/versions/1/activate", &json!({})).await.expect(200);
    assert_eq!(api.get("/v1/components/minimal/versions/1/wasm").await.bytes, minimal);
}

#[tokio::test]
async fn an_archived_component_makes_room_for_another() {
    let server = server_of("--org-components", 1).await;
    let api = server.api();
    upload(&api, "minimal").await;
    api.upload("", guest("echo")).await.expect(507);
    assert_eq!(api.delete("/v1/components/minimal").await.status, 204);
    upload(&api, "echo").await;
}

#[tokio::test]
async fn a_turn_that_waits_keeps_its_version_and_the_bytes_of_it() {
    let size = guest("echo").len() + 5;
    // Room for two versions, and for what is left of those that are gone.
    let server = server_of("--org-component-bytes", 2 * size + 2 * DESCRIPTION).await;
    let api = server.api();
    api.upload("?channel=beta", another("echo", 1)).await.expect(201);
    let tool = json!({ "type": "client_side", "name": "ask", "description": "Asks.", "parameters": { "type": "object" } });
    let session = api.session_with(&json!({ "tools": [tool], "capabilities": [{ "ref": "echo", "channel": "beta" }] })).await;
    let mut stream = api.stream(&session, "").await;
    api.say(&session, "/call ask {}\n/then\n/call echo__echo {\"value\": 1}").await;
    let asked = stream.until("tool.call_requested").await.pop().expect("a frame").data["data"]["tool_calls"][0]["id"].clone();

    api.upload("?channel=beta", another("echo", 2)).await.expect(201);
    assert_eq!(api.delete("/v1/components/echo/versions/1").await.status, 204);
    // Its bytes are all that could make room, and the turn needs them, also on a machine that has not compiled them.
    api.upload("?channel=beta", another("echo", 3)).await.expect(507);
    assert!(stored_at(&api, "echo/versions/1").await.is_string());
    let answer = json!({ "tool_results": [{ "tool_call_id": asked, "result": 1 }] });
    api.post(&format!("/v1/sessions/{session}/tool-results"), &answer).await.expect(200);
    let frames = stream.until("session.idled").await;
    let versions: Vec<&Value> = frames.iter().map(|frame| &frame.data["data"]["receipt"]["version"]).filter(|it| it.is_number()).collect();
    assert_eq!(versions, [1], "the channel points to version 2 by now");

    api.upload("?channel=beta", another("echo", 3)).await.expect(201);
    assert_eq!(stored_at(&api, "echo/versions/1").await, Value::Null);
    assert!(stored_at(&api, "echo/versions/2").await.is_string());
}
