//! Keys, scopes and tenants: who may do what, and what others cannot even see.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Api, Server, guest, send};

/// All operations of the document that need a scope, with their paths.
async fn operations(api: &Api) -> Vec<(Method, String, String)> {
    let document = api.get("/openapi.json").await.expect(200);
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("an item") {
            let Some(scope) = operation["security"][0]["bearer"][0].as_str() else { continue };
            let method = method.to_uppercase().parse().expect("a method");
            operations.push((method, path.clone(), scope.to_owned()));
        }
    }
    operations
}

fn filled(path: &str) -> String {
    let id = "01920000000070008000000000000001";
    path.replace("{session_id}", &format!("session_{id}"))
        .replace("{org}", &format!("org_{id}"))
        .replace("{harness}", &format!("harness_{id}"))
        .replace("{agent}", &format!("agent_{id}"))
        .replace("{provider}", &format!("provider_{id}"))
        .replace("{model}", &format!("model_{id}"))
        .replace("{component}", &format!("component_{id}"))
        .replace("{worker_id}", &format!("worker_{id}"))
        .replace("{capability_id}", "nothing")
        .replace("{version}", "1")
}

#[tokio::test]
async fn every_route_needs_a_key_of_its_scope() {
    let server = Server::start().await;
    let read = server.api_with_key("read", None).await;
    let write = server.api_with_key("write", None).await;
    let admin = server.api_with_key("admin", None).await;
    let operator = server.api_with_key("operator", None).await;
    let nobody = server.api();
    let operations = operations(&admin).await;
    assert!(operations.len() >= 25, "{operations:?}");
    for (method, path, scope) in operations {
        let path = filled(&path);
        let status = async |api: &Api| send(api.request(method.clone(), &path)).await.status;
        assert_eq!(status(&nobody).await, 401, "{method} {path}");
        let rank = ["read", "write", "admin", "operator"].iter().position(|name| *name == scope).expect("a scope");
        for (at, api) in [&read, &write, &admin, &operator].into_iter().enumerate() {
            let status = status(api).await;
            assert_eq!(status == 403, at < rank, "{method} {path} with rank {at} gave {status}");
            assert_ne!(status, 401, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn a_key_comes_bare_or_as_bearer_and_ends_with_its_revocation() {
    let server = Server::start().await;
    let api = server.api_with_key("read", None).await;
    let key = api.key().to_owned();
    for value in [key.clone(), format!("Bearer {key}"), format!("bearer {key}")] {
        api.with_authorization(&value).get("/v1/agents").await.expect(200);
    }
    for value in [format!("Basic {key}"), key[..key.len() - 1].to_owned(), format!("{key}A"), "ew_".to_owned(), String::new()] {
        let refused = api.with_authorization(&value).get("/v1/agents").await;
        assert_eq!((refused.status, refused.header("www-authenticate")), (401, "Bearer realm=\"everwit\""), "{value:?}");
    }
    let keys = async |args: &[&str]| {
        let mut command = crate::support::everwit();
        let output = command.args(["keys", "--json", "--data-dir"]).arg(server.data_dir()).args(args).output().await.expect("it runs");
        serde_json::from_slice::<Value>(&output.stdout).expect("it prints JSON")
    };
    let listed = keys(&["list"]).await;
    assert!(!listed.to_string().contains(&key), "the list shows no secret");
    let id = listed["data"][0]["id"].as_str().expect("a key has an id").to_owned();
    assert_eq!(keys(&["revoke", &id]).await["revoked"], id);
    // Another key, or the server would be open again.
    let other = server.api_with_key("read", None).await;
    assert_eq!(api.get("/v1/agents").await.status, 401);
    other.get("/v1/agents").await.expect(200);
}

#[tokio::test]
async fn a_server_without_keys_is_open_to_programs_of_this_machine_only() {
    let server = Server::start().await;
    let api = server.api();
    api.with_authorization("anything").get("/v1/agents").await.expect(200);
    for (name, value) in [("host", "rebound.example"), ("origin", "https://site.example")] {
        let answer = send(api.request(Method::GET, "/v1/agents").header(name, value)).await;
        assert_eq!((answer.status, &answer.json()["code"]), (403, &json!("foreign_origin")));
    }
    server.api_with_key("admin", None).await;
    assert_eq!(api.get("/v1/agents").await.status, 401);
}

#[tokio::test]
async fn a_key_never_reaches_the_log() {
    let server = Server::start().await;
    let api = server.api_with_key("admin", None).await;
    api.get("/v1/agents").await.expect(200);
    api.with_authorization("Bearer ew_canary").get("/v1/agents").await;
    let log = server.log();
    assert!(log.contains("answered"), "the log has the requests");
    assert!(!log.contains(api.key()) && !log.contains("ew_canary"));
}

/// A refusal without what names the request or the thing that was asked for.
fn anonymous(answer: &Answer, reference: &str) -> (u16, String) {
    (answer.status, answer.text().replace(answer.header("x-request-id"), "REQUEST").replace(reference, "REFERENCE"))
}

#[tokio::test]
async fn what_belongs_to_another_org_does_not_exist() {
    let server = Server::start().await;
    let own = server.api_with_key("admin", None).await;
    let other = server.api_with_key("admin", Some("other")).await;
    let harness = own.post("/v1/harnesses", &json!({ "name": "secret-harness" })).await.expect(201);
    let agent = own.post("/v1/agents", &json!({ "name": "secret-agent", "system_prompt": "" })).await.expect(201);
    let session = own.session().await;
    own.say(&session, "hello").await;
    let component = own.upload("", guest("minimal")).await.expect(201);
    let (harness, agent) = (id(&harness), id(&agent));
    let (component, name) = (id(&component["component"]), component["component"]["name"].as_str().expect("a name").to_owned());

    let cases = [
        ("/v1/harnesses/", vec![harness.as_str(), "secret-harness"], vec![(Method::GET, ""), (Method::PATCH, ""), (Method::DELETE, "")]),
        ("/v1/agents/", vec![agent.as_str(), "secret-agent"], vec![(Method::GET, ""), (Method::PATCH, ""), (Method::DELETE, "")]),
        (
            "/v1/sessions/",
            vec![session.as_str()],
            vec![
                (Method::GET, ""),
                (Method::PATCH, ""),
                (Method::GET, "/messages"),
                (Method::POST, "/messages"),
                (Method::GET, "/events"),
                (Method::GET, "/sse"),
                (Method::POST, "/cancel"),
                (Method::POST, "/tool-results"),
            ],
        ),
        (
            "/v1/components/",
            vec![component.as_str(), name.as_str()],
            vec![
                (Method::GET, ""),
                (Method::GET, "/versions"),
                (Method::GET, "/versions/1"),
                (Method::GET, "/versions/1/wasm"),
                (Method::POST, "/versions/1/activate"),
                (Method::POST, "/call"),
                (Method::DELETE, ""),
            ],
        ),
        ("/v1/capabilities/", vec![name.as_str()], vec![(Method::GET, "")]),
    ];
    for (prefix, references, requests) in cases {
        for reference in references {
            let absent = absent_like(reference);
            for (method, suffix) in &requests {
                let ask = async |reference: &str| {
                    let path = format!("{prefix}{reference}{suffix}");
                    anonymous(&send(other.request(method.clone(), &path).json(&body(suffix))).await, reference)
                };
                let (foreign, none) = (ask(reference).await, ask(&absent).await);
                assert_eq!(foreign, none, "{method} {prefix}{reference}{suffix}");
                assert_eq!(foreign.0, 404, "{method} {prefix}{reference}{suffix}: {}", foreign.1);
            }
        }
    }
    for list in ["agents", "sessions", "components"] {
        assert_eq!(other.get(&format!("/v1/{list}")).await.expect(200)["total"], 0, "{list}");
    }
    assert!(other.component_capabilities().await.is_empty());
    assert_eq!(other.get("/v1/harnesses").await.expect(200)["total"], 3, "the built-in ones");
    own.get(&format!("/v1/sessions/{session}")).await.expect(200);
}

#[tokio::test]
async fn a_reference_to_another_orgs_thing_is_a_reference_to_nothing() {
    let server = Server::start().await;
    let own = server.api_with_key("admin", None).await;
    let other = server.api_with_key("admin", Some("other")).await;
    let harness = id(&own.post("/v1/harnesses", &json!({ "name": "h" })).await.expect(201));
    let agent = id(&own.post("/v1/agents", &json!({ "name": "a", "system_prompt": "" })).await.expect(201));
    own.upload("", guest("minimal")).await.expect(201);
    let capability = own.component_capabilities().await.remove(0)["id"].clone();
    for (path, body) in [
        ("/v1/sessions", json!({ "harness_id": harness })),
        ("/v1/sessions", json!({ "agent_id": agent })),
        ("/v1/agents", json!({ "name": "b", "system_prompt": "", "harness_id": harness })),
        ("/v1/agents", json!({ "name": "b", "system_prompt": "", "capabilities": [{ "ref": capability }] })),
        ("/v1/harnesses", json!({ "name": "b", "parent_harness_id": harness })),
    ] {
        let refused = other.post(path, &body).await;
        assert_eq!(refused.status, 422, "{path} {body}: {}", refused.text());
    }
}

fn id(body: &Value) -> String {
    body["id"].as_str().expect("it has an id").to_owned()
}

/// An id or a name of the same form that nobody has.
fn absent_like(reference: &str) -> String {
    match reference.split_once('_') {
        Some((prefix, _)) => format!("{prefix}_01920000000070008000000000000009"),
        None => "nobody-has-this".to_owned(),
    }
}

fn body(suffix: &str) -> Value {
    match suffix {
        "/messages" => json!({ "message": { "content": [{ "type": "text", "text": "x" }] } }),
        "/tool-results" => json!({ "tool_results": [{ "tool_call_id": "call_x", "result": 1 }] }),
        "/call" => json!({ "tool": "x" }),
        _ => json!({}),
    }
}

#[tokio::test]
async fn pages_of_other_sites_get_no_permission() {
    let server = Server::start().await;
    let preflight = server.api().request(Method::OPTIONS, "/v1/agents").header("origin", "https://site.example");
    let answer = send(preflight.header("access-control-request-method", "POST")).await;
    assert!(answer.status >= 400 && answer.headers.keys().all(|name| !name.as_str().starts_with("access-control")), "{:?}", answer.headers);
}
