//! What one org may use of a server, and that another one does not notice.

use reqwest::Method;
use serde_json::json;

use crate::support::{Api, Server, ServerOptions, guest, send};

/// A server with a limit of orgs, and the admins of two of them.
async fn server(limit: &[&str]) -> (Server, Api, Api) {
    let args = limit.iter().map(|&arg| arg.to_owned()).collect();
    let server = Server::start_with(ServerOptions { args, ..ServerOptions::default() }).await;
    let own = server.api_with_key("admin", None).await;
    let other = server.api_with_key("admin", Some("other")).await;
    (server, own, other)
}

#[tokio::test]
async fn an_org_begins_so_many_turns_in_a_minute() {
    let (_server, own, other) = server(&["--org-turns-per-minute", "1"]).await;
    let session = own.session().await;
    let path = format!("/v1/sessions/{session}/messages");
    let message = json!({ "message": { "content": [{ "type": "text", "text": "hello" }] } });
    let say = async |key: &str| send(own.request(Method::POST, &path).header("idempotency-key", key).json(&message)).await;
    say("first").await.expect(201);
    let refused = say("second").await;
    let retry_after: u64 = refused.header("retry-after").parse().expect("it says when to try again");
    assert!((1..=60).contains(&retry_after), "{retry_after}");
    let refused = refused.expect(429);
    assert_eq!((&refused["code"], &refused["retry_after_seconds"]), (&json!("too_many_turns"), &json!(retry_after)), "{refused}");
    let elsewhere = other.session().await;
    other.say(&elsewhere, "hello").await;
}

#[tokio::test]
async fn an_org_has_so_many_turns_that_have_not_ended() {
    let (_server, own, other) = server(&["--org-open-turns", "1"]).await;
    let tool = json!({ "type": "client_side", "name": "ask", "description": "Asks.", "parameters": { "type": "object" } });
    let parked = own.session_with(&json!({ "tools": [tool] })).await;
    let mut stream = own.stream(&parked, "").await;
    own.say(&parked, "/call ask {}").await;
    stream.until("tool.call_requested").await;
    let session = own.session().await;
    let message = json!({ "message": { "content": [{ "type": "text", "text": "hello" }] } });
    let refused = own.post(&format!("/v1/sessions/{session}/messages"), &message).await.expect(429);
    assert_eq!(refused["code"], "too_many_turns", "{refused}");
    let elsewhere = other.session().await;
    other.say(&elsewhere, "hello").await;
}

#[tokio::test]
async fn an_org_stores_so_many_bytes_of_components() {
    let most = guest("minimal").len().to_string();
    let (_server, own, other) = server(&["--org-component-bytes", &most]).await;
    own.upload("", guest("minimal")).await.expect(201);
    let refused = own.upload("", guest("echo")).await.expect(507);
    assert_eq!(refused["code"], "quota_exceeded", "{refused}");
    assert_eq!(own.get("/v1/components").await.expect(200)["total"], 1, "nothing of it is stored");
    own.upload("", guest("minimal")).await.expect(200);
    other.upload("", guest("minimal")).await.expect(201);
}

#[tokio::test]
async fn an_org_has_so_many_components() {
    let (_server, own, other) = server(&["--org-components", "1"]).await;
    own.upload("", guest("minimal")).await.expect(201);
    let refused = own.upload("", guest("echo")).await.expect(507);
    assert_eq!(refused["code"], "quota_exceeded", "{refused}");
    own.upload("", guest("minimal")).await.expect(200);
    other.upload("", guest("echo")).await.expect(201);
}

#[tokio::test]
async fn a_call_for_which_the_org_has_no_fuel_left_is_refused() {
    // One call has a thousand million, so that one that used some leaves too little for another.
    let (_server, own, other) = server(&["--org-fuel-per-day", "1000000000"]).await;
    let call = json!({ "tool": "echo", "arguments": { "value": 1 } });
    for api in [&own, &other] {
        api.upload("?activate=true", guest("echo")).await.expect(201);
        api.post("/v1/components/echo/call", &call).await.expect(200);
    }
    let refused = own.post("/v1/components/echo/call", &call).await;
    let retry_after: u64 = refused.header("retry-after").parse().expect("it says when to try again");
    let refused = refused.expect(429);
    assert_eq!((&refused["code"], &refused["retry_after_seconds"]), (&json!("org_limit"), &json!(retry_after)), "{refused}");
}
