//! Calls that wait for a person: approvals, and questions to the user.

use serde_json::{Value, json};

use crate::support::{Api, Server, guest};

/// Has the model say what the text asks for; returns the calls that the session waits for then.
async fn waiting(api: &Api, session: &str, text: &str) -> Vec<Value> {
    let mut stream = api.stream(session, "").await;
    api.say(session, text).await;
    let frames = stream.until("tool.call_requested").await;
    assert_eq!(api.get(&format!("/v1/sessions/{session}")).await.expect(200)["status"], "waiting_for_tool_results");
    frames.last().expect("a frame").data["data"]["tool_calls"].as_array().expect("a list").clone()
}

/// A session whose agent has the calculator, and is asked about every addition.
async fn adding(api: &Api) -> String {
    let gate = json!({ "ref": "tool_approval", "config": { "mode": "off", "ask": ["add"] } });
    api.session_with(&json!({ "capabilities": [{ "ref": "test_math" }, gate] })).await
}

async fn decide(api: &Api, session: &str, decisions: Value) -> crate::support::Answer {
    api.post(&format!("/v1/sessions/{session}/tool-approvals"), &json!({ "decisions": decisions })).await
}

/// The events of a session once it has been idle so many times.
async fn ended(api: &Api, session: &str, turns: usize) -> Vec<Value> {
    let mut stream = api.stream(session, "?after_sequence=0&types=session.idled").await;
    for _ in 0..turns {
        stream.until("session.idled").await;
    }
    api.events(session).await
}

fn of_type<'a>(events: &'a [Value], name: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["type"] == name).map(|event| &event["data"]).collect()
}

#[tokio::test]
async fn an_allowed_call_runs_as_it_was_requested_without_another_model_call() {
    let server = Server::start().await;
    let api = server.api();
    let session = adding(&api).await;
    let calls = waiting(&api, &session, "/call add {\"a\": 2, \"b\": 40}\n/call subtract {\"a\": 2, \"b\": 1}").await;
    assert_eq!(calls.len(), 1, "only the addition needs an approval: {calls:?}");
    let call = &calls[0];
    assert_eq!((&call["kind"], &call["name"], &call["capability_id"]), (&json!("approval"), &json!("add"), &json!("test_math")));
    assert_eq!(call["arguments"], json!({ "a": 2, "b": 40 }));
    let before = api.events(&session).await;
    assert_eq!(of_type(&before, "tool.completed").len(), 1, "the subtraction is done: {before:#?}");

    let answer = decide(&api, &session, json!([{ "tool_call_id": call["id"], "decision": "allow" }])).await.expect(200);
    assert_eq!(answer, json!({ "resolved": [{ "tool_call_id": call["id"], "outcome": "allow" }], "status": "active" }));
    let events = ended(&api, &session, 1).await;
    let names: Vec<&Value> = events[before.len()..].iter().map(|event| &event["type"]).collect();
    assert_eq!(names[..4], ["tool.approval_decided", "session.activated", "act.started", "tool.started"]);
    let started = of_type(&events[before.len()..], "tool.started");
    assert_eq!((&started[0]["tool_call"]["id"], &started[0]["tool_call"]["arguments"]), (&call["id"], &call["arguments"]));
    let result = of_type(&events, "tool.completed")[1];
    assert_eq!((&result["tool_call_id"], &result["success"]), (&call["id"], &json!(true)));
    assert_eq!(of_type(&events, "llm.generation").len(), 2, "one before, and one with the results");
    assert_eq!(
        decide(&api, &session, json!([{ "tool_call_id": call["id"], "decision": "allow" }])).await.expect(409)["code"],
        "not_waiting"
    );
}

#[tokio::test]
async fn a_refused_call_is_settled_with_the_reason_and_never_runs() {
    let server = Server::start().await;
    let api = server.api();
    let session = adding(&api).await;
    let calls = waiting(&api, &session, "/call add {\"a\": 1, \"b\": 1}\n/call add {\"a\": 2, \"b\": 2}").await;
    assert_eq!(calls.len(), 2);
    let part = decide(&api, &session, json!([{ "tool_call_id": calls[0]["id"], "decision": "reject", "reason": "too easy" }])).await;
    assert_eq!(part.expect(200)["status"], "waiting_for_tool_results", "the other one is still open");
    let rest = decide(&api, &session, json!([{ "tool_call_id": calls[1]["id"], "decision": "allow" }])).await;
    assert_eq!(rest.expect(200)["status"], "active");
    let events = ended(&api, &session, 1).await;
    let results = of_type(&events, "tool.completed");
    let refused = results.iter().find(|result| result["tool_call_id"] == calls[0]["id"]).expect("it is settled");
    assert_eq!((&refused["error_kind"], &refused["capability_id"]), (&json!("rejected"), &json!("test_math")));
    assert!(refused["error"].as_str().is_some_and(|error| error.contains("too easy") && error.contains("not called")), "{refused}");
    let started: Vec<&Value> = of_type(&events, "tool.started").iter().map(|started| &started["tool_call"]["id"]).collect();
    assert_eq!(started, [&calls[1]["id"]]);
}

#[tokio::test]
async fn a_lasting_decision_holds_for_the_tool_in_this_session_also_after_a_restart() {
    let server = Server::start().await;
    let api = server.api();
    let (allowing, refusing) = (adding(&api).await, adding(&api).await);
    for (session, decision) in [(&allowing, "allow_always"), (&refusing, "reject_always")] {
        let calls = waiting(&api, session, "/call add {\"a\": 1, \"b\": 1}\n/call add {\"a\": 3, \"b\": 3}").await;
        let answer = decide(&api, session, json!([{ "tool_call_id": calls[0]["id"], "decision": decision }])).await.expect(200);
        assert_eq!(answer["status"], "active", "the other call of the tool is decided with it");
        ended(&api, session, 1).await;
    }
    let server = server.kill_and_restart().await;
    let api = server.api();
    for (session, success) in [(&allowing, true), (&refusing, false)] {
        api.say(session, "/call add {\"a\": 5, \"b\": 5}").await;
        let events = ended(&api, session, 2).await;
        assert_eq!(of_type(&events, "tool.call_requested").len(), 1, "nobody is asked again");
        let results = of_type(&events, "tool.completed");
        assert_eq!(results.len(), 3);
        assert!(results[1..].iter().all(|result| result["success"] == json!(success)), "{results:#?}");
    }
    let other = adding(&api).await;
    assert_eq!(waiting(&api, &other, "/call add {\"a\": 1, \"b\": 1}").await.len(), 1, "other sessions are asked");
}

#[tokio::test]
async fn decisions_that_nobody_waits_for_are_refused() {
    let server = Server::start().await;
    let api = server.api();
    let session = adding(&api).await;
    let decision = |id: &Value, what: &str| json!({ "tool_call_id": id, "decision": what });
    let nothing = decide(&api, &session, json!([decision(&json!("call_x"), "allow")])).await;
    assert_eq!(nothing.expect(409)["code"], "not_waiting");
    let calls = waiting(&api, &session, "/call add {\"a\": 1, \"b\": 1}").await;
    let id = &calls[0]["id"];
    for (wrong, code) in [
        (json!([]), "wrong_count"),
        (json!([decision(&json!("call_x"), "allow")]), "unknown_tool_call"),
        (json!([decision(id, "allow"), decision(id, "reject")]), "unknown_tool_call"),
        (json!([{ "tool_call_id": id, "decision": "reject", "reason": "x".repeat((4 << 10) + 1) }]), "too_long"),
    ] {
        let refused = decide(&api, &session, wrong.clone()).await.expect(422);
        assert_eq!(refused["errors"][0]["code"], code, "{wrong}: {refused}");
    }
    assert_eq!(decide(&api, &session, json!([decision(id, "maybe")])).await.status, 422);
    // A result is no approval: the call is executed by the platform or not at all.
    let result = json!({ "tool_results": [{ "tool_call_id": id, "result": 2 }] });
    let forged = api.post(&format!("/v1/sessions/{session}/tool-results"), &result).await;
    assert_eq!(forged.expect(409)["code"], "not_waiting");
    assert_eq!(of_type(&api.events(&session).await, "tool.approval_decided").len(), 0, "nothing of it is stored");
    let bad = json!({ "capabilities": [{ "ref": "tool_approval", "config": { "mode": "sometimes" } }] });
    assert_eq!(api.post("/v1/sessions", &bad).await.status, 422);
}

/// A tool of a component that removes things is asked about by what it says of itself; the call
/// waits across a kill and runs once.
#[tokio::test]
async fn a_call_of_a_component_waits_across_a_kill_and_runs_once() {
    let server = Server::start().await;
    let api = server.api();
    let uploaded = api.upload("?activate=false", guest("counter")).await.expect(201);
    let path = uploaded["activate"]["path"].as_str().expect("the answer has the call");
    api.post(path, &json!({ "grant": { "kv": ["counter"] } })).await.expect(200);
    let session = api.session_with(&json!({ "capabilities": [{ "ref": "counter" }, { "ref": "tool_approval" }] })).await;
    let script = "/call counter__get {\"key\": \"a\"}\n/call counter__put {\"key\": \"a\", \"value\": \"1\"}";
    let calls = waiting(&api, &session, script).await;
    assert_eq!(calls.iter().map(|call| &call["name"]).collect::<Vec<_>>(), ["counter__put"]);
    let server = server.kill_and_restart().await;
    let api = server.api();
    assert_eq!(api.get(&format!("/v1/sessions/{session}")).await.expect(200)["status"], "waiting_for_tool_results");
    let mut stream = api.stream(&session, "").await;
    decide(&api, &session, json!([{ "tool_call_id": calls[0]["id"], "decision": "allow" }])).await.expect(200);
    stream.until("tool.approval_decided").await;
    let server = server.kill_and_restart().await;
    let events = ended(&server.api(), &session, 1).await;
    for (name, count) in [("tool.call_requested", 1), ("tool.approval_decided", 1), ("tool.completed", 2), ("turn.completed", 1)] {
        assert_eq!(of_type(&events, name).len(), count, "{name}: {events:#?}");
    }
    let put = of_type(&events, "tool.completed").into_iter().find(|result| result["tool_name"] == "counter__put").expect("it is settled");
    assert!(put["success"] == json!(true) || put["status"] == json!("interrupted"), "{put}");
}

#[tokio::test]
async fn a_question_waits_for_its_answer() {
    let server = Server::start().await;
    let session = server.api().session_with(&json!({ "capabilities": [{ "ref": "ask_user" }] })).await;
    let question = json!({ "questions": [{
        "header": "Colour", "question": "Which one?",
        "options": [{ "label": "Red", "description": "Warm" }, { "label": "Blue", "description": "Cold", "default": true }],
    }] });
    let calls = waiting(&server.api(), &session, &format!("/call ask_user {question}")).await;
    assert_eq!((&calls[0]["kind"], &calls[0]["arguments"]), (&json!("question"), &question));
    let server = server.kill_and_restart().await;
    let api = server.api();
    let wrong = json!({ "status": "answered", "answers": [{ "id": "question_1", "selected": ["Green"] }, { "id": "size", "text": "L" }] });
    let wrong = json!({ "tool_results": [{ "tool_call_id": calls[0]["id"], "result": wrong }] });
    let refused = api.post(&format!("/v1/sessions/{session}/tool-results"), &wrong).await.expect(422);
    let named: Vec<(&str, &str)> = ["/tool_results/0/result/answers/0/selected/0", "/tool_results/0/result/answers/1/id"]
        .map(|pointer| ("invalid_answer", pointer))
        .to_vec();
    let errors = refused["errors"].as_array().expect("findings").iter();
    assert_eq!(
        errors.map(|error| (error["code"].as_str().unwrap_or_default(), error["pointer"].as_str().unwrap_or_default())).collect::<Vec<_>>(),
        named
    );
    let result = json!({ "status": "answered", "answers": [{ "id": "question_1", "selected": ["Blue"] }] });
    let body = json!({ "tool_results": [{ "tool_call_id": calls[0]["id"], "result": result }] });
    assert_eq!(api.post(&format!("/v1/sessions/{session}/tool-results"), &body).await.expect(200)["status"], "active");
    let events = ended(&api, &session, 1).await;
    let settled = of_type(&events, "tool.completed");
    assert_eq!((&settled[0]["structured"], &settled[0]["capability_id"]), (&result, &json!("ask_user")));
    assert_eq!(of_type(&events, "turn.completed")[0]["reason"], "answered");
}

#[tokio::test]
async fn a_message_instead_of_an_answer_ends_the_turn_and_gets_one_of_its_own() {
    let server = Server::start().await;
    let api = server.api();
    let session = api.session_with(&json!({ "capabilities": [{ "ref": "ask_user" }] })).await;
    let question = json!({ "questions": [{ "header": "Name", "question": "Who?", "kind": "text" }] });
    waiting(&api, &session, &format!("/call ask_user {question}")).await;
    api.say(&session, "Ada").await;
    let events = ended(&api, &session, 2).await;
    let reasons: Vec<&Value> = of_type(&events, "turn.completed").iter().map(|completed| &completed["reason"]).collect();
    assert_eq!(reasons, ["superseded", "answered"]);
    assert_eq!(of_type(&events, "tool.completed")[0]["error_kind"], "superseded");
}

#[tokio::test]
async fn questions_that_nobody_could_answer_are_not_asked() {
    let server = Server::start().await;
    let api = server.api();
    let option = |label: &str| json!({ "label": label, "description": "x", "default": true });
    for (wrong, problem) in [
        (json!([{ "header": "A", "question": "?" }]), "2 to 6 options"),
        (json!([{ "header": "A", "question": "?", "kind": "text", "options": [option("a"), option("b")] }]), "has no options"),
        (json!([{ "header": "A", "question": "?", "options": [option("a"), option("b")] }]), "default"),
        (json!([{ "header": "A", "question": "?", "multi_select": true, "options": [option("a"), option("a")] }]), "same label"),
        (
            json!([{ "header": "A", "question": "?", "kind": "text", "id": "x" }, { "header": "B", "question": "?", "kind": "text", "id": "x" }]),
            "another question",
        ),
        (json!([{ "header": "much longer than it may be", "question": "?", "kind": "text" }]), "longer than 16"),
    ] {
        let session = api.session_with(&json!({ "capabilities": [{ "ref": "ask_user" }] })).await;
        api.say(&session, &format!("/call ask_user {}", json!({ "questions": wrong }))).await;
        let events = ended(&api, &session, 1).await;
        assert_eq!(of_type(&events, "tool.call_requested").len(), 0, "{wrong}");
        let settled = of_type(&events, "tool.completed");
        let error = settled[0]["error"].as_str().unwrap_or_default();
        assert!(settled[0]["error_kind"] == "invalid-arguments" && error.contains(problem), "{problem:?} is not in {error:?}");
    }
}
