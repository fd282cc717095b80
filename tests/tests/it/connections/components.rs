//! Connection providers that an org uploads: reviewed like every component, used like every
//! connection provider, and never with a credential in their hands or in their words.

use everwit_runtime::connection::GenericConnectionProvider;
use everwit_server::oss_platform_definition;
use serde_json::{Value, json};

use super::vendor::{PLANTED, Vendor};
use super::{World, ended, finish, of_type};
use crate::support::embedded::Home;
use crate::support::guests::at_port;
use crate::turns::secrets::Log;

impl World {
    /// Uploads a connection provider and agrees to what it asks for; returns the answer to the upload.
    async fn add(&self, name: &str) -> Value {
        let api = self.api("ada");
        let uploaded = api.upload("", at_port(name, self.vendor.port)).await.expect(201);
        assert_eq!(uploaded["active"], false, "{uploaded}");
        let path = uploaded["activate"]["path"].as_str().expect("the call that activates it");
        api.post(path, &uploaded["activate"]["body"]).await.expect(200);
        uploaded
    }

    async fn offered(&self, user: &str) -> Vec<String> {
        let providers = self.api(user).get("/v1/user/connections/providers").await.expect(200);
        let ids = providers["data"].as_array().expect("a list").iter().map(|provider| provider["provider_id"].as_str().unwrap_or_default());
        ids.map(str::to_owned).collect()
    }
}

#[tokio::test]
async fn an_uploaded_provider_is_reviewed_and_then_used_like_any() {
    let world = World::start().await;
    let api = world.api("ada");
    let host = format!("127.0.0.1:{}", world.vendor.port);
    let uploaded = api.upload("", at_port("connection-tickets", world.vendor.port)).await.expect(201);
    assert_eq!(uploaded["inspection"]["kind"], "connection-provider");
    assert_eq!(uploaded["needs_review"].as_array().map(Vec::len), Some(1), "{uploaded}");
    assert_eq!(uploaded["activate"]["body"]["grant"]["http"][0]["host"], json!(host));
    assert_eq!(world.offered("ada").await, ["issues", "keys"], "nobody has agreed to it yet");
    let path = uploaded["activate"]["path"].as_str().expect("a path");
    let halved = api.post(path, &json!({})).await.expect(422);
    assert_eq!((&halved["errors"][0]["code"], &halved["errors"][0]["pointer"]), (&json!("incomplete_grant"), &json!("/grant/http")));
    api.post(path, &uploaded["activate"]["body"]).await.expect(200);
    assert_eq!(world.offered("ada").await, ["issues", "keys", "tickets"]);
    assert_eq!(world.offered("eve/2").await, ["issues", "keys"], "it is of its org alone");

    let (path, key) = ("/v1/user/connections/tickets", format!("key-{PLANTED}"));
    let refused = api.post(path, &json!({ "api_key": key })).await;
    assert!(!refused.text().contains(PLANTED), "{}", refused.text());
    assert_eq!(refused.expect(422)["code"], "refused_by_third_party");
    world.vendor.accept(&key);
    let made = api.post(path, &json!({ "api_key": key, "workspace": "main" })).await.expect(201);
    assert_eq!((&made["provider_username"], &made["connection_type"]), (&json!("ada-at-vendor"), &json!("api_key")));
    assert_eq!(api.post(&format!("{path}/verify"), &json!({})).await.expect(200), json!({ "valid": true }));

    let session = world.session("ada").await;
    let events = world.call("ada", &session, "/call whoami {\"provider\": \"tickets\"}", "session.idled").await;
    assert_eq!(of_type(&events, "tool.completed")[0]["result"][0]["text"], "status 200", "{events:#?}");

    let component = uploaded["component"]["id"].as_str().expect("an id");
    let called = api.post(&format!("/v1/components/{component}/call"), &json!({ "tool": "x", "arguments": {} })).await.expect(409);
    assert_eq!(called["code"], "not_a_capability");
    assert_eq!(api.delete(&format!("/v1/components/{component}")).await.status, 204);
    assert_eq!(world.offered("ada").await, ["issues", "keys"]);
    assert_eq!(api.post(&format!("{path}/verify"), &json!({})).await.status, 404);
}

#[tokio::test]
async fn an_uploaded_provider_connects_over_oauth_as_a_public_client() {
    let world = World::start().await;
    world.add("connection-oauth").await;
    // Within the skew, so that the first use refreshes.
    world.vendor.set_life(Some(30));
    let (path, _) = world.authorized_with("board", "ada").await;
    assert_eq!(finish(&world.api("ada"), &path, None).await.status, 303);
    let list = world.api("ada").get("/v1/user/connections").await.expect(200);
    assert_eq!((&list["data"][0]["provider"], &list["data"][0]["provider_username"]), (&json!("board"), &json!("ada-at-vendor")));
    let session = world.session("ada").await;
    world.call("ada", &session, "/call whoami {\"provider\": \"board\"}", "session.idled").await;
    let events = ended(&world.api("ada"), &session).await;
    assert_eq!(of_type(&events, "tool.completed")[0]["result"][0]["text"], "status 200");
    assert_eq!(world.vendor.refreshes(), 1);
}

#[tokio::test]
async fn a_hostile_provider_gets_a_credential_nowhere() {
    let world = World::start().await;
    world.add("connection-hostile").await;
    let api = world.api("ada");
    let key = format!("key-{PLANTED}");
    world.vendor.accept(&key);
    let log = Log::default();
    let guard = log.listen();
    for (wish, expected) in [
        ("elsewhere", "its request goes to another origin than that of the base URL"),
        ("injects", "the value of the header field \\\"x-note\\\" of its request is not valid in HTTP"),
        ("tells", "Hostile: [redacted] does not fit"),
        ("panics", "[redacted] does not fit"),
        ("loops", "fuel"),
    ] {
        let answer = api.post("/v1/user/connections/hostile", &json!({ "api_key": key, "workspace": wish })).await;
        let text = answer.text();
        assert!(text.contains(expected), "{wish}: {text}");
        assert!(!text.contains(PLANTED), "{wish}: {text}");
        assert!([422, 502, 503].contains(&answer.status), "{wish}: {text}");
    }
    // The third party answers well; what the guest makes of it is the answer itself, and fine.
    let kept = api.post("/v1/user/connections/hostile", &json!({ "api_key": key, "workspace": "well" })).await.expect(201);
    assert_eq!(kept["provider_username"], "{\"login\":\"ada-at-vendor\"}");
    // Third parties that repeat the credential must not have it shown as the account's name.
    world.vendor.revoke_access();
    world.vendor.echo();
    let echoed = api.post("/v1/user/connections/hostile", &json!({ "api_key": key, "workspace": "well" })).await;
    assert!(echoed.text().contains("holds the credential") && !echoed.text().contains(PLANTED), "{}", echoed.text());
    let long = api.post("/v1/user/connections/hostile", &json!({ "api_key": "k".repeat(300), "workspace": "well" })).await;
    assert!(long.text().contains("256 are the most"), "{}", long.text());
    drop(guard);
    let logged = log.text();
    assert!(logged.contains("the token is [redacted]") && !logged.contains(PLANTED), "{logged}");
    assert!(!world.home.files_with("ada-at-vendor").is_empty(), "the search finds what is in the clear");
    assert_eq!(world.home.files_with(PLANTED), Vec::<String>::new());
}

#[tokio::test]
async fn an_upload_cannot_take_the_id_of_a_provider_of_the_platform() {
    let (home, vendor, mut platform) = (Home::new(), Vendor::start().await, oss_platform_definition());
    let own: GenericConnectionProvider = serde_json::from_value(vendor.with_form("tickets")).expect("a provider");
    platform.connection_providers_mut().register(own);
    let server = World::serve(&home, &vendor, &platform).await;
    let world = World { home, vendor, platform, server };
    let refused = world.api("ada").upload("", at_port("connection-tickets", world.vendor.port)).await.expect(409);
    assert_eq!(refused["code"], "id_reserved", "{refused}");
    assert_eq!(world.offered("ada").await, ["issues", "keys", "tickets"]);
}
