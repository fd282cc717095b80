//! Nothing of the server's machine reaches a guest, an answer or a log: not its environment, not
//! its files, not its network.

use serde_json::{Value, json};

use crate::support::{Api, CANARY, Server, guest};

async fn call(api: &Api, name: &str, tool: &str) -> Value {
    api.upload("", guest(name)).await.expect(201);
    let answer = api.post(&format!("/v1/components/{name}/call"), &json!({ "tool": tool, "arguments": {} })).await.expect(200);
    answer["result"]["structured"].clone()
}

#[tokio::test]
async fn a_guest_without_wasi_gets_nothing_of_the_machine() {
    let server = Server::start().await;
    let found = call(&server.api(), "snoop", "snoop").await;
    let found = found.as_object().expect("a report");
    assert!(found.len() >= 15, "it looks for many things: {found:?}");
    for (what, seen) in found {
        assert_eq!(seen, "refused", "{what}");
    }
}

#[tokio::test]
async fn a_guest_with_wasi_finds_it_empty_and_closed() {
    let server = Server::start().await;
    let found = call(&server.api(), "wasi-snoop", "snoop").await;
    for what in ["environment", "arguments", "directories"] {
        assert_eq!(found[what], json!({ "did": [] }), "{what}: {found}");
    }
    for what in ["listen", "connect"] {
        assert_eq!(found[what], json!({ "failed": "access-denied" }), "{what}: {found}");
    }
}

#[tokio::test]
async fn a_turn_shows_nothing_of_the_environment() {
    let server = Server::start().await;
    let api = server.api();
    api.upload("", guest("snoop")).await.expect(201);
    let session = api.session_with(&json!({ "capabilities": [{ "ref": "snoop" }] })).await;
    let mut stream = api.stream(&session, "").await;
    api.say(&session, "/call snoop__snoop {}\n/call snoop__vars {}").await;
    stream.until("session.idled").await;
    let events = api.get(&format!("/v1/sessions/{session}/events")).await.expect(200).to_string();
    assert!(events.contains("tool.completed"), "{events}");
    assert!(!events.contains(CANARY), "{events}");
    assert!(!server.log().contains(CANARY), "{}", server.log());
}

#[tokio::test]
async fn no_driver_takes_its_credentials_from_the_environment() {
    let server = Server::start().await;
    let api = server.api();
    for driver in ["openai", "openai_completions", "openrouter", "azure_openai", "anthropic", "gemini", "bedrock"] {
        // Were a key found, the gateway would still refuse to go there.
        let provider = json!({ "name": driver, "provider_type": driver, "base_url": "https://127.0.0.1:1/v1" });
        let provider = api.post("/v1/providers", &provider).await.expect(201);
        assert_eq!(provider["driver_registered"], true, "{driver}");
        let models = format!("/v1/providers/{}/models", provider["id"].as_str().expect("an id"));
        let model = api.post(&models, &json!({ "model_id": "m" })).await.expect(201);
        let session = api.session_with(&json!({ "model_id": model["id"] })).await;
        let mut stream = api.stream(&session, "").await;
        api.say(&session, "hello").await;
        let frames = stream.until("session.idled").await;
        let failed = frames.iter().find(|frame| frame.event == "turn.failed").expect("there is no key");
        let failed = failed.data.to_string();
        assert!(failed.contains("\"error_code\":\"configuration\""), "{driver}: {failed}");
        assert!(!failed.contains(CANARY), "{failed}");
    }
    assert!(!server.log().contains(CANARY), "{}", server.log());
}
