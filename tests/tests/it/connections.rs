//! Connections over HTTP, against a third party that checks everything: forms, OAuth with PKCE,
//! refreshes, turns that wait for them; who may use whose, and that no credential is anywhere.

mod components;
mod vendor;
mod world;

use everwit_runtime::connection::GenericConnectionProvider;
use reqwest::Method;
use reqwest::redirect::Policy;
use serde_json::{Value, json};

use crate::support::embedded::client;
use crate::support::{Answer, Api, send};
use vendor::PLANTED;
use world::World;

fn browser() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().redirect(Policy::none()).build().expect("a client")
}

/// Follows the way back as a browser does: redirects are left to the test.
async fn finish(api: &Api, path: &str, cookie: Option<&str>) -> Answer {
    let request = api.request(Method::GET, path).build().expect("a request");
    let mut request = browser().request(Method::GET, request.url().clone()).headers(request.headers().clone());
    if let Some(cookie) = cookie {
        request = request.header("cookie", cookie);
    }
    send(request).await
}

fn of_type<'a>(events: &'a [Value], name: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["type"] == name).map(|event| &event["data"]).collect()
}

async fn ended(api: &Api, session: &str) -> Vec<Value> {
    api.stream(session, "?after_sequence=0").await.until("session.idled").await;
    api.events(session).await
}

#[tokio::test]
async fn a_form_is_checked_tried_out_and_never_shown() {
    let world = World::start().await;
    let api = world.api("ada");
    let providers = api.get("/v1/user/connections/providers").await.expect(200);
    let ids: Vec<&Value> = providers["data"].as_array().expect("a list").iter().map(|provider| &provider["provider_id"]).collect();
    assert_eq!(ids, ["issues", "keys"]);
    assert_eq!(providers["data"][1]["form_schema"]["fields"][1]["name"], "workspace");
    assert!(!providers.to_string().contains(PLANTED), "{providers}");

    let path = "/v1/user/connections/keys";
    let key = format!("key-{PLANTED}");
    let wrong = api.post(path, &json!({ "workspace": "a\nb", "other": "x" })).await.expect(422);
    let codes: Vec<&Value> = wrong["errors"].as_array().expect("findings").iter().map(|finding| &finding["code"]).collect();
    assert_eq!(codes, ["required", "invalid_value", "unknown_field"], "{wrong}");
    let refused = api.post(path, &json!({ "api_key": key })).await;
    assert!(!refused.text().contains(PLANTED), "{}", refused.text());
    assert_eq!(refused.expect(422)["code"], "refused_by_third_party");
    assert_eq!(api.get("/v1/user/connections").await.expect(200)["total"], 0, "what does not work is not kept");

    world.vendor.accept(&key);
    let made = api.post(path, &json!({ "api_key": key, "workspace": "w" })).await;
    assert!(!made.text().contains(PLANTED), "{}", made.text());
    let made = made.expect(201);
    assert_eq!(
        (&made["provider"], &made["provider_username"], &made["status"]),
        (&json!("keys"), &json!("ada-at-vendor"), &json!("active"))
    );
    assert_eq!(api.post(&format!("{path}/verify"), &json!({})).await.expect(200), json!({ "valid": true }));
    world.vendor.revoke_access();
    assert_eq!(api.post(&format!("{path}/verify"), &json!({})).await.expect(200)["valid"], false);
    assert_eq!(api.get(&format!("{path}/authorize")).await.expect(409)["code"], "wrong_connection_type");
    assert_eq!(api.post("/v1/user/connections/issues", &json!({ "api_key": "x" })).await.expect(409)["code"], "wrong_connection_type");
    assert_eq!(api.post("/v1/user/connections/nobody", &json!({ "api_key": "x" })).await.status, 404);
    assert_eq!((api.delete(path).await.status, api.delete(path).await.status), (204, 404));
}

#[tokio::test]
async fn an_authorization_is_finished_once_by_who_began_it() {
    let world = World::start().await;
    let (ada, eve) = (world.api("ada"), world.api("eve"));
    let nobody = client(&world.server);
    // Eve has Ada's browser finish what Eve began, to get hold of Ada's account.
    let (begun_by_eve, cookie_of_eve) = world.authorized("eve").await;
    assert_eq!(finish(&ada, &begun_by_eve, None).await.expect(403)["code"], "foreign_authorization");
    assert_eq!(finish(&eve, &begun_by_eve, None).await.expect(400)["code"], "unknown_authorization", "it is used up");
    let (path, cookie) = world.authorized("ada").await;
    assert_eq!(finish(&nobody, &path, None).await.status, 401);
    assert_eq!(finish(&nobody, &path, Some(&cookie_of_eve)).await.status, 403);
    assert_eq!(world.api("ada").get("/v1/user/connections").await.expect(200)["total"], 0);

    let (path, cookie) = {
        drop(cookie);
        world.authorized("ada").await
    };
    let done = finish(&nobody, &path, Some(&cookie)).await;
    assert_eq!((done.status, done.header("location")), (303, "/done"), "a browser needs no key");
    assert_eq!(finish(&ada, &path, None).await.expect(400)["code"], "unknown_authorization", "a state works once");
    let list = ada.get("/v1/user/connections").await.expect(200);
    let own = &list["data"][0];
    assert_eq!(
        (&own["provider_username"], &own["scopes"], &own["connection_type"]),
        (&json!("ada-at-vendor"), &json!("read"), &json!("oauth"))
    );
    for (user, total) in [("eve", 0), ("ada/2", 0), ("ada", 1)] {
        assert_eq!(world.api(user).get("/v1/user/connections").await.expect(200)["total"], total, "{user}");
    }
    assert_eq!(eve.delete("/v1/user/connections/issues").await.status, 404);
}

#[tokio::test]
async fn a_state_that_was_changed_or_belongs_elsewhere_is_not_known() {
    let world = World::start().await;
    let ada = world.api("ada");
    let (path, _) = world.authorized("ada").await;
    for wrong in [
        path.replace("state=", "state=x"),
        path.replace("/issues/", "/keys/"),
        "/v1/user/connections/issues/callback?code=c&state=s".to_owned(),
    ] {
        assert_eq!(finish(&ada, &wrong, None).await.expect(400)["code"], "unknown_authorization", "{wrong}");
    }
    assert_eq!(finish(&ada, "/v1/user/connections/issues/callback?code=c", None).await.expect(400)["code"], "invalid_parameter");
    let (path, _) = world.authorized("ada").await;
    let (route, query) = path.split_once('?').expect("a query");
    let state = query.split('&').find(|pair| pair.starts_with("state=")).expect("a state");
    let denied = finish(&ada, &format!("{route}?{state}&error=access_denied&error_description={PLANTED}"), None).await;
    assert!(!denied.text().contains(PLANTED) && denied.text().contains("access_denied"), "{}", denied.text());
    denied.expect(422);
    for path in ["https://evil.example/", "//evil.example", "/\\evil.example"] {
        let path = format!("/v1/user/connections/issues/authorize?return_to={path}");
        assert_eq!(ada.get(&path).await.expect(400)["code"], "invalid_parameter", "{path}");
    }
}

#[tokio::test]
async fn what_a_vendor_answers_instead_of_tokens_is_told_without_its_words() {
    let world = World::start().await;
    let ada = world.api("ada");
    for (status, body, code) in [
        (400, json!({ "error": "invalid_grant", "error_description": PLANTED }), "refused_by_third_party"),
        (401, json!({ "error": "invalid_client", "error_description": PLANTED }), "connection_provider_misconfigured"),
        (500, json!({ "error": PLANTED }), "third_party_unavailable"),
        (200, json!({ "access_token": PLANTED }), "third_party_unavailable"),
        (200, json!({ "error": "bad_verification_code", "hint": PLANTED }), "third_party_unavailable"),
    ] {
        let (path, _) = world.authorized("ada").await;
        world.vendor.fail(status, body);
        let answer = finish(&ada, &path, None).await;
        assert!(!answer.text().contains(PLANTED), "{}", answer.text());
        assert_eq!(answer.json()["code"], code, "{status}: {}", answer.text());
    }
    assert_eq!(ada.get("/v1/user/connections").await.expect(200)["total"], 0);
}

#[tokio::test]
async fn a_turn_waits_for_a_connection_and_its_call_runs_once_it_is_made() {
    let world = World::start().await;
    let session = world.session("ada").await;
    let events = world.call("ada", &session, "/call whoami {}\n/call current_time {}", "tool.call_requested").await;
    let asked = of_type(&events, "tool.call_requested")[0]["tool_calls"].clone();
    assert_eq!(asked.as_array().map(Vec::len), Some(1));
    assert_eq!(
        (&asked[0]["kind"], &asked[0]["connection_required"], &asked[0]["name"]),
        (&json!("connection"), &json!("issues"), &json!("whoami"))
    );
    let api = world.api("ada");
    api.stream(&session, "?after_sequence=0").await.until("tool.call_requested").await;
    let world = world.restart().await;
    let api = {
        drop(api);
        world.api("ada")
    };
    assert_eq!(api.get(&format!("/v1/sessions/{session}")).await.expect(200)["status"], "waiting_for_tool_results");
    world.connect("eve").await;
    assert_eq!(
        api.get(&format!("/v1/sessions/{session}")).await.expect(200)["status"],
        "waiting_for_tool_results",
        "another user's is of no use"
    );
    world.connect("ada").await;
    let events = ended(&api, &session).await;
    let results = of_type(&events, "tool.completed");
    let whoami: Vec<&&Value> = results.iter().filter(|result| result["tool_name"] == "whoami").collect();
    assert_eq!((whoami.len(), &whoami[0]["result"][0]["text"]), (1, &json!("status 200")), "{results:?}");
    let made = of_type(&events, "tool.connection_made");
    assert_eq!((made.len(), &made[0]["provider"]), (1, &json!("issues")));
    assert_eq!(of_type(&events, "output.message.completed").len(), 2, "no further model call");
    assert!(!serde_json::to_string(&events).expect("JSON").contains(PLANTED));
}

#[tokio::test]
async fn a_session_secret_goes_before_the_connection_and_wakes_the_turn() {
    let world = World::start().await;
    let api = world.api("ada");
    let session = world.session("ada").await;
    world.call("ada", &session, "/call whoami {\"provider\": \"keys\"}", "tool.call_requested").await;
    let path = format!("/v1/sessions/{session}/storage/secrets");
    let put = |body: Value| send(api.request(Method::PUT, &path).json(&body));
    for wrong in [
        json!({ "keys": "x" }),
        json!({ "KEYS_API_KEY": "" }),
        json!({ "KEYS_API_KEY": "a\nb" }),
        json!({ "KEYS_API_KEY": "x".repeat(16_385) }),
    ] {
        put(json!({ "secrets": wrong })).await.expect(422);
    }
    let key = format!("key-{PLANTED}");
    world.vendor.accept(&key);
    let names = put(json!({ "secrets": { "KEYS_API_KEY": key, "OTHER": "x" } })).await;
    assert!(!names.text().contains(PLANTED));
    assert_eq!(names.expect(200)["data"], json!([{ "name": "KEYS_API_KEY" }, { "name": "OTHER" }]));
    let events = ended(&api, &session).await;
    assert_eq!(of_type(&events, "tool.completed")[0]["result"][0]["text"], "status 200");
    assert_eq!(put(json!({ "secrets": { "OTHER": null } })).await.expect(200)["total"], 1);
    assert_eq!(world.api("ada/2").get(&path).await.status, 404);
}

#[tokio::test]
async fn two_calls_that_find_a_token_stale_refresh_it_once() {
    let world = World::start().await;
    // Within the skew, so that the first use refreshes.
    world.vendor.set_life(Some(30));
    world.connect("ada").await;
    world.vendor.set_life(Some(3_600));
    let session = world.session("ada").await;
    let held = world.vendor.hold_refreshes();
    let api = world.api("ada");
    let mut stream = api.stream(&session, "").await;
    api.say(&session, "/call whoami {}\n/call whoami {\"provider\": \"Issues\"}").await;
    // Both are under way: none can have its result before the vendor answers.
    stream.until("tool.started").await;
    drop(held);
    let events = ended(&api, &session).await;
    let texts: Vec<&Value> = of_type(&events, "tool.completed").iter().map(|result| &result["result"][0]["text"]).collect();
    assert_eq!(texts, ["status 200", "status 200"], "{events:#?}");
    assert_eq!(world.vendor.refreshes(), 1);
    world.call("ada", &session, "/call whoami {}", "session.idled").await;
    assert_eq!(world.vendor.refreshes(), 1, "what is fresh is not refreshed");
}

#[tokio::test]
async fn a_refresh_that_is_refused_asks_the_user_again_and_an_outage_does_not() {
    let world = World::start().await;
    world.vendor.set_life(Some(30));
    world.connect("ada").await;
    world.vendor.fail(503, json!({ "error": "temporarily_unavailable" }));
    let session = world.session("ada").await;
    let events = world.call("ada", &session, "/call whoami {}", "session.idled").await;
    assert_eq!(of_type(&events, "tool.completed")[0]["result"][0]["text"], "status 200", "the token still lives");
    world.vendor.fail(400, json!({ "error": "invalid_grant" }));
    let api = world.api("ada");
    let second = world.session("ada").await;
    world.call("ada", &second, "/call whoami {}", "tool.call_requested").await;
    assert_eq!(api.get("/v1/user/connections").await.expect(200)["data"][0]["status"], "expired");
    assert_eq!(api.post("/v1/user/connections/issues/verify", &json!({})).await.expect(200)["valid"], false);
}

#[tokio::test]
async fn nothing_of_a_credential_is_on_the_disk_in_the_clear() {
    let world = World::start().await;
    world.connect("ada").await;
    let (key, api) = (format!("key-{PLANTED}"), world.api("ada"));
    world.vendor.accept(&key);
    api.post("/v1/user/connections/keys", &json!({ "api_key": key, "workspace": PLANTED })).await.expect(201);
    world.authorized("ada").await;
    let session = world.session("ada").await;
    world.call("ada", &session, "/call whoami {}", "session.idled").await;
    let World { home, server, .. } = world;
    server.shutdown().await.expect("the server ends");
    let found = home.files_with(PLANTED);
    assert_eq!(found, Vec::<String>::new());
    assert!(!home.files_with("ada-at-vendor").is_empty(), "the search finds what is in the clear");
}

#[test]
fn a_provider_that_cannot_work_is_refused_with_all_that_is_wrong() {
    let check = |change: fn(&mut Value), expected: usize| {
        let mut value = json!({
            "id": "issues", "display_name": "Issues", "hosts": ["api.issues.example"],
            "method": { "oauth": { "authorize_url": "https://issues.example/a", "token_url": "https://issues.example/t", "client_id": "c" } },
            "check": { "url": "https://api.issues.example/user" },
        });
        change(&mut value);
        let provider: GenericConnectionProvider = serde_json::from_value(value).expect("a provider");
        assert_eq!(provider.problems().len(), expected, "{:?}", provider.problems());
    };
    check(|_| {}, 0);
    check(|value| value["id"] = json!("Issues"), 1);
    check(|value| value["check"]["url"] = json!("https://elsewhere.example/user"), 1);
    check(|value| value["method"]["oauth"]["token_url"] = json!("http://issues.example/t"), 1);
    check(|value| value["method"] = json!({ "api_key": { "fields": [] } }), 1);
}
