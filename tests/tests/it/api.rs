//! The HTTP API from end to end: resources, turns, and what refusals look like.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Api, EventStream, Server, send};

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
async fn messages_that_come_during_a_turn_are_all_answered() {
    let server = Server::scripted(json!({ "response": "echo", "response_delay_ms": 50 })).await;
    let api = server.api();
    let session = api.session().await;
    let mut stream = api.stream(&session, "").await;
    for text in ["one", "two", "three"] {
        api.say(&session, text).await;
    }
    // Each is told to the turn that runs or gets one of its own, as it happens to come.
    let (mut ends, mut merged) = (0, 0);
    while ends < 3 {
        match stream.next().await.as_ref().map(|frame| frame.event.as_str()) {
            Some("turn.completed") => ends += 1,
            Some("turn.merged") => (ends, merged) = (ends + 1, merged + 1),
            Some(_) => {}
            None => panic!("the stream ended"),
        }
    }
    let messages = api.get(&format!("/v1/sessions/{session}/messages")).await.expect(200);
    let agent = messages["data"].as_array().expect("a list").iter().filter(|message| message["role"] == "agent");
    let answers: Vec<&str> = agent.filter_map(|message| message["content"][0]["text"].as_str()).collect();
    assert_eq!((answers.len() + merged, answers.last()), (3, Some(&"three")), "{answers:?}");
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
async fn lists_are_searched() {
    let server = Server::start().await;
    let api = server.api();
    for (name, title) in [("billing", "Invoices"), ("support", "Help"), ("sales", "Offers and invoices")] {
        let agent = json!({ "name": name, "display_name": title, "system_prompt": "" });
        api.post("/v1/agents", &agent).await.expect(201);
        api.session_with(&json!({ "agent": name, "title": title })).await;
    }
    for (path, total) in [
        ("/v1/agents?search=INVOICE", 2),
        ("/v1/agents?search=support", 1),
        ("/v1/agents?search=nothing", 0),
        ("/v1/sessions?search=help", 1),
        ("/v1/sessions?agent_id=sales", 1),
        ("/v1/sessions?agent_id=sales&search=help", 0),
        ("/v1/harnesses?search=bas", 1),
        ("/v1/capabilities?search=x", 0),
    ] {
        let list = api.get(path).await.expect(200);
        assert_eq!((&list["total"], list["data"].as_array().map(Vec::len)), (&json!(total), Some(total)), "{path}");
    }
    assert_eq!(api.get("/v1/sessions?agent_id=nobody").await.status, 404);
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
    let mut findings = problem(server.api().post("/v1/agents", &body).await);
    let fix = findings["errors"][1]["fix"].take();
    assert!(fix.as_str().is_some_and(|fix| fix.starts_with("available: ") && fix.contains("current_time")), "{fix}");
    insta::assert_json_snapshot!("all_findings", findings);
}

#[tokio::test]
async fn a_list_is_no_body() {
    let server = Server::start().await;
    let refused = server.api().post("/v1/harnesses/preview", &json!([null, null])).await.expect(422);
    assert_eq!(refused["errors"][0]["code"], "invalid_value", "{refused}");
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
    check(json!({ "message": { "content": content }, "controls": { "model_id": "m" } }), "unknown_model", "/controls/model_id").await;
    let long = json!([{ "type": "text", "text": "x".repeat((1 << 20) + 1) }]);
    check(json!({ "message": { "content": long } }), "too_long", "/message/content").await;
    let many = json!({ "content": vec![&content[0]; 101] });
    check(json!({ "message": many }), "wrong_count", "/message/content").await;
    let noted = json!({ "note": "x".repeat(16 << 10) });
    check(json!({ "message": { "content": content }, "metadata": noted }), "too_long", "/metadata").await;
    assert_eq!(api.get(&path).await.expect(200)["total"], 0);
}

#[tokio::test]
async fn what_an_agent_is_made_of_has_its_sizes() {
    let server = Server::start().await;
    let api = server.api();
    let tool = |number: usize| json!({ "type": "client_side", "name": format!("t{number}"), "description": "", "parameters": { "type": "object" } });
    let tools: Vec<Value> = (0..65).map(tool).collect();
    let file = |number: usize| json!({ "path": format!("/{number}"), "content": "" });
    let files: Vec<Value> = (0..101).map(file).collect();
    for (field, value, code, pointer) in [
        ("name", json!("a".repeat(65)), "invalid_name", "/name"),
        ("display_name", json!("x".repeat(257)), "too_long", "/display_name"),
        ("description", json!("x".repeat((10 << 10) + 1)), "too_long", "/description"),
        ("system_prompt", json!("x".repeat((1 << 20) + 1)), "too_long", "/system_prompt"),
        ("tags", json!(vec!["a"; 51]), "too_many", "/tags"),
        ("tools", json!(tools), "too_many", "/tools"),
        ("capabilities", json!(vec![json!({ "ref": "current_time" }); 251]), "too_many", "/capabilities"),
        ("max_iterations", json!(1_001), "out_of_range", "/max_iterations"),
        ("initial_files", json!(files), "too_large", "/initial_files"),
        ("initial_files", json!([{ "path": "/a", "content": "x".repeat((1 << 20) + 1) }]), "too_large", "/initial_files"),
    ] {
        let mut body = json!({ "name": "agent", "system_prompt": "" });
        body[field] = value;
        let refused = problem(api.post("/v1/agents", &body).await);
        let finding = &refused["errors"][0];
        assert_eq!((&finding["code"], &finding["pointer"]), (&json!(code), &json!(pointer)), "{field}: {refused}");
    }
    assert_eq!(api.get("/v1/agents").await.expect(200)["total"], 0);
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

/// A POST with an idempotency key.
async fn repeatable(api: &Api, path: &str, key: &str, body: &Value) -> Answer {
    send(api.request(Method::POST, path).header("idempotency-key", key).json(body)).await
}

#[tokio::test]
async fn a_repeated_request_has_one_effect() {
    let server = Server::scripted(json!({ "response": "echo" })).await;
    let api = server.api();
    let (first, second) =
        (repeatable(&api, "/v1/sessions", "k", &json!({})).await, repeatable(&api, "/v1/sessions", "k", &json!({})).await);
    assert_eq!((first.status, second.status), (201, 201));
    assert_eq!((first.header("idempotent-replayed"), second.header("idempotent-replayed")), ("", "true"));
    assert_eq!(first.json(), second.json());
    let long = repeatable(&api, "/v1/sessions", &"k".repeat(256), &json!({})).await;
    assert_eq!(problem(long)["code"], "invalid_header");
    let other = repeatable(&api, "/v1/sessions", "k", &json!({ "title": "x" })).await;
    assert_eq!(problem(other)["code"], "idempotency_key_reused");
    assert_eq!(api.get("/v1/sessions").await.expect(200)["total"], 1);

    let session = first.json()["id"].as_str().expect("an id").to_owned();
    let path = format!("/v1/sessions/{session}/messages");
    let message = json!({ "message": { "content": [{ "type": "text", "text": "once" }] } });
    let mut stream = api.stream(&session, "").await;
    let sent = futures::future::join_all((0..20).map(|_| repeatable(&api, &path, "m", &message))).await;
    let bodies: Vec<Value> = sent.into_iter().map(|answer| answer.expect(201)).collect();
    assert!(bodies.iter().all(|body| body == &bodies[0]), "{bodies:#?}");
    stream.until("session.idled").await;
    assert_eq!(api.get(&path).await.expect(200)["total"], 2, "one message and one answer");

    let agent = json!({ "name": "a", "system_prompt": "x" });
    let made = repeatable(&api, "/v1/agents", "k", &agent).await.expect(201);
    assert_eq!(repeatable(&api, "/v1/agents", "k", &agent).await.expect(201), made);
}

#[tokio::test]
async fn a_key_of_one_org_says_nothing_to_another() {
    let server = Server::start().await;
    let own = server.api_with_key("write", None).await;
    let other = server.api_with_key("write", Some("other")).await;
    let first = repeatable(&own, "/v1/sessions", "k", &json!({})).await.expect(201);
    let second = repeatable(&other, "/v1/sessions", "k", &json!({ "title": "mine" })).await;
    assert_eq!((second.status, second.header("idempotent-replayed")), (201, ""));
    assert_ne!(first["id"], second.json()["id"]);
}

/// The bodies that published clients of the wider API send, and the fields that they need.
#[tokio::test]
async fn requests_of_published_clients_are_understood() {
    let server = Server::scripted(json!({ "response": "echo" })).await;
    let api = server.api().with_authorization("any-key");
    let agent = json!({ "name": "assistant", "system_prompt": "Help.", "tags": [], "capabilities": [], "initial_files": [] });
    let agent = api.post("/api/v1/agents", &agent).await.expect(201);
    for field in ["id", "name", "system_prompt", "tags", "capabilities", "status", "created_at", "updated_at"] {
        assert!(agent.get(field).is_some(), "{field}: {agent}");
    }
    let session = json!({ "agent_id": agent["id"], "tags": [], "capabilities": [], "tools": [], "initial_files": [] });
    let session = api.post("/api/v1/sessions", &session).await.expect(201);
    for field in ["id", "organization_id", "harness_id", "tags", "capabilities", "status", "created_at", "updated_at"] {
        assert!(session.get(field).is_some(), "{field}: {session}");
    }
    let path = format!("/api/v1/sessions/{}", session["id"].as_str().expect("an id"));
    let message = json!({ "message": { "role": "user", "content": [{ "type": "text", "text": "hi" }] }, "controls": { "model_id": null } });
    let message = api.post(&format!("{path}/messages"), &message).await.expect(201);
    for field in ["id", "session_id", "sequence", "role", "content", "created_at"] {
        assert!(message.get(field).is_some(), "{field}: {message}");
    }
    let query = "after_sequence=0&exclude=output.message.delta&exclude=reason.thinking.delta";
    let mut stream = EventStream::open(api.request(Method::GET, &format!("{path}/sse?{query}"))).await;
    let frames = stream.until("session.idled").await;
    assert!(
        frames
            .iter()
            .skip(1)
            .all(|frame| ["id", "type", "ts", "session_id", "data", "context"].iter().all(|field| frame.data.get(field).is_some()))
    );
    assert_eq!(api.post(&format!("{path}/cancel"), &json!({})).await.expect(200)["status"], "no_op");
    let refused = api.get("/api/v1/agents/agent_01920000000070008000000000000001").await;
    assert!(refused.json()["error"]["message"].is_string());
}
