//! Contexts over HTTP: reports of sessions, previews of drafts.

use serde_json::{Value, json};

use crate::support::{Answer, Server};

/// The members of a list of objects, one of each.
fn each<'a>(list: &'a Value, member: &str) -> Vec<&'a Value> {
    list.as_array().expect("a list").iter().map(|item| &item[member]).collect()
}

/// Codes and pointers of what is wrong with a request.
#[track_caller]
fn errors(answer: Answer) -> Vec<(String, Value)> {
    let problem = answer.expect(422);
    let errors = problem["errors"].as_array().expect("findings");
    errors.iter().map(|error| (error["code"].as_str().expect("a code").to_owned(), error["pointer"].clone())).collect()
}

#[tokio::test]
async fn a_report_tells_what_fills_a_sessions_context() {
    let server = Server::start().await;
    let api = server.api();
    let agent = json!({ "name": "clerk", "system_prompt": "Be brief.", "capabilities": [{ "ref": "current_time" }], "max_iterations": 9 });
    api.post("/v1/agents", &agent).await.expect(201);
    let session = api.session_with(&json!({ "agent": "clerk", "locale": "de" })).await;
    let route = format!("/v1/sessions/{session}/context-report");

    let before = api.get(&route).await.expect(200);
    assert_eq!((&before["model"], &before["provider"]), (&json!("llmsim-model"), &json!("llmsim")));
    assert_eq!(each(&before["sections"], "section"), ["system_prompt", "tools", "messages"]);
    assert_eq!(each(&before["sections"], "items"), [2, 1, 0]);
    let contributors: Vec<&Value> = each(&before["contributions"], "contributor").iter().map(|by| &by["type"]).collect();
    assert_eq!(contributors, ["harness", "agent", "capability"]);
    assert_eq!(before["contributions"][1]["contributor"]["name"], "clerk");
    assert_eq!(before["contributions"][1]["estimated_tokens"], 3, "two line breaks and nine letters");
    assert_eq!(each(&before["settings"], "name"), ["model", "locale", "max_iterations"]);
    let set_by: Vec<&Value> = each(&before["settings"], "set_by").iter().map(|by| &by["type"]).collect();
    assert_eq!(set_by, ["platform", "session", "agent"]);
    let estimates = each(&before["sections"], "estimated_tokens").iter().filter_map(|count| count.as_u64()).sum::<u64>();
    assert_eq!(before["estimated_input_tokens"], estimates);

    let mut stream = api.stream(&session, "").await;
    api.say(&session, "hello").await;
    stream.until("session.idled").await;
    let after = api.get(&route).await.expect(200);
    assert_eq!(each(&after["sections"], "items"), [2, 1, 2]);
    assert!(after["cumulative_usage"]["output_tokens"].as_u64().is_some_and(|tokens| tokens > 0), "{after}");
}

#[tokio::test]
async fn a_session_without_a_context_says_why() {
    let server = Server::start().await;
    let api = server.api();
    let harness = api.post("/v1/harnesses", &json!({ "name": "old" })).await.expect(201);
    let session = api.session_with(&json!({ "harness_id": "old" })).await;
    api.delete(&format!("/v1/harnesses/{}", harness["id"].as_str().expect("an id"))).await.expect(204);
    let problem = api.get(&format!("/v1/sessions/{session}/context-report")).await.expect(409);
    assert!(problem["detail"].as_str().is_some_and(|text| text.contains("archived (chain: old)")), "{problem}");
    api.get("/v1/sessions/session_00000000000000000000000000000001/context-report").await.expect(404);
}

#[tokio::test]
async fn a_harness_is_previewed_with_its_parents() {
    let server = Server::start().await;
    let api = server.api();
    let parent = json!({ "name": "team", "system_prompt": "Prompt of the team.", "capabilities": [{ "ref": "current_time" }] });
    api.post("/v1/harnesses", &parent).await.expect(201);
    let body = json!({ "parent_harness_id": "team", "system_prompt": "Own words.", "capabilities": [{ "ref": "current_time" }] });
    let stored = api.get("/v1/harnesses").await.expect(200)["total"].clone();
    let preview = api.post("/v1/harnesses/preview", &body).await.expect(200);
    assert_eq!(preview["system_prompt"], "Prompt of the team.\n\nOwn words.");
    let tools = preview["tools"].as_array().expect("tools");
    assert!(tools.iter().all(|tool| tool["capability_id"] == "current_time" && tool["input_schema"].is_object()), "{tools:?}");
    assert_eq!(tools.len(), 1);
    assert_eq!(each(&preview["findings"], "code"), ["redundant_capability"]);
    assert_eq!(each(&preview["findings"], "pointer"), ["/capabilities/0"]);
    let listed_by: Vec<&Value> = each(&preview["context"]["capabilities"][0]["listed_by"], "name");
    assert_eq!(listed_by, ["team", "draft"]);
    assert_eq!(api.get("/v1/harnesses").await.expect(200)["total"], stored, "nothing is stored");

    let empty = api.post("/v1/harnesses/preview", &json!({})).await.expect(200);
    assert_eq!((&empty["system_prompt"], &empty["tools"]), (&json!(""), &json!([])));
}

#[tokio::test]
async fn an_agent_is_previewed_on_its_harness() {
    let server = Server::start().await;
    let api = server.api();
    api.post("/v1/harnesses", &json!({ "name": "team", "system_prompt": "Prompt of the team." })).await.expect(201);
    let body = json!({ "system_prompt": "Own words.", "harness_id": "team", "capabilities": [{ "ref": "current_time" }] });
    let preview = api.post("/v1/agents/preview", &body).await.expect(200);
    assert_eq!(preview["system_prompt"], "Prompt of the team.\n\nOwn words.");
    assert_eq!(preview["findings"], json!([]));

    let on_base = api.post("/v1/agents/preview", &json!({ "system_prompt": " " })).await.expect(200);
    assert!(on_base["system_prompt"].as_str().is_some_and(|prompt| prompt.starts_with("You are a helpful assistant.")));
    assert_eq!(each(&on_base["findings"], "code"), ["blank_prompt"]);
    assert_eq!(api.get("/v1/agents").await.expect(200)["total"], 0, "nothing is stored");
}

#[tokio::test]
async fn drafts_are_checked_like_what_is_stored() {
    let server = Server::start().await;
    let api = server.api();
    let body = json!({ "parent_harness_id": "nobody", "capabilities": [{ "ref": "no-such" }], "mcp_servers": { "a": {} } });
    let found = errors(api.post("/v1/harnesses/preview", &body).await);
    let expected =
        [("unsupported", "/mcp_servers"), ("unknown_harness", "/parent_harness_id"), ("unknown_capability", "/capabilities/0/ref")];
    assert_eq!(found, expected.map(|(code, pointer)| (code.to_owned(), json!(pointer))));
    let body = json!({ "system_prompt": "x", "harness_id": "nobody", "tools": [{}] });
    let found = errors(api.post("/v1/agents/preview", &body).await);
    assert_eq!(found.iter().map(|(code, _)| code.as_str()).collect::<Vec<_>>(), ["unsupported", "unknown_harness"]);

    let harness = api.post("/v1/harnesses", &json!({ "name": "old" })).await.expect(201);
    api.delete(&format!("/v1/harnesses/{}", harness["id"].as_str().expect("an id"))).await.expect(204);
    let found = errors(api.post("/v1/harnesses/preview", &json!({ "parent_harness_id": "old" })).await);
    assert_eq!(found, [("harness_archived".to_owned(), Value::Null)]);
    let found = errors(api.post("/v1/agents/preview", &json!({ "system_prompt": "x", "harness_id": "old" })).await);
    assert_eq!(found, [("archived".to_owned(), json!("/harness_id"))]);
}

#[tokio::test]
async fn a_key_that_reads_may_preview() {
    let server = Server::start().await;
    let api = server.api_with_key("read", None).await;
    api.post("/v1/harnesses/preview", &json!({})).await.expect(200);
    api.post("/v1/agents/preview", &json!({ "system_prompt": "x" })).await.expect(200);
    api.post("/v1/harnesses", &json!({ "name": "new" })).await.expect(403);
}
