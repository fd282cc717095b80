//! Providers and models over HTTP: what is kept, what is shown, what is refused, which model a
//! turn uses, and that credentials are nowhere in the clear.

mod rotation;

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Api, Server, send};

/// Text that is in all credentials of these tests, and must be nowhere else.
const PLANTED: &str = "planted-52cb";

fn provider(name: &str) -> Value {
    json!({ "name": name, "provider_type": "llmsim", "api_key": format!("sk-{PLANTED}") })
}

async fn created(api: &Api, path: &str, body: &Value) -> String {
    let made = api.post(path, body).await.expect(201);
    made["id"].as_str().expect("an id").to_owned()
}

/// A provider with one model; returns their ids.
async fn provider_with_model(api: &Api, name: &str, model: &str) -> (String, String) {
    let provider = created(api, "/v1/providers", &provider(name)).await;
    let model = created(api, &format!("/v1/providers/{provider}/models"), &json!({ "model_id": model })).await;
    (provider, model)
}

fn findings(answer: &Value) -> Vec<(String, String)> {
    let text = |finding: &Value, name: &str| finding[name].as_str().unwrap_or_default().to_owned();
    answer["errors"].as_array().expect("findings").iter().map(|finding| (text(finding, "code"), text(finding, "pointer"))).collect()
}

#[tokio::test]
async fn a_provider_is_created_changed_and_deleted_and_never_shows_its_credentials() {
    let server = Server::start().await;
    let api = server.api();
    let body = json!({
        "name": "Mine",
        "provider_type": " LlmSim ",
        "base_url": "https://models.example/v1/",
        "api_key": format!("sk-{PLANTED}"),
        "provider_metadata": { "refresh_token": PLANTED, "account_id": PLANTED, "extra": { "region": PLANTED } },
    });
    let answer = api.post("/v1/providers", &body).await;
    assert_eq!((answer.status, answer.header("etag")), (201, "\"1\""));
    assert!(!answer.text().contains(PLANTED), "{}", answer.text());
    let made = answer.json();
    let shown = json!({
        "id": made["id"], "name": "Mine", "provider_type": "llmsim", "driver_registered": true,
        "base_url": "https://models.example/v1", "api_key_set": true, "provider_metadata_set": true, "status": "active",
        "created_at": made["created_at"], "updated_at": made["updated_at"],
    });
    assert_eq!(made, shown);
    assert_eq!(api.get("/v1/providers/Mine").await.expect(200), shown);

    let path = format!("/v1/providers/{}", made["id"].as_str().expect("an id"));
    let patch = api.request(Method::PATCH, &path).header("if-match", "\"7\"").json(&json!({ "status": "disabled" }));
    assert_eq!(send(patch).await.status, 412);
    let changed = api.patch(&path, &json!({ "status": "disabled", "api_key": null })).await;
    assert_eq!(changed.header("etag"), "\"2\"");
    let changed = changed.json();
    assert_eq!((&changed["status"], &changed["api_key_set"]), (&json!("disabled"), &json!(false)));
    assert_eq!(changed["provider_metadata_set"], true);
    assert_eq!(api.post("/v1/providers", &body).await.status, 409);

    assert_eq!(api.delete(&path).await.status, 204);
    assert_eq!(api.get(&path).await.status, 404);
}

#[tokio::test]
async fn a_repeated_request_makes_one_provider() {
    let server = Server::start().await;
    let api = server.api();
    let send_once = || send(api.request(Method::POST, "/v1/providers").header("idempotency-key", "k").json(&provider("Mine")));
    let (first, second) = (send_once().await, send_once().await);
    assert_eq!((first.status, second.status, second.header("idempotent-replayed")), (201, 201, "true"));
    assert_eq!(first.json(), second.json());
}

#[tokio::test]
async fn unknown_drivers_are_kept_and_blank_ones_refused() {
    let server = Server::start().await;
    let api = server.api();
    let made = api.post("/v1/providers", &json!({ "name": "Codex", "provider_type": "OpenAI-Codex" })).await.expect(201);
    assert_eq!((&made["provider_type"], &made["driver_registered"]), (&json!("openai-codex"), &json!(false)));
    assert_eq!(api.get("/v1/providers/Codex").await.expect(200)["provider_type"], "openai-codex");
    for blank in ["", "  "] {
        let refused = api.post("/v1/providers", &json!({ "name": "Blank", "provider_type": blank })).await.expect(422);
        assert_eq!(refused["errors"][0]["pointer"], "/provider_type", "{refused}");
    }
}

#[tokio::test]
async fn everything_that_is_wrong_with_a_provider_is_told_without_its_credentials() {
    let server = Server::start().await;
    let body = json!({
        "name": " ", "provider_type": "llmsim", "base_url": "https://user:pass@models.example/?x=1",
        "api_key": format!("{PLANTED}\nx"), "trace": { "on": true },
    });
    let refused = server.api().post("/v1/providers", &body).await;
    assert!(!refused.text().contains(PLANTED), "{}", refused.text());
    let mut found = findings(&refused.expect(422));
    found.sort();
    let expected = [("invalid_api_key", "/api_key"), ("invalid_name", "/name"), ("invalid_url", "/base_url"), ("unsupported", "/trace")];
    assert_eq!(found, expected.map(|(code, pointer)| (code.to_owned(), pointer.to_owned())));
}

#[tokio::test]
async fn credentials_do_not_follow_a_provider_to_another_server() {
    let server = Server::start().await;
    let api = server.api();
    let id = created(&api, "/v1/providers", &provider("Mine")).await;
    let path = format!("/v1/providers/{id}");
    for moved in [json!({ "base_url": "https://thief.example" }), json!({ "provider_type": "thief" })] {
        let refused = api.patch(&path, &moved).await.expect(422);
        assert_eq!(findings(&refused), [("credential_required".to_owned(), "/api_key".to_owned())]);
    }
    let moved = json!({ "base_url": "https://new.example", "api_key": format!("new-{PLANTED}") });
    assert_eq!(api.patch(&path, &moved).await.expect(200)["base_url"], "https://new.example");
    let cleared = json!({ "base_url": null, "api_key": null });
    assert_eq!(api.patch(&path, &cleared).await.expect(200)["api_key_set"], false);
}

#[tokio::test]
async fn models_belong_to_a_provider_and_one_is_the_default() {
    let server = Server::start().await;
    let api = server.api();
    let (provider, one) = provider_with_model(&api, "Mine", "one").await;
    let models = format!("/v1/providers/{provider}/models");
    let body =
        json!({ "model_id": "two", "display_name": "Two", "capabilities": ["vision"], "profile": { "limits": 1 }, "is_default": true });
    let two = api.post(&models, &body).await.expect(201);
    assert_eq!((&two["enabled"], &two["source"], &two["is_default"]), (&json!(true), &json!("manual"), &json!(true)));
    assert_eq!(api.post(&models, &json!({ "model_id": "two" })).await.status, 409);
    assert_eq!(api.get(&models).await.expect(200)["total"], 2);

    let path = format!("/v1/models/{one}");
    let read = api.get(&path).await;
    assert_eq!(read.header("etag"), "\"1\"");
    let patch = api.request(Method::PATCH, &path).header("if-match", "\"1\"").json(&json!({ "is_default": true, "display_name": "One" }));
    assert_eq!(send(patch).await.expect(200)["is_default"], true);
    let two = api.get(&format!("/v1/models/{}", two["id"].as_str().expect("an id"))).await;
    assert_eq!((two.header("etag").to_owned(), two.json()["is_default"].clone()), ("\"2\"".to_owned(), json!(false)));
    let refused = api.patch(&path, &json!({ "provider_id": "nobody", "model_id": " " })).await.expect(422);
    assert_eq!(refused["errors"].as_array().map(Vec::len), Some(2), "{refused}");

    assert_eq!(api.delete(&format!("/v1/providers/{provider}")).await.status, 204);
    assert_eq!(api.get(&path).await.status, 404);
}

#[tokio::test]
async fn another_org_sees_neither_providers_nor_models() {
    let server = Server::start().await;
    let (one, two) = (server.api_with_key("admin", None).await, server.api_with_key("admin", Some("two")).await);
    let (provider, model) = provider_with_model(&one, "Mine", "m").await;
    for path in [format!("/v1/providers/{provider}"), format!("/v1/models/{model}"), format!("/v1/providers/{provider}/models")] {
        one.get(&path).await.expect(200);
        assert_eq!(two.get(&path).await.status, 404, "{path}");
    }
    assert_eq!(two.post(&format!("/v1/providers/{provider}/test"), &json!({})).await.status, 404);
    let refused = two.post("/v1/sessions", &json!({ "model_id": model })).await.expect(422);
    assert_eq!(findings(&refused), [("unknown_model".to_owned(), "/model_id".to_owned())]);
}

#[tokio::test]
async fn a_test_says_whether_a_provider_answers() {
    let server = Server::start().await;
    let api = server.api();
    let (provider, model) = provider_with_model(&api, "Mine", "m").await;
    let path = format!("/v1/providers/{provider}/test");
    let went = api.post(&path, &json!({ "model_id": model })).await.expect(200);
    assert_eq!((&went["status"], &went["model"], &went["provider_type"]), (&json!("ok"), &json!("m"), &json!("llmsim")), "{went}");
    assert!(went["latency_ms"].is_u64() && went.get("error").is_none(), "{went}");
    let codex = created(&api, "/v1/providers", &json!({ "name": "Codex", "provider_type": "codex" })).await;
    let nothing = api.post(&format!("/v1/providers/{codex}/test"), &json!({})).await.expect(422);
    assert_eq!(nothing["errors"][0]["code"], "unknown_model");
    created(&api, &format!("/v1/providers/{codex}/models"), &json!({ "model_id": "m" })).await;
    let failed = send(api.request(Method::POST, &format!("/v1/providers/{codex}/test"))).await.expect(200);
    assert_eq!((&failed["status"], &failed["error"]["kind"]), (&json!("failed"), &json!("configuration")), "{failed}");
}

/// Runs a turn and returns the event that ended it, and the model of its model call.
async fn turn(api: &Api, session: &str, controls: Value) -> (Value, Value) {
    let mut stream = api.stream(session, "").await;
    let body = json!({ "message": { "content": [{ "type": "text", "text": "hello" }] }, "controls": controls });
    let message = api.post(&format!("/v1/sessions/{session}/messages"), &body).await.expect(201);
    let of_turn = |event: &Value| event["data"]["turn_id"] == message["turn_id"];
    loop {
        stream.until("session.idled").await;
        let events = api.events(session).await;
        let find = |kinds: &[&str]| {
            let wanted = |event: &&Value| of_turn(event) && kinds.iter().any(|kind| event["type"] == *kind);
            events.iter().find(wanted).cloned().unwrap_or_default()
        };
        let end = find(&["turn.completed", "turn.failed"]);
        if !end.is_null() {
            return (end, find(&["llm.generation"])["data"]["model"].clone());
        }
    }
}

#[tokio::test]
async fn the_nearest_model_wins_and_removed_ones_are_passed_over() {
    let server = Server::start().await;
    let api = server.api();
    let provider = created(&api, "/v1/providers", &provider("Mine")).await;
    let mut ids = Vec::new();
    for name in ["by-message", "by-session", "by-agent", "by-leaf", "by-root", "by-org"] {
        let body = json!({ "model_id": name, "is_default": name == "by-org" });
        ids.push(created(&api, &format!("/v1/providers/{provider}/models"), &body).await);
    }
    let root = json!({ "name": "root", "default_model_id": ids[4] });
    created(&api, "/v1/harnesses", &root).await;
    let leaf = json!({ "name": "leaf", "parent_harness_id": "root", "default_model_id": ids[3] });
    assert_eq!(api.post("/v1/harnesses", &leaf).await.expect(201)["default_model_id"], json!(ids[3]));
    let agent = json!({ "name": "clerk", "system_prompt": "", "harness_id": "leaf", "default_model_id": ids[2] });
    assert_eq!(api.post("/v1/agents", &agent).await.expect(201)["default_model_id"], json!(ids[2]));
    let session = api.session_with(&json!({ "agent_id": "clerk", "model_id": ids[1] })).await;
    assert_eq!(api.get(&format!("/v1/sessions/{session}")).await.expect(200)["model_id"], json!(ids[1]));

    assert_eq!(turn(&api, &session, json!({ "model_id": ids[0] })).await.1, "by-message");
    for (id, name) in ids[1..].iter().zip(["by-session", "by-agent", "by-leaf", "by-root", "by-org"]) {
        assert_eq!(turn(&api, &session, Value::Null).await.1, name);
        assert_eq!(api.delete(&format!("/v1/models/{id}")).await.status, 204);
    }
    assert_eq!(turn(&api, &session, Value::Null).await.1, "llmsim-model");
}

#[tokio::test]
async fn a_model_tells_whose_it_is_and_whether_turns_can_use_it() {
    let server = Server::start().await;
    let api = server.api();
    let (provider, model) = provider_with_model(&api, "Mine", "m").await;
    let (provider, model) = (format!("/v1/providers/{provider}"), format!("/v1/models/{model}"));
    let healthy = async || api.get(&model).await.expect(200)["healthy"].clone();
    let seen = api.get(&model).await.expect(200);
    assert_eq!((&seen["provider_name"], &seen["provider_type"], &seen["healthy"]), (&json!("Mine"), &json!("llmsim"), &json!(true)));
    for (path, off, on) in [
        (&provider, json!({ "status": "disabled" }), json!({ "status": "active" })),
        (&model, json!({ "enabled": false }), json!({ "enabled": true })),
    ] {
        api.patch(path, &off).await.expect(200);
        assert_eq!(healthy().await, false, "{off}");
        api.patch(path, &on).await.expect(200);
        assert_eq!(healthy().await, true, "{on}");
    }
    let codex = created(&api, "/v1/providers", &json!({ "name": "Codex", "provider_type": "codex" })).await;
    created(&api, &format!("/v1/providers/{codex}/models"), &json!({ "model_id": "x" })).await;
    let listed = api.get(&format!("/v1/providers/{codex}/models")).await.expect(200);
    assert_eq!((&listed["data"][0]["provider_name"], &listed["data"][0]["healthy"]), (&json!("Codex"), &json!(false)), "no such driver");
}

#[tokio::test]
async fn references_to_models_are_checked_changed_and_cleared() {
    let server = Server::start().await;
    let api = server.api();
    let (_, model) = provider_with_model(&api, "Mine", "m").await;
    let session = format!("/v1/sessions/{}", api.session().await);
    api.post("/v1/agents", &json!({ "name": "a", "system_prompt": "" })).await.expect(201);
    api.post("/v1/harnesses", &json!({ "name": "h" })).await.expect(201);
    for (path, field) in [(&*session, "model_id"), ("/v1/agents/a", "default_model_id"), ("/v1/harnesses/h", "default_model_id")] {
        assert_eq!(api.patch(path, &json!({ field: model })).await.expect(200)[field], json!(model), "{path}");
        let refused = api.patch(path, &json!({ field: "model_01920000000070008000000000000001" })).await.expect(422);
        assert_eq!(findings(&refused), [("unknown_model".to_owned(), format!("/{field}"))]);
        assert_eq!(api.get(path).await.expect(200)[field], json!(model), "{path}");
        assert_eq!(api.patch(path, &json!({ field: null })).await.expect(200).get(field), None, "{path}");
    }
    let body = json!({ "message": { "content": [{ "type": "text", "text": "x" }] }, "controls": {
        "model_id": "m", "locale": "no tag", "hints": { "x": 1 }, "error_disclosure": "all" } });
    let refused = api.post(&format!("{session}/messages"), &body).await.expect(422);
    let mut found = findings(&refused);
    found.sort();
    let expected = [
        ("invalid_disclosure", "/controls/error_disclosure"),
        ("invalid_locale", "/controls/locale"),
        ("unknown_model", "/controls/model_id"),
        ("unsupported", "/controls/hints"),
    ];
    assert_eq!(found, expected.map(|(code, pointer)| (code.to_owned(), pointer.to_owned())));
}

#[tokio::test]
async fn a_model_that_cannot_be_used_fails_the_turn_and_says_why() {
    let server = Server::start().await;
    let api = server.api();
    let (provider, model) = provider_with_model(&api, "Mine", "mine-1").await;
    let session = api.session_with(&json!({ "model_id": model })).await;
    let check = async |code: &str, words: &[&str]| {
        let (end, _) = turn(&api, &session, Value::Null).await;
        assert_eq!((&end["type"], &end["data"]["error_code"]), (&json!("turn.failed"), &json!(code)), "{end}");
        let error = end["data"]["error"].as_str().expect("a sentence");
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    };
    api.patch(&format!("/v1/models/{model}"), &json!({ "enabled": false })).await.expect(200);
    check("model_disabled", &["mine-1", "Mine", "enable it"]).await;
    api.patch(&format!("/v1/models/{model}"), &json!({ "enabled": true })).await.expect(200);
    api.patch(&format!("/v1/providers/{provider}"), &json!({ "status": "disabled" })).await.expect(200);
    check("provider_disabled", &["mine-1", "Mine", "activate it"]).await;
    let away = json!({ "status": "active", "provider_type": "codex", "api_key": null });
    api.patch(&format!("/v1/providers/{provider}"), &away).await.expect(200);
    check("driver_not_registered", &["mine-1", "Mine", "codex", "register it"]).await;
}

#[tokio::test]
async fn the_stock_providers_are_seeded_once() {
    let server = Server::start().await;
    let names = async |api: &Api| {
        let list = api.get("/v1/providers").await.expect(200);
        let names = list["data"].as_array().expect("a list").iter().map(|row| row["name"].as_str().unwrap_or_default().to_owned());
        names.collect::<BTreeSet<_>>()
    };
    let of_vendors =
        ["OpenAI", "OpenAI-compatible", "OpenRouter", "Azure OpenAI", "Anthropic", "Google Gemini", "Amazon Bedrock"].map(str::to_owned);
    let all: BTreeSet<_> = of_vendors.iter().cloned().chain(["Simulator".to_owned()]).collect();
    assert_eq!(names(&server.api()).await, all);
    let models = server.api().get("/v1/models").await.expect(200);
    let simulated = models["data"].as_array().expect("a list").iter().find(|model| model["model_id"] == "llmsim-model");
    assert_eq!(simulated.map(|model| &model["source"]), Some(&json!("predefined")));
    assert_eq!(server.api().delete("/v1/providers/Simulator").await.status, 204);
    let server = server.kill_and_restart().await;
    assert_eq!(names(&server.api()).await, BTreeSet::from(of_vendors));
}
