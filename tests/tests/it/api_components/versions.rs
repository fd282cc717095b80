//! Versions of a component over HTTP: which one takes over, what differs, and the way back.

use serde_json::json;

use super::{example, upload};
use crate::support::{Server, guest};

/// Another version of a component: the same but for a section that says nothing.
pub(super) fn another(name: &str, mark: u8) -> Vec<u8> {
    let mut wasm = guest(name);
    wasm.extend_from_slice(&[0, 3, 1, b'x', mark]);
    wasm
}

#[tokio::test]
async fn a_version_that_asks_for_nothing_new_takes_over_with_the_same_terms() {
    let server = Server::start().await;
    let api = server.api();
    let first = upload(&api, "counter").await;
    let path = first["activate"]["path"].as_str().expect("the answer has the call");
    let terms = json!({ "grant": { "kv": ["counter"] }, "limits": { "fuel": 77_000_000 } });
    api.post(path, &terms).await.expect(200);

    let second = api.upload("", another("counter", 1)).await.expect(201);
    assert_eq!((&second["active"], &second["version"]["version"]), (&json!(true), &json!(2)));
    assert_eq!((&second["version"]["grant"]["kv"], &second["version"]["limits"]["fuel"]), (&json!(["counter"]), &json!(77_000_000)));

    // The first one is chosen again: uploading the second once more does not overrule that.
    api.post(path, &terms).await.expect(200);
    let again = api.upload("", another("counter", 1)).await.expect(200);
    assert_eq!((&again["active"], &again["created"]), (&json!(false), &json!(false)));
    assert_eq!(api.get("/v1/components/counter").await.expect(200)["active_version"], 1);
}

#[tokio::test]
async fn a_version_that_asks_for_more_than_was_granted_waits() {
    let server = Server::start().await;
    let api = server.api();
    let first = upload(&api, "counter").await;
    let path = first["activate"]["path"].as_str().expect("the answer has the call");
    // Active, but without what it asks for: the next version asks for more than that.
    api.post(path, &json!({})).await.expect(200);
    let second = api.upload("", another("counter", 1)).await.expect(201);
    assert_eq!(second["active"], false);
    assert_eq!(second["needs_review"], json!(["kv/0: not granted to the active version"]));
    assert_eq!(api.get("/v1/components/counter").await.expect(200)["active_version"], 1);
}

#[tokio::test]
async fn a_stored_component_survives_a_kill_and_is_called_from_the_cache() {
    let server = Server::start().await;
    upload(&server.api(), "echo").await;
    let tools = server.api().get("/v1/capabilities/echo").await.expect(200)["tools"].clone();
    let server = server.kill_and_restart().await;
    let call = json!({ "tool": tools[0]["name"], "arguments": example(&tools[0]["input_schema"]) });
    let outcome = server.api().post("/v1/components/echo/call", &call).await.expect(200);
    assert_eq!(outcome.get("error"), None, "{outcome}");
}

#[tokio::test]
async fn two_versions_are_compared() {
    let server = Server::start().await;
    let api = server.api();
    upload(&api, "counter").await;
    api.upload("", another("counter", 1)).await.expect(201);
    let diff = api.get("/v1/components/counter/versions/1/diff/2").await.expect(200);
    let none = json!([]);
    assert_eq!(
        diff,
        json!({
            "from": 1, "to": 2, "asks_for_more": false,
            "permissions": none, "imports": none, "tools": none, "text": none, "rest": none,
        })
    );
    assert_eq!(api.get("/v1/components/counter/versions/1/diff/3").await.status, 404);
}

#[tokio::test]
async fn a_rollback_goes_to_the_version_that_was_active_before_with_its_terms() {
    let server = Server::start().await;
    let api = server.api();
    let first = upload(&api, "counter").await;
    let refused = api.post("/v1/components/counter/rollback", &json!({})).await.expect(409);
    assert_eq!(refused["code"], "no_earlier_version");
    let path = first["activate"]["path"].as_str().expect("the answer has the call");
    let terms = json!({ "grant": { "kv": ["counter"] }, "limits": { "fuel": 77_000_000 } });
    api.post(path, &terms).await.expect(200);
    for (mark, fuel) in [(1, 11_000_000), (2, 22_000_000)] {
        let version = api.upload("?activate=false", another("counter", mark)).await.expect(201)["version"]["version"].clone();
        let path = format!("/v1/components/counter/versions/{version}/activate");
        api.post(&path, &json!({ "limits": { "fuel": fuel } })).await.expect(200);
    }
    // Version 3 is active, 2 was before it; going on from there leads back to 3, not to 1.
    let back = api.post("/v1/components/counter/rollback", &json!({})).await.expect(200);
    assert_eq!((&back["version"], &back["active"], &back["limits"]["fuel"]), (&json!(2), &json!(true), &json!(11_000_000)));
    let forth = api.post("/v1/components/counter/rollback", &json!({})).await.expect(200);
    assert_eq!((&forth["version"], &forth["limits"]["fuel"]), (&json!(3), &json!(22_000_000)));
}
