//! The turn that is interrupted after each of its events, for every engine and database: a model that has no time at
//! first, parallel tools, a component's tool, an approval, a client's tool and one whose client never answers; and what of it
//! must be as if nothing had happened.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::{Api, EventStream};

/// What the model says.
pub(crate) fn script() -> Value {
    let call = |name: &str| json!({ "name": name, "arguments": {} });
    let parallel = [call("charge"), call("balance"), json!({ "name": "echo__echo", "arguments": { "value": 1 } })];
    json!({
        "response": { "scripted": { "turns": [
            { "tool_calls": parallel },
            { "tool_calls": [call("get_current_time"), call("open_tab")] },
            { "tool_calls": [call("wait_in_vain")] },
            { "assistant": "All of it is done now." },
        ] } },
        "response_delay_ms": 5,
    })
}

/// What makes a session that has all the tools; `echo` is uploaded before.
pub(crate) fn session() -> Value {
    let parameters = json!({ "type": "object", "properties": {} });
    let tab = json!({ "type": "client_side", "name": "open_tab", "description": "Opens one.", "parameters": parameters });
    let gate = json!({ "ref": "tool_approval", "config": { "mode": "off", "ask": ["get_current_time"] } });
    let mut vain = tab.clone();
    (vain["name"], vain["timeout_seconds"]) = (json!("wait_in_vain"), json!(1));
    json!({ "capabilities": [{ "ref": "ledger" }, { "ref": "echo" }, { "ref": "current_time" }, gate], "tools": [tab, vain] })
}

/// What comes back, unless the server dies meanwhile.
pub(crate) async fn attempt(request: RequestBuilder) -> Option<Value> {
    let response = request.send().await.ok()?;
    response.status().is_success().then_some(())?;
    response.json().await.ok()
}

/// Answers what the session waits for, as the person at the other end. True at the end of the turn, false at that of the
/// stream.
pub(crate) async fn follow(api: &Api, session: &str, mut stream: EventStream) -> bool {
    while let Some(frame) = stream.next().await {
        match frame.event.as_str() {
            "tool.call_requested" => {
                for call in frame.data["data"]["tool_calls"].as_array().expect("a list") {
                    // An answer to what is settled already is refused, and changes nothing.
                    let (path, body) = match call["kind"].as_str() {
                        Some("approval") => {
                            ("tool-approvals", json!({ "decisions": [{ "tool_call_id": call["id"], "decision": "allow" }] }))
                        }
                        // The engine's timer settles it.
                        _ if call["name"] == "wait_in_vain" => continue,
                        _ => ("tool-results", json!({ "tool_results": [{ "tool_call_id": call["id"], "result": "opened" }] })),
                    };
                    attempt(api.request(Method::POST, &format!("/v1/sessions/{session}/{path}")).json(&body)).await;
                }
            }
            "session.idled" => return true,
            _ => {}
        }
    }
    false
}

/// The log in what must not depend on ids, times and deaths: types, and what was said and done.
/// That a turn was taken up again is recorded by events of their own, which are left out.
pub(crate) fn essence(events: &[Value]) -> Vec<String> {
    let told = |event: &Value| {
        let data = &event["data"];
        let text = data["message"]["content"].as_array().map(|parts| parts.iter().map(|part| part["text"].clone()).collect::<Vec<_>>());
        let tool = [&data["tool_name"], &data["tool_call"]["name"]];
        format!("{} {text:?} {tool:?}", event["type"].as_str().unwrap_or_default())
    };
    let of_recovery = |event: &&Value| ["session.activated", "reason.recovered"].iter().any(|name| event["type"] == *name);
    events.iter().filter(|event| !of_recovery(event)).map(told).collect()
}

/// The model had no time at first, and was asked again after the rest that it wanted.
pub(crate) fn assert_rested(events: &[Value]) {
    let tries: Vec<&Value> = events.iter().filter(|event| event["type"] == "llm.generation").map(|event| &event["data"]["retry"]).collect();
    assert!(tries[0].is_object() && tries[1..].iter().all(|tries| tries.is_null()), "{tries:?}");
}

/// The log is that of the uninterrupted turn, in what must not depend on deaths.
pub(crate) fn assert_whole(events: &[Value], expected: &[String], at: &str) {
    for (event, sequence) in events.iter().zip(1..) {
        assert_eq!(event["sequence"], sequence, "{at}: sequences have no gap");
    }
    // A charge that was under way at a death has an unknown outcome, and says so.
    let uncertain = |line: &&String| line.contains("tool.completed") && line.contains("\"charge\"");
    let of = |lines: &[String]| lines.iter().filter(|line| !uncertain(line)).cloned().collect::<Vec<_>>();
    assert_eq!(of(&essence(events)), of(expected), "{at}");
}
