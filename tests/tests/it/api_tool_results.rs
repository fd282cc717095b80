//! Client-side tools: the turn waits, the client executes, the turn goes on.

use serde_json::{Value, json};

use crate::support::{Api, Server};

fn tool(name: &str) -> Value {
    let parameters = json!({ "type": "object", "properties": { "n": { "type": "integer" } } });
    json!({ "type": "client_side", "name": name, "description": "Asks the client.", "parameters": parameters })
}

/// Has the model call the tools; returns the ids of the calls that the session waits for then.
async fn waiting(api: &Api, session: &str, calls: &str) -> Vec<String> {
    let mut stream = api.stream(session, "").await;
    api.say(session, calls).await;
    let frames = stream.until("tool.call_requested").await;
    let requested = frames.last().expect("a frame").data["data"]["tool_calls"].clone();
    let requested = requested.as_array().expect("a list");
    assert!(requested.iter().all(|call| call["kind"] == "client_side"), "{requested:?}");
    assert_eq!(api.get(&format!("/v1/sessions/{session}")).await.expect(200)["status"], "waiting_for_tool_results");
    requested.iter().map(|call| call["id"].as_str().expect("an id").to_owned()).collect()
}

fn path(session: &str) -> String {
    format!("/v1/sessions/{session}/tool-results")
}

async fn ended(api: &Api, session: &str) -> Vec<Value> {
    api.stream(session, "?after_sequence=0").await.until("session.idled").await;
    api.events(session).await
}

fn settled(events: &[Value]) -> Vec<&Value> {
    events.iter().filter(|event| event["type"] == "tool.completed").map(|event| &event["data"]).collect()
}

#[tokio::test]
async fn a_turn_waits_for_its_client_and_goes_on_with_the_results() {
    let server = Server::start().await;
    let api = server.api();
    let agent = json!({ "name": "a", "system_prompt": "x", "tools": [tool("read_clipboard")] });
    assert_eq!(api.post("/v1/agents", &agent).await.expect(201)["tools"], agent["tools"]);
    let session = api.session_with(&json!({ "agent": "a", "tools": [tool("open_tab")] })).await;
    let ids = waiting(&api, &session, "/call read_clipboard {\"n\": 1}\n/call open_tab {}").await;
    assert_eq!(ids.len(), 2);

    let part = json!({ "tool_results": [{ "tool_call_id": ids[1], "result": { "tab": 7 } }] });
    let answer = api.post(&path(&session), &part).await.expect(200);
    assert_eq!(answer, json!({ "accepted": 1, "status": "waiting_for_tool_results" }));
    let again = api.post(&path(&session), &part).await.expect(422);
    assert_eq!(again["errors"][0]["pointer"], "/tool_results/0/tool_call_id", "a settled call is not waited for: {again}");
    let rest = json!({ "tool_results": [{ "tool_call_id": ids[0], "error": "the clipboard is empty" }] });
    let answer = api.post(&path(&session), &rest).await.expect(200);
    assert_eq!(answer, json!({ "accepted": 1, "status": "active" }));

    let events = ended(&api, &session).await;
    let results = settled(&events);
    assert_eq!((&results[0]["result"][0]["text"], &results[0]["structured"]), (&json!("{\"tab\":7}"), &json!({ "tab": 7 })));
    assert_eq!((&results[1]["error"], &results[1]["error_kind"]), (&json!("the clipboard is empty"), &json!("client")));
    assert_eq!(results.len(), 2);
    assert_eq!(events.iter().filter(|event| event["type"] == "output.message.completed").count(), 2);
    assert_eq!(api.get(&format!("/v1/sessions/{session}")).await.expect(200)["status"], "idle");
}

#[tokio::test]
async fn results_that_nobody_waits_for_are_refused() {
    let server = Server::start().await;
    let api = server.api();
    let session = api.session_with(&json!({ "tools": [tool("open_tab")] })).await;
    let one = |id: &str| json!({ "tool_results": [{ "tool_call_id": id, "result": "x" }] });
    assert_eq!(api.post(&path(&session), &one("call_x")).await.expect(409)["code"], "not_waiting");
    let id = waiting(&api, &session, "/call open_tab {}").await.remove(0);

    let entry = json!({ "tool_call_id": id, "result": "x" });
    let mixed = api.post(&path(&session), &json!({ "tool_results": [entry, { "tool_call_id": "call_x", "result": 1 }] })).await;
    let mixed = mixed.expect(422);
    let finding = &mixed["errors"][0];
    assert_eq!((&finding["code"], &finding["pointer"]), (&json!("unknown_tool_call"), &json!("/tool_results/1/tool_call_id")));
    assert!(finding["fix"].as_str().is_some_and(|fix| fix.contains(&id)), "{finding}");
    for (wrong, code) in [
        (json!([entry, entry]), "unknown_tool_call"),
        (json!([]), "wrong_count"),
        (json!([{ "tool_call_id": id }]), "exclusive"),
        (json!([{ "tool_call_id": id, "result": 1, "error": "x" }]), "exclusive"),
        (json!([{ "tool_call_id": id, "result": "x".repeat((64 << 10) + 1) }]), "too_long"),
    ] {
        let refused = api.post(&path(&session), &json!({ "tool_results": wrong })).await.expect(422);
        assert_eq!(refused["errors"][0]["code"], code, "{refused}");
    }
    assert_eq!(settled(&api.events(&session).await), Vec::<&Value>::new(), "nothing of a refused body is stored");
    api.post(&path(&session), &one(&id)).await.expect(200);
    ended(&api, &session).await;
    assert_eq!(api.post(&path(&session), &one(&id)).await.status, 409);
}

#[tokio::test]
async fn a_message_instead_of_results_ends_the_turn() {
    let server = Server::start().await;
    let api = server.api();
    let session = api.session_with(&json!({ "tools": [tool("open_tab")] })).await;
    waiting(&api, &session, "/call open_tab {}").await;
    api.say(&session, "never mind").await;
    let mut stream = api.stream(&session, "?after_sequence=0&types=session.idled").await;
    stream.until("session.idled").await;
    stream.until("session.idled").await;
    let events = api.events(&session).await;
    let reasons: Vec<&Value> =
        events.iter().filter(|event| event["type"] == "turn.completed").map(|event| &event["data"]["reason"]).collect();
    assert_eq!(reasons, ["superseded", "answered"]);
    assert_eq!(settled(&events)[0]["error_kind"], "superseded");
}

#[tokio::test]
async fn a_turn_that_waits_survives_a_kill() {
    let server = Server::start().await;
    let session = server.api().session_with(&json!({ "tools": [tool("open_tab")] })).await;
    let id = waiting(&server.api(), &session, "/call open_tab {}").await.remove(0);
    let server = server.kill_and_restart().await;
    let api = server.api();
    assert_eq!(api.get(&format!("/v1/sessions/{session}")).await.expect(200)["status"], "waiting_for_tool_results");
    let results = json!({ "tool_results": [{ "tool_call_id": id, "result": "done" }] });
    api.post(&path(&session), &results).await.expect(200);
    let events = ended(&api, &session).await;
    for (name, count) in [("tool.call_requested", 1), ("tool.completed", 1), ("turn.completed", 1), ("output.message.completed", 2)] {
        assert_eq!(events.iter().filter(|event| event["type"] == name).count(), count, "{name}: {events:#?}");
    }
    assert!(settled(&events)[0]["success"].as_bool().unwrap_or_default());
}

#[tokio::test]
async fn tools_that_no_client_could_execute_are_refused() {
    let server = Server::start().await;
    let api = server.api();
    let with = |name: &str, parameters: Value| json!({ "type": "client_side", "name": name, "description": "x", "parameters": parameters });
    let object = json!({ "type": "object" });
    let bad = json!([with("a b", object.clone()), with("b", json!({ "type": "string" })), with("c", object.clone()), with("c", object)]);
    let refused = api.post("/v1/sessions", &json!({ "tools": bad })).await.expect(422);
    let errors = refused["errors"].as_array().expect("a list").iter();
    let pointers: Vec<&str> = errors.filter_map(|finding| finding["pointer"].as_str()).collect();
    assert_eq!(pointers, ["/tools/0/name", "/tools/1/parameters", "/tools/3/name"]);
    let session = api.session().await;
    let changed = api.patch(&format!("/v1/sessions/{session}"), &json!({ "tools": [tool("open_tab")] })).await.expect(200);
    assert_eq!(changed["tools"], json!([tool("open_tab")]));
}
