//! Deleting sessions.

use reqwest::Method;
use serde_json::json;

use crate::support::{Server, send};

#[tokio::test]
async fn a_deleted_session_is_gone_with_its_events_and_streams() {
    let server = Server::scripted(json!({ "response": "echo" })).await;
    let api = server.api();
    let (session, other) = (api.session().await, api.session().await);
    let mut stream = api.stream(&session, "").await;
    api.say(&session, "hello").await;
    stream.until("session.idled").await;
    api.delete(&format!("/v1/sessions/{session}")).await.expect(204);
    let farewell = stream.next().await.expect("a frame");
    assert_eq!((farewell.event.as_str(), &farewell.data["reason"]), ("disconnecting", &json!("session_deleted")));
    assert_eq!(stream.next().await, None);
    for path in ["", "/events", "/messages", "/sse"] {
        assert_eq!(api.get(&format!("/v1/sessions/{session}{path}")).await.status, 404, "{path}");
    }
    assert_eq!(api.delete(&format!("/v1/sessions/{session}")).await.status, 404);
    let listed = api.get("/v1/sessions").await.expect(200);
    assert_eq!((listed["data"].as_array().map(Vec::len), &listed["data"][0]["id"]), (Some(1), &json!(other)));
}

#[tokio::test]
async fn a_session_is_not_deleted_under_a_running_turn() {
    let server = Server::scripted(json!({ "response": { "lorem": 100_000 }, "latency_per_token_ms": 50 })).await;
    let api = server.api();
    let session = api.session().await;
    let mut stream = api.stream(&session, "").await;
    api.say(&session, "go").await;
    stream.until("output.message.delta").await;
    let refused = api.delete(&format!("/v1/sessions/{session}")).await;
    assert_eq!((refused.status, &refused.json()["code"]), (409, &json!("turn_open")));
    assert!(!api.events(&session).await.is_empty());
    api.post(&format!("/v1/sessions/{session}/cancel"), &json!({})).await.expect(200);
    stream.until("session.idled").await;
    api.delete(&format!("/v1/sessions/{session}")).await.expect(204);
}

#[tokio::test]
async fn a_deletion_can_demand_a_version() {
    let server = Server::start().await;
    let api = server.api();
    let session = api.session().await;
    let path = format!("/v1/sessions/{session}");
    api.patch(&path, &json!({ "title": "Second version" })).await.expect(200);
    let delete = |tag| send(api.request(Method::DELETE, &path).header("if-match", tag));
    assert_eq!(delete("\"1\"").await.status, 412);
    api.get(&path).await.expect(200);
    assert_eq!(delete("\"2\"").await.status, 204);
}
