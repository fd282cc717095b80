//! What the schema of a capability's configuration marks as a secret is taken in and used, and never
//! comes back: not from the resources that list the capability, nor from anything else.

use everwit_runtime::PlatformDefinition;
use everwit_server::oss_platform_definition;
use reqwest::Method;
use serde_json::{Value, json};

use crate::api_secrets::{id, readable};
use crate::support::embedded::{Home, client};
use crate::support::{Answer, Api, send};
use crate::turns::secrets::{Log, PLANTED_CONFIG, Vault, assert_clean};

const HIDDEN: &str = "[redacted]";

fn platform() -> PlatformDefinition {
    let mut platform = oss_platform_definition();
    platform.capability_registry_mut().register(Vault::new());
    platform
}

fn vault(config: Value) -> Value {
    json!([{ "ref": "vault", "config": config }])
}

/// The body of an answer that must not show the secret.
fn clean(what: &str, answer: Answer, status: u16) -> Value {
    assert_clean(what, &answer.text());
    answer.expect(status)
}

/// The configuration of the vault that an answer shows.
fn config(answer: &Value) -> &Value {
    &answer["capabilities"][0]["config"]
}

/// What the vault's tool says in a new turn of a session.
async fn opened(api: &Api, session: &str) -> String {
    let mut stream = api.stream(session, "").await;
    api.say(session, "/call open_vault {}").await;
    let frames = stream.until("session.idled").await;
    assert_clean("the stream", &format!("{frames:?}"));
    let completed = frames.iter().find(|frame| frame.event == "tool.completed").expect("the tool is called");
    completed.data["data"]["result"][0]["text"].as_str().expect("it says something").to_owned()
}

#[tokio::test]
async fn a_secret_of_a_configuration_is_used_and_in_no_answer_stream_or_log() {
    let log = Log::default();
    let _guard = log.listen();
    let home = Home::new();
    let server = home.start(&platform()).await;
    let api = client(&server);
    let own = |rest: Value| {
        let mut body = json!({ "capabilities": vault(json!({ "key": PLANTED_CONFIG, "size": 7 })) });
        body.as_object_mut().expect("an object").extend(rest.as_object().expect("an object").clone());
        body
    };
    let harness = id(&clean("a harness", api.post("/v1/harnesses", &own(json!({ "name": "h" }))).await, 201));
    let agent = own(json!({ "name": "a", "system_prompt": "", "harness_id": harness }));
    let agent = id(&clean("an agent", api.post("/v1/agents", &agent).await, 201));
    let session = id(&clean("a session", api.post("/v1/sessions", &own(json!({ "agent_id": agent }))).await, 201));
    assert_eq!(opened(&api, &session).await, "opened");

    // Every way of changing a resource answers with it.
    for (path, change) in
        [("harnesses", json!({ "description": "d" })), ("agents", json!({ "description": "d" })), ("sessions", json!({ "title": "t" }))]
    {
        let path = format!(
            "/v1/{path}/{}",
            if path == "harnesses" {
                &harness
            } else if path == "agents" {
                &agent
            } else {
                &session
            }
        );
        let shown = clean(&path, api.patch(&path, &change).await, 200);
        assert_eq!(config(&shown), &json!({ "key": HIDDEN, "size": 7 }));
        // What was shown can be sent back, changed.
        let sent = json!({ "capabilities": vault(json!({ "key": HIDDEN, "size": 8 })) });
        let shown = clean(&path, api.patch(&path, &sent).await, 200);
        assert_eq!(config(&shown), &json!({ "key": HIDDEN, "size": 8 }));
    }
    let again = json!({ "name": "a", "system_prompt": "New.", "harness_id": harness, "capabilities": vault(json!({ "key": HIDDEN })) });
    clean("a replaced agent", api.post("/v1/agents", &again).await, 200);
    assert_eq!(opened(&api, &session).await, "opened", "the session's own key is kept");
    let on_agent = api.session_with(&json!({ "agent_id": agent })).await;
    assert_eq!(opened(&api, &on_agent).await, "opened", "so is the agent's");

    let preview = json!({ "system_prompt": "x", "harness_id": harness, "capabilities": vault(json!({ "key": PLANTED_CONFIG })) });
    clean("a preview", api.post("/v1/agents/preview", &preview).await, 200);
    let wrong = vault(json!({ "key": PLANTED_CONFIG, "size": "7" }));
    clean("a refusal", api.patch(&format!("/v1/agents/{agent}"), &json!({ "capabilities": wrong })).await, 422);
    let wrong = vault(json!({ "key": [PLANTED_CONFIG] }));
    clean("a refusal", api.patch(&format!("/v1/agents/{agent}"), &json!({ "capabilities": wrong })).await, 422);

    let ids = [("harness", harness), ("agent", agent), ("session_id", session), ("org", "default".to_owned())];
    let routes = readable(&api.get("/openapi.json").await.expect(200), &ids);
    for expected in ["/v1/agents", "/v1/harnesses", "/v1/sessions", "/context-report", "/events", "/messages"] {
        assert!(routes.iter().any(|route| route.ends_with(expected)), "{expected} is read: {routes:?}");
    }
    for route in &routes {
        let answer = api.get(route).await;
        assert!(answer.status < 500, "{route}: {}", answer.text());
        assert_clean(route, &answer.text());
    }
    let chat = send(api.request(Method::POST, "/v1/sessions/chat")).await;
    assert_clean("the chat session", &chat.text());
    server.shutdown().await.expect("it ends");
    let log = log.text();
    assert!(log.contains("TRACE"), "the log is complete: {log}");
    assert_clean("the log", &log);
}

#[tokio::test]
async fn a_new_secret_replaces_the_stored_one_and_none_is_made_of_its_mask() {
    let home = Home::new();
    let server = home.start(&platform()).await;
    let api = client(&server);
    let session = api.session_with(&json!({ "capabilities": vault(json!({ "key": "another" })) })).await;
    assert_eq!(opened(&api, &session).await, "the key does not fit");
    let path = format!("/v1/sessions/{session}");
    let replaced = api.patch(&path, &json!({ "capabilities": vault(json!({ "key": PLANTED_CONFIG })) })).await;
    clean("a session", replaced, 200);
    assert_eq!(opened(&api, &session).await, "opened");
    let removed = clean("a session", api.patch(&path, &json!({ "capabilities": vault(json!({ "size": 1 })) })).await, 200);
    assert_eq!(config(&removed), &json!({ "size": 1 }), "what is left out is gone");
    let masked = json!({ "capabilities": vault(json!({ "key": HIDDEN })) });
    for refused in [api.patch(&path, &masked).await, api.post("/v1/sessions", &masked).await] {
        let problem = refused.expect(422);
        let error = &problem["errors"][0];
        assert_eq!((&error["code"], &error["pointer"]), (&json!("nothing_stored"), &json!("/capabilities/0/config/key")), "{problem}");
    }
}

#[tokio::test]
async fn a_configuration_of_an_unknown_capability_is_not_shown_at_all() {
    let home = Home::new();
    let server = home.start(&platform()).await;
    let api = client(&server);
    let body = json!({ "name": "a", "system_prompt": "", "capabilities": vault(json!({ "key": PLANTED_CONFIG, "size": 7 })) });
    api.post("/v1/agents", &body).await.expect(201);
    server.shutdown().await.expect("it ends");
    let server = home.start(&oss_platform_definition()).await;
    let api = client(&server);
    for (path, at) in [("/v1/agents/a", ""), ("/v1/agents", "/data/0")] {
        let shown = clean(path, api.get(path).await, 200);
        assert_eq!(config(shown.pointer(at).expect("an agent")), HIDDEN);
    }
}
