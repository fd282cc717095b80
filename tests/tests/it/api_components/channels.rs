//! Channels and pins: agents that ask for another version than the active one.

use serde_json::{Value, json};

use super::upload;
use super::versions::another;
use crate::support::{Api, Server, guest};

/// Which version answers a call in a session with such an entry.
async fn version_of(api: &Api, entry: &Value) -> Value {
    let session = api.session_with(&json!({ "capabilities": [entry] })).await;
    let mut stream = api.stream(&session, "").await;
    api.say(&session, "/call echo__echo {\"value\": 1}").await;
    let frames = stream.until("session.idled").await;
    let completed = frames.iter().find(|frame| frame.event == "tool.completed").expect("the tool was called");
    completed.data["data"]["receipt"]["version"].clone()
}

/// Versions 1 to 3 of echo: 1 is active, 2 in the channel beta, 3 agreed to by nobody.
async fn three_versions(api: &Api) {
    upload(api, "echo").await;
    let beta = api.upload("?channel=beta", another("echo", 2)).await.expect(201);
    assert_eq!((&beta["active"], beta.get("activate")), (&json!(false), None), "it is where it was meant to be: {beta}");
    assert_eq!((&beta["component"]["active_version"], &beta["component"]["channels"]), (&json!(1), &json!({ "beta": 2 })));
    assert_eq!((&beta["version"]["channels"], &beta["version"]["activated_at"]), (&json!(["beta"]), &Value::Null));
    api.upload("?activate=false", another("echo", 3)).await.expect(201);
}

#[tokio::test]
async fn agents_get_the_version_that_they_ask_for() {
    let server = Server::start().await;
    let api = server.api();
    three_versions(&api).await;
    let (active, beta, second) =
        (json!({ "ref": "echo" }), json!({ "ref": "echo", "channel": "beta" }), json!({ "ref": "echo", "version": 2 }));
    assert_eq!([version_of(&api, &active).await, version_of(&api, &beta).await, version_of(&api, &second).await], [1, 2, 2]);
    let third = json!({ "grant": {}, "channel": "beta" });
    api.post("/v1/components/echo/versions/3/activate", &third).await.expect(200);
    assert_eq!([version_of(&api, &active).await, version_of(&api, &beta).await, version_of(&api, &second).await], [1, 3, 2]);
    api.post("/v1/components/echo/versions/2/activate", &json!({})).await.expect(200);
    api.post("/v1/components/echo/rollback", &json!({})).await.expect(200);
    assert_eq!(version_of(&api, &active).await, 1, "a channel is none of the versions that were active");

    // The last layer that asks for a version is heard.
    let agent = json!({ "name": "pinned", "system_prompt": "x", "capabilities": [second] });
    assert_eq!(api.post("/v1/agents", &agent).await.expect(201)["capabilities"], agent["capabilities"]);
    for (session, expected) in [(json!([]), 2), (json!([{ "ref": "echo" }]), 2), (json!([beta]), 3)] {
        let session = api.session_with(&json!({ "agent": "pinned", "capabilities": session })).await;
        let mut stream = api.stream(&session, "").await;
        api.say(&session, "/call echo__echo {\"value\": 1}").await;
        let frames = stream.until("turn.started").await;
        let started = &frames.last().expect("a frame").data["data"];
        assert_eq!(started["capabilities"][0]["version"], expected, "{started}");
        stream.until("session.idled").await;
    }
}

#[tokio::test]
async fn what_cannot_be_chosen_says_why() {
    let server = Server::start().await;
    let api = server.api();
    three_versions(&api).await;
    for (entry, pointer, detail) in [
        (json!({ "ref": "echo", "version": 9 }), "version", "version 9 of capability \"echo\" does not exist"),
        (json!({ "ref": "echo", "version": 3 }), "version", "was never agreed to"),
        (json!({ "ref": "echo", "channel": "stable" }), "channel", "it has: beta"),
        (json!({ "ref": "echo", "channel": "beta", "version": 2 }), "channel", "one of them"),
        (json!({ "ref": "current_time", "version": 1 }), "version", "has no versions"),
        (json!({ "ref": "nobodys", "channel": "beta" }), "channel", "there is no capability"),
    ] {
        let refused = api.post("/v1/sessions", &json!({ "capabilities": [entry] })).await.expect(422);
        let finding = &refused["errors"][0];
        assert_eq!(finding["pointer"], format!("/capabilities/0/{pointer}"), "{refused}");
        assert!(finding["detail"].as_str().is_some_and(|text| text.contains(detail)), "{refused}");
    }
    for body in [json!({ "channel": "Beta" }), json!({ "channel": "" })] {
        let refused = api.post("/v1/components/echo/versions/3/activate", &body).await.expect(422);
        assert_eq!(refused["errors"][0]["pointer"], "/channel", "{refused}");
    }
    api.upload("?channel=a_b", guest("minimal")).await.expect(422);
}

#[tokio::test]
async fn a_channel_needs_the_consent_that_activation_needs() {
    let server = Server::start().await;
    let api = server.api();
    let first = upload(&api, "counter").await;
    api.post(first["activate"]["path"].as_str().expect("a path"), &first["activate"]["body"]).await.expect(200);
    let changed = super::patched("counter", "Reads a key.", "Takes a key.");
    let second = api.upload("?channel=beta", changed).await.expect(201);
    assert_eq!(second["component"]["channels"], json!({}), "models would read something else: {second}");
    let (path, body) = (second["activate"]["path"].as_str().expect("a path"), &second["activate"]["body"]);
    assert_eq!((&body["channel"], &body["accept_changed_text"]), (&json!("beta"), &json!(true)));
    let refused = api.post(path, &json!({ "channel": "beta", "grant": body["grant"] })).await.expect(409);
    assert_eq!(refused["code"], "text_changed", "{refused}");
    assert_eq!(api.post(path, body).await.expect(200)["channels"], json!(["beta"]));
    // What differs is judged from where the channel is, not from the active version.
    let third = api.upload("?channel=beta", {
        let mut wasm = super::patched("counter", "Reads a key.", "Takes a key.");
        wasm.extend_from_slice(&[0, 3, 1, b'x', 3]);
        wasm
    });
    assert_eq!(third.await.expect(201)["component"]["channels"], json!({ "beta": 3 }));
}

#[tokio::test]
async fn what_somebody_asks_for_stays() {
    let server = Server::start().await;
    let api = server.api();
    three_versions(&api).await;
    let agent = |name: &str, entry: Value| json!({ "name": name, "system_prompt": "x", "capabilities": [entry] });
    api.post("/v1/agents", &agent("by-channel", json!({ "ref": "echo", "channel": "beta" }))).await.expect(201);
    let harness = agent("by-version", json!({ "ref": "echo", "version": 2 }));
    api.post("/v1/harnesses", &harness).await.expect(201);
    let (channel, version) = ("/v1/components/echo/channels/beta", "/v1/components/echo/versions/2");
    for (path, user) in [(channel, "agent by-channel"), (version, "harness by-version")] {
        let refused = api.delete(path).await.expect(409);
        assert_eq!(refused["code"], "in_use", "{refused}");
        assert!(refused["detail"].as_str().is_some_and(|detail| detail.contains(user)), "{refused}");
    }
    for path in ["/v1/agents/by-channel", "/v1/harnesses/by-version"] {
        assert!(api.delete(path).await.status < 300);
    }
    assert_eq!(api.delete(version).await.expect(409)["code"], "in_use", "the channel points to it");
    assert_eq!(api.delete("/v1/components/echo/versions/1").await.expect(409)["code"], "in_use", "it is active");
    assert_eq!(api.delete(channel).await.status, 204);
    assert_eq!(api.delete(channel).await.status, 404);
    assert_eq!(api.delete(version).await.status, 204);
    let refused = api.post("/v1/sessions", &json!({ "capabilities": [{ "ref": "echo", "version": 2 }] })).await.expect(422);
    assert!(refused["errors"][0]["detail"].as_str().is_some_and(|detail| detail.contains("is archived")), "{refused}");
}
