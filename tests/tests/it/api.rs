//! The HTTP API from end to end: resources, turns, and what refusals look like.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Server, send};

/// A problem document with what differs between runs taken out.
fn problem(answer: Answer) -> Value {
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let id = answer.header("x-request-id").to_owned();
    let mut body = answer.json();
    assert_eq!(body["request_id"], id.as_str());
    assert_eq!(body["status"], answer.status);
    assert_eq!(body["error"], json!({ "code": body["code"], "message": body["detail"] }));
    body["request_id"] = "req".into();
    body.as_object_mut().expect("an object").remove("error");
    body
}

#[tokio::test]
async fn a_message_gets_an_answer() {
    let server = Server::start().await;
    let api = server.api();
    api.post("/v1/agents", &json!({ "name": "helper", "system_prompt": "Be kind." })).await.expect(201);
    let session = api.session_with(&json!({ "agent": "helper", "title": "First" })).await;
    let mut stream = api.stream(&session, "").await;
    assert_eq!(stream.next().await.expect("a frame").event, "connected");
    let sent = api.say(&session, "hello").await;
    assert_eq!((&sent["role"], &sent["sequence"]), (&json!("user"), &json!(2)));
    stream.until("session.idled").await;

    let messages = api.get(&format!("/v1/sessions/{session}/messages")).await.expect(200);
    assert_eq!(messages["total"], 2);
    let answer = &messages["data"][1];
    assert_eq!(answer["role"], "agent");
    assert!(answer["content"][0]["text"].as_str().is_some_and(|text| text.starts_with("You said: hello")));
    assert_eq!(api.get(&format!("/v1/sessions/{session}")).await.expect(200)["status"], "idle");

    let events = api.events(&session).await;
    let types: Vec<&str> = events.iter().filter_map(|event| event["type"].as_str()).collect();
    insta::assert_json_snapshot!(types, @r#"
    [
      "session.started",
      "input.message",
      "turn.started",
      "session.activated",
      "reason.started",
      "llm.generation",
      "output.message.completed",
      "reason.completed",
      "turn.completed",
      "session.idled"
    ]
    "#);
}

#[tokio::test]
async fn the_same_routes_are_below_api() {
    let server = Server::start().await;
    let list = server.api().get("/api/v1/harnesses").await.expect(200);
    assert_eq!(list["data"][0]["name"], "base");
    assert_eq!(list["data"][0]["is_built_in"], true);
    server.api().get("/api/openapi.json").await.expect(200);
}

#[tokio::test]
async fn messages_that_come_during_a_turn_get_turns_of_their_own() {
    let server = Server::scripted(json!({ "response": "echo", "response_delay_ms": 50 })).await;
    let api = server.api();
    let session = api.session().await;
    let mut stream = api.stream(&session, "").await;
    for text in ["one", "two", "three"] {
        api.say(&session, text).await;
    }
    for _ in 0..3 {
        stream.until("session.idled").await;
    }
    let messages = api.get(&format!("/v1/sessions/{session}/messages")).await.expect(200);
    let agent = messages["data"].as_array().expect("a list").iter().filter(|message| message["role"] == "agent");
    let answers: Vec<&str> = agent.filter_map(|message| message["content"][0]["text"].as_str()).collect();
    assert_eq!(answers, ["one", "two", "three"]);
}

#[tokio::test]
async fn a_cancelled_turn_ends_and_cancelling_again_does_nothing() {
    let server = Server::scripted(json!({ "response": { "lorem": 10_000 }, "latency_per_token_ms": 20 })).await;
    let api = server.api();
    let session = api.session().await;
    let mut stream = api.stream(&session, "").await;
    api.say(&session, "go").await;
    stream.until("output.message.delta").await;
    let cancel = format!("/v1/sessions/{session}/cancel");
    let cancelled = api.post(&cancel, &json!({})).await.expect(200);
    assert_eq!(cancelled["status"], "cancelled");
    stream.until("turn.cancelled").await;
    stream.until("session.idled").await;
    let again = send(api.request(Method::POST, &cancel)).await.expect(200);
    assert_eq!(again["status"], "no_op");
}

#[tokio::test]
async fn an_agent_is_created_replaced_changed_and_archived() {
    let server = Server::start().await;
    let api = server.api();
    let agent = json!({ "name": "a", "system_prompt": "One.", "tags": ["x"] });
    let created = api.post("/v1/agents", &agent).await;
    assert_eq!((created.status, created.header("etag")), (201, "\"1\""));
    let id = created.json()["id"].clone();

    let replaced = api.post("/v1/agents", &json!({ "name": "a", "system_prompt": "Two." })).await;
    assert_eq!((replaced.status, replaced.header("etag")), (200, "\"2\""));
    let body = replaced.json();
    assert_eq!((&body["id"], &body["tags"], &body["system_prompt"]), (&id, &json!([]), &json!("Two.")));
    let only_new = api.request(Method::POST, "/v1/agents").header("if-none-match", "*").json(&agent);
    assert_eq!(send(only_new).await.status, 412);

    let seen = api.request(Method::PATCH, "/v1/agents/a").header("if-match", "\"1\"").json(&json!({ "description": "d" }));
    assert_eq!(send(seen).await.status, 412);
    let current = api.request(Method::PATCH, "/v1/agents/a").header("if-match", "\"2\"").json(&json!({ "description": "d" }));
    assert_eq!(send(current).await.expect(200)["description"], "d");
    let cleared = api.patch("/v1/agents/a", &json!({ "description": null, "name": "b" })).await.expect(200);
    assert_eq!((cleared.get("description"), &cleared["name"]), (None, &json!("b")));

    assert_eq!(api.delete("/v1/agents/b").await.status, 204);
    assert_eq!(api.get("/v1/agents/b").await.expect(200)["status"], "archived");
    let refused = problem(api.post("/v1/sessions", &json!({ "agent_id": id })).await);
    assert_eq!(refused["errors"][0]["code"], "archived");
    assert_eq!(api.patch("/v1/agents/b", &json!({ "status": "active" })).await.expect(200)["status"], "active");
}

#[tokio::test]
async fn lists_have_pages() {
    let server = Server::start().await;
    let api = server.api();
    for name in ["a", "b", "c"] {
        api.post("/v1/agents", &json!({ "name": name, "system_prompt": "" })).await.expect(201);
    }
    let page = api.get("/v1/agents?offset=1&limit=1").await.expect(200);
    assert_eq!((&page["total"], &page["offset"], &page["limit"]), (&json!(3), &json!(1), &json!(1)));
    assert_eq!(page["data"][0]["name"], "b");
}

#[tokio::test]
async fn a_built_in_harness_cannot_be_changed_but_extended() {
    let server = Server::start().await;
    let api = server.api();
    assert_eq!(api.patch("/v1/harnesses/base", &json!({ "system_prompt": "x" })).await.status, 409);
    assert_eq!(api.delete("/v1/harnesses/base").await.status, 409);
    let own = json!({ "name": "own", "parent_harness_id": "base" });
    let own = api.post("/v1/harnesses", &own).await.expect(201);
    let session = api.post("/v1/sessions", &json!({ "harness_name": "own" })).await.expect(201);
    assert_eq!(session["harness_id"], own["id"]);
    let cycle = api.patch("/v1/harnesses/own", &json!({ "parent_harness_id": "own" })).await;
    assert_eq!(problem(cycle)["errors"][0]["code"], "cycle");
}

#[tokio::test]
async fn everything_that_is_wrong_with_a_body_is_told_at_once() {
    let server = Server::start().await;
    let body = json!({
        "name": "Not A Name",
        "system_prompt": "",
        "tags": [""],
        "max_iterations": 0,
        "capabilities": [{ "ref": "nothing" }, { "ref": "nothing" }],
        "default_model_id": "model_x",
    });
    insta::assert_json_snapshot!("all_findings", problem(server.api().post("/v1/agents", &body).await));
}

#[tokio::test]
async fn refusals_are_problem_documents() {
    let server = Server::start().await;
    let api = server.api();
    insta::assert_json_snapshot!("unknown_field", problem(api.post("/v1/sessions", &json!({ "titel": "x" })).await));
    insta::assert_json_snapshot!("wrong_type", problem(api.post("/v1/sessions", &json!({ "tags": ["a", 1] })).await));
    insta::assert_json_snapshot!("absent", problem(api.get("/v1/sessions/session_01920000000070008000000000000001").await));
    insta::assert_json_snapshot!("no_route", problem(api.get("/v1/nothing").await));
    insta::assert_json_snapshot!("wrong_method", problem(api.patch("/v1/agents", &json!({})).await));
    insta::assert_json_snapshot!("wrong_query", problem(api.get("/v1/agents?limit=0&ofset=1").await));
    let text = api.request(Method::POST, "/v1/sessions").header("content-type", "text/plain").body("{}");
    insta::assert_json_snapshot!("wrong_media_type", problem(send(text).await));
    let broken = api.request(Method::POST, "/v1/sessions").header("content-type", "application/json").body("{\"title\":");
    insta::assert_json_snapshot!("no_json", problem(send(broken).await));
    let large = api.post("/v1/sessions", &json!({ "system_prompt": "x".repeat(5 << 20) })).await;
    insta::assert_json_snapshot!("too_large", problem(large));
}

#[tokio::test]
async fn messages_are_checked() {
    let server = Server::start().await;
    let api = server.api();
    let path = format!("/v1/sessions/{}/messages", api.session().await);
    let check = async |body: Value, code: &str, pointer: &str| {
        let refused = problem(api.post(&path, &body).await);
        assert_eq!((&refused["errors"][0]["code"], &refused["errors"][0]["pointer"]), (&json!(code), &json!(pointer)), "{refused}");
    };
    let content = json!([{ "type": "text", "text": "x" }]);
    check(json!({ "message": { "content": [] } }), "wrong_count", "/message/content").await;
    check(json!({ "message": { "role": "agent", "content": content } }), "invalid_role", "/message/role").await;
    let call = json!([{ "type": "tool_call", "id": "1", "name": "x", "arguments": {} }]);
    check(json!({ "message": { "content": call } }), "invalid_part", "/message/content/0").await;
    check(json!({ "message": { "content": [{ "type": "image" }] } }), "invalid_image", "/message/content/0").await;
    check(json!({ "message": { "content": content }, "controls": { "model_id": "m" } }), "unsupported", "/controls/model_id").await;
    let long = json!([{ "type": "text", "text": "x".repeat((1 << 20) + 1) }]);
    check(json!({ "message": { "content": long } }), "too_long", "/message/content").await;
    assert_eq!(api.get(&path).await.expect(200)["total"], 0);
}

#[tokio::test]
async fn a_request_id_is_taken_over_if_it_is_harmless() {
    let server = Server::start().await;
    let api = server.api();
    let with =
        async |id: &str| send(api.request(Method::GET, "/healthz").header("x-request-id", id)).await.header("x-request-id").to_owned();
    assert_eq!(with("client-7.a_b").await, "client-7.a_b");
    assert!(with("a b").await.starts_with("req_"));
    assert!(with(&"x".repeat(129)).await.starts_with("req_"));
}

#[tokio::test]
async fn the_server_tells_whether_it_lives_and_is_ready() {
    let server = Server::start().await;
    let api = server.api();
    assert_eq!(api.get("/healthz").await.expect(200)["status"], "ok");
    assert_eq!(api.get("/readyz").await.expect(200)["ready"], true);
}
