//! Agents and harnesses from their creation to their end.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Api, Server, send};

fn names(list: &Value) -> Vec<&str> {
    list["data"].as_array().expect("a list").iter().filter_map(|item| item["name"].as_str()).collect()
}

async fn refused(api: &Api, path: &str, code: &str) -> Value {
    let problem = api.post(&format!("{path}/delete"), &json!({})).await.expect(409);
    assert_eq!(problem["code"], code, "{problem}");
    problem
}

#[tokio::test]
async fn an_archived_agent_is_hidden_comes_back_and_is_deleted_once_nothing_uses_it() {
    let server = Server::start().await;
    let api = server.api();
    for name in ["kept", "old"] {
        api.post("/v1/agents", &json!({ "name": name, "system_prompt": "x" })).await.expect(201);
    }
    let session = api.session_with(&json!({ "agent": "old" })).await;
    refused(&api, "/v1/agents/old", "not_archived").await;
    assert_eq!(api.delete("/v1/agents/old").await.status, 204);
    assert_eq!(api.delete("/v1/agents/old").await.status, 204, "archiving is idempotent");
    assert_eq!(names(&api.get("/v1/agents").await.expect(200)), ["kept"]);
    let all = api.get("/v1/agents?include_archived=true").await.expect(200);
    assert_eq!((names(&all), &all["total"]), (vec!["kept", "old"], &json!(2)));
    assert_eq!(names(&api.get("/v1/agents?search=old&include_archived=true").await.expect(200)), ["old"]);
    assert_eq!(api.get("/v1/agents?include_archived=maybe").await.status, 400);

    // A session that has it fails with a sentence, and goes on once the agent is back.
    let mut stream = api.stream(&session, "").await;
    api.say(&session, "hello").await;
    let frames = stream.until("turn.failed").await;
    assert_eq!(frames.last().expect("a frame").data["data"]["error_code"], "agent_archived");
    api.patch("/v1/agents/old", &json!({ "status": "active" })).await.expect(200);
    api.say(&session, "hello").await;
    stream.until("turn.completed").await;

    assert_eq!(api.delete("/v1/agents/old").await.status, 204);
    let problem = refused(&api, "/v1/agents/old", "in_use").await;
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("sessions")), "{problem}");
    stream.until("session.idled").await;
    api.delete(&format!("/v1/sessions/{session}")).await.expect(204);
    let stale = send(api.request(Method::POST, "/v1/agents/old/delete").header("if-match", "\"1\"")).await;
    assert_eq!(stale.status, 412);
    assert_eq!(api.post("/v1/agents/old/delete", &json!({})).await.status, 204);
    assert_eq!(api.get("/v1/agents/old").await.status, 404);
    api.post("/v1/agents", &json!({ "name": "old", "system_prompt": "the name is free" })).await.expect(201);
}

#[tokio::test]
async fn a_harness_is_deleted_once_nothing_is_built_on_it() {
    let server = Server::start().await;
    let api = server.api();
    let parent = api.post("/v1/harnesses", &json!({ "name": "parent" })).await.expect(201)["id"].clone();
    api.post("/v1/harnesses", &json!({ "name": "child", "parent_harness_id": parent })).await.expect(201);
    api.post("/v1/agents", &json!({ "name": "a", "system_prompt": "x", "harness_id": "child" })).await.expect(201);
    for path in ["/v1/harnesses/parent", "/v1/harnesses/child", "/v1/agents/a"] {
        assert_eq!(api.delete(path).await.status, 204, "{path}");
    }
    for (path, by) in [("/v1/harnesses/parent", "harnesses that extend it"), ("/v1/harnesses/child", "agents")] {
        let problem = refused(&api, path, "in_use").await;
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(by)), "{problem}");
    }
    assert!(!names(&api.get("/v1/harnesses").await.expect(200)).contains(&"child"));
    for path in ["/v1/agents/a", "/v1/harnesses/child", "/v1/harnesses/parent"] {
        assert_eq!(api.post(&format!("{path}/delete"), &json!({})).await.status, 204, "{path}");
        assert_eq!(api.get(path).await.status, 404, "{path}");
    }
    refused(&api, "/v1/harnesses/base", "not_archived").await;
}
