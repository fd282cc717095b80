//! What one org may use of a server, and that another one does not notice.

use everwit_server::{DatabaseConfig, ServerAppBuilder, ServerRole};
use reqwest::Method;
use serde_json::json;

use crate::support::embedded::{Home, client};
use crate::support::postgres::{CONNECTIONS, new_database};
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
    assert!((1..=120).contains(&retry_after), "{retry_after}");
    let refused = refused.expect(429);
    assert_eq!((&refused["code"], &refused["retry_after_seconds"]), (&json!("too_many_turns"), &json!(retry_after)), "{refused}");
    let elsewhere = other.session().await;
    other.say(&elsewhere, "hello").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_of_one_database_count_an_orgs_turns_together() {
    let (database, homes) = (new_database().await, [Home::new(), Home::new()]);
    let mut servers = Vec::new();
    for (home, role) in homes.iter().zip([ServerRole::All, ServerRole::ControlPlane]) {
        let mut config = home.config();
        config.database = DatabaseConfig::Postgres(Box::new(database.parse().expect("a URL")));
        (config.database_connections, config.role, config.org_limits.turns_per_minute) = (CONNECTIONS, role, 1);
        servers.push(ServerAppBuilder::new(config).start().await.expect("it starts"));
    }
    let [one, other] = [client(&servers[0]), client(&servers[1])];
    let session = one.session().await;
    one.say(&session, "hello").await;
    let message = json!({ "message": { "content": [{ "type": "text", "text": "hello" }] } });
    let refused = other.post(&format!("/v1/sessions/{session}/messages"), &message).await.expect(429);
    assert_eq!(refused["code"], "too_many_turns", "{refused}");
}

#[tokio::test]
async fn an_org_stores_so_many_bytes_of_events() {
    let (_server, own, other) = server(&["--org-event-bytes", "20000"]).await;
    let (full, small) = (own.session().await, own.session().await);
    let mut stream = own.stream(&full, "").await;
    own.say(&full, &"x".repeat(20_000)).await;
    stream.until("turn.completed").await;
    let message = json!({ "message": { "content": [{ "type": "text", "text": "hello" }] } });
    let path = format!("/v1/sessions/{small}/messages");
    for refused in [own.post(&path, &message).await, own.post("/v1/sessions", &json!({})).await] {
        let refused = refused.expect(507);
        assert_eq!(refused["code"], "quota_exceeded", "{refused}");
        let detail = refused["detail"].as_str().expect("a sentence");
        assert!(detail.contains("20000") && detail.contains("delete sessions"), "{detail}");
    }
    assert_eq!(own.get("/v1/sessions").await.expect(200)["total"], 2, "a session that was refused is not there");
    let elsewhere = other.session().await;
    other.say(&elsewhere, "hello").await;
    own.delete(&format!("/v1/sessions/{full}")).await.expect(204);
    own.say(&small, "hello").await;
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
