//! Two orgs on one server, over every route of the OpenAPI document: what is one's does not exist for
//! the other. The routes come from the document, so that a new one is tried without being named here.

use std::collections::BTreeMap;

use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};

use crate::support::{Answer, Api, Server, guest, send};

/// In every text of the first org, and in no answer to the second.
const MARKER: &str = "marker-5f1c";

/// What the first org has: path parameter → its own value, and one that nobody has.
struct Things(BTreeMap<&'static str, (String, String)>);

fn text(body: &Value, field: &str) -> String {
    body[field].as_str().unwrap_or_else(|| panic!("{body} has {field}")).to_owned()
}

fn absent(prefix: &str) -> String {
    format!("{prefix}_01920000000070008000000000000009")
}

impl Things {
    /// Makes one of everything.
    async fn of(api: &Api) -> Self {
        let named = |name: &str| format!("{name}-{MARKER}");
        let harness = api.post("/v1/harnesses", &json!({ "name": named("h"), "system_prompt": MARKER })).await.expect(201);
        let agent = api.post("/v1/agents", &json!({ "name": named("a"), "system_prompt": MARKER })).await.expect(201);
        let provider = json!({ "name": named("p"), "provider_type": "openai", "api_key": named("key") });
        let provider = api.post("/v1/providers", &provider).await.expect(201);
        let provider = text(&provider, "id");
        let model = api.post(&format!("/v1/providers/{provider}/models"), &json!({ "model_id": named("m") })).await.expect(201);
        let session = api.session_with(&json!({ "title": named("s"), "agent_id": agent["id"] })).await;
        let mut stream = api.stream(&session, "").await;
        api.say(&session, MARKER).await;
        let turn = stream.until("session.idled").await.pop().expect("a frame").data["data"]["turn_id"].clone();
        let file = format!("/v1/sessions/{session}/fs/{MARKER}.txt");
        api.post(&file, &json!({ "content": MARKER })).await.expect(201);
        let budget = json!({ "subject_type": "session", "subject_id": session, "currency": "tokens", "limit": 1_000_000 });
        let budget = api.post("/v1/budgets", &budget).await.expect(201);
        api.post("/v1/secrets", &json!({ "name": named("secret"), "value": MARKER })).await.expect(201);
        let component = api.upload("", guest("minimal")).await.expect(201);
        let member = json!({ "name": named("member"), "role": "member", "email": format!("{MARKER}@b.test") });
        let member = api.post("/v1/members", &member).await.expect(201);
        let key = json!({ "name": named("key"), "scope": "read", "member_id": member["id"] });
        let key = api.post("/v1/api-keys", &key).await.expect(201);
        let org = api.get("/v1/orgs/default").await.expect(200);
        Self(BTreeMap::from([
            ("harness", (text(&harness, "id"), absent("harness"))),
            ("agent", (text(&agent, "id"), absent("agent"))),
            ("provider", (provider, absent("provider"))),
            ("model", (text(&model, "id"), absent("model"))),
            ("session_id", (session, absent("session"))),
            ("turn_id", (turn.as_str().expect("an id").to_owned(), absent("turn"))),
            ("budget", (text(&budget, "id"), absent("budget"))),
            ("secret", (named("secret"), "nobodys-secret".to_owned())),
            // Not of an org: whatever it is, no org may know.
            ("worker_id", (absent("worker"), absent("worker"))),
            ("path", (format!("{MARKER}.txt"), "nobodys.txt".to_owned())),
            ("component", (text(&component["component"], "id"), absent("component"))),
            ("capability_id", (text(&component["component"], "name"), "nobodys-capability".to_owned())),
            ("member", (text(&member, "id"), absent("member"))),
            ("key_id", (text(&key, "id"), absent("key"))),
            ("org", (text(&org, "id"), absent("org"))),
            ("version", ("1".to_owned(), "1".to_owned())),
            ("channel", ("beta".to_owned(), "beta".to_owned())),
            ("from", ("1".to_owned(), "1".to_owned())),
            ("to", ("1".to_owned(), "1".to_owned())),
        ]))
    }

    /// A path with the first org's values in it, and one with values of nobody.
    fn paths(&self, path: &str) -> (String, String) {
        let (mut own, mut nobodys) = (String::new(), String::new());
        for (at, part) in path.split(['{', '}']).enumerate() {
            let (owned, absent) = match at % 2 {
                0 => (part.to_owned(), part.to_owned()),
                // Connection providers are the platform's; only whether somebody is connected is not.
                _ if path.starts_with("/v1/user/") => ("nobodys".to_owned(), "nobodys".to_owned()),
                _ => self.0.get(part).cloned().unwrap_or_else(|| panic!("{path}: say in `Things` what a {part} is")),
            };
            own.push_str(&owned);
            nobodys.push_str(&absent);
        }
        (own, nobodys)
    }

    /// An answer without what names the request, the moment, or the thing that was asked for.
    fn anonymous(&self, answer: &Answer) -> (u16, String) {
        let mut text = answer.text().replace(answer.header("x-request-id"), "REQUEST");
        for (own, nobodys) in self.0.values().filter(|(own, _)| own.len() > 1) {
            text = text.replace(own, "THING").replace(nobodys, "THING");
        }
        (answer.status, text)
    }

    fn assert_unknown_in(&self, place: &str, answer: &Answer, asked: &str) {
        let text = answer.text();
        let names = self
            .0
            .iter()
            .filter(|(kind, (own, _))| own.len() > 1 && !matches!(**kind, "org" | "capability_id") && !asked.contains(own.as_str()));
        let known: Vec<&str> = names.map(|(_, (own, _))| own.as_str()).filter(|own| text.contains(own)).collect();
        assert!(known.is_empty() && (asked.contains(MARKER) || !text.contains(MARKER)), "{place} tells of {known:?}: {text}");
    }
}

/// Every operation that needs a key, in the order in which they harm least: what reads before what
/// writes, and what deletes last.
async fn operations(api: &Api) -> Vec<(Method, String, Value)> {
    let document = api.get("/openapi.json").await.expect(200);
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("an item") {
            if operation["security"].is_array() {
                operations.push((method.to_uppercase().parse::<Method>().expect("a method"), path.clone(), operation.clone()));
            }
        }
    }
    let harm = |method: &Method| {
        if *method == Method::GET {
            0
        } else if *method == Method::DELETE {
            2
        } else {
            1
        }
    };
    operations.sort_by_key(|(method, ..)| harm(method));
    operations
}

/// A body that a route takes, as far as the route can be reached only with one.
fn body(path: &str) -> Value {
    match path.rsplit('/').next().unwrap_or_default() {
        "messages" => json!({ "message": { "content": [{ "type": "text", "text": "x" }] } }),
        "tool-results" => json!({ "tool_results": [{ "tool_call_id": "call_x", "result": 1 }] }),
        "tool-approvals" => json!({ "decisions": [{ "tool_call_id": "call_x", "decision": "allow" }] }),
        "call" => json!({ "tool": "x" }),
        "top-up" => json!({ "amount": 1 }),
        "{secret}" => json!({ "value": "x" }),
        "models" => json!({ "model_id": "x" }),
        "secrets" => json!({ "secrets": { "X": "y" } }),
        "stat" => json!({ "path": format!("/{MARKER}.txt") }),
        "grep" => json!({ "pattern": "." }),
        "copy" | "move" => json!({ "src_path": format!("/{MARKER}.txt"), "dst_path": "/other.txt" }),
        "{path}" => json!({ "content": "x" }),
        _ => json!({}),
    }
}

async fn ask(api: &Api, method: &Method, path: &str, operation: &Value, route: &str) -> Answer {
    let request = api.request(method.clone(), path);
    if operation["requestBody"]["content"]["application/wasm"].is_object() {
        return send(request.header(CONTENT_TYPE, "application/wasm").body(b"not wasm".to_vec())).await;
    }
    if operation["requestBody"].is_object() { send(request.json(&body(route))).await } else { send(request).await }
}

#[tokio::test]
async fn nothing_of_one_org_is_visible_to_another_on_any_route() {
    let server = Server::start().await;
    let own = server.api_with_key("admin", None).await;
    let other = server.api_with_key("admin", Some("other")).await;
    let things = Things::of(&own).await;
    let operations = operations(&other).await;
    assert!(operations.len() > 60, "{} operations", operations.len());
    let readable: Vec<String> = operations
        .iter()
        .filter(|(method, path, _)| {
            *method == Method::GET && path.contains('{') && !path.ends_with("/sse") && !path.starts_with("/v1/user/")
        })
        .map(|(_, path, _)| things.paths(path).0)
        .collect();
    let mut before = Vec::new();
    for path in &readable {
        before.push(own.get(path).await.text());
    }
    for (method, route, operation) in &operations {
        let place = format!("{method} {route}");
        let (path, absent) = things.paths(route);
        let foreign = ask(&other, method, &path, operation, route).await;
        things.assert_unknown_in(&place, &foreign, &path);
        if operation["security"][0]["bearer"][0] == "operator" {
            for admin in [&own, &other] {
                let refused = ask(admin, method, &path, operation, route).await;
                assert_eq!(refused.expect(403)["code"], "insufficient_scope", "{place}: no admin of an org is an operator");
            }
            continue;
        }
        if !route.contains('{') || route.starts_with("/v1/user/") {
            continue;
        }
        let nobodys = ask(&other, method, &absent, operation, route).await;
        assert_eq!(things.anonymous(&foreign), things.anonymous(&nobodys), "{place}");
        assert_eq!(foreign.status, 404, "{place}: {}", foreign.text());
    }
    for (path, before) in readable.iter().zip(before) {
        assert_eq!(own.get(path).await.text(), before, "{path} is what it was");
    }
}
