//! Connections over HTTP, against a third party that checks everything: forms, OAuth with PKCE,
//! refreshes, turns that wait for them; who may use whose, and that no credential is anywhere.

mod components;
mod vendor;

use async_trait::async_trait;
use axum::http::request::Parts;
use everwit_runtime::PlatformDefinition;
use everwit_runtime::capability::{CallError, Capability, Failure, ToolCallContext, ToolDefinition, ToolOutcome, ToolOutput};
use everwit_runtime::component::{Effects, Grant, HttpPermission};
use everwit_runtime::connection::GenericConnectionProvider;
use everwit_runtime::egress::{EgressQuota, EgressRequest, PrivateTarget};
use everwit_runtime::id::OrgId;
use everwit_server::{AuthError, Authenticator, Caller, Scope, ServerHandle, oss_platform_definition};
use reqwest::Method;
use reqwest::redirect::Policy;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::time::{Duration, Instant};
use uuid::Uuid;

use crate::support::embedded::{Home, client};
use crate::support::{Answer, Api, send};
use vendor::{PLANTED, Vendor};

/// Asks the third party on behalf of the user, once for each call.
struct Issues {
    tools: Vec<ToolDefinition>,
    port: u16,
}

impl Issues {
    fn new(port: u16) -> Self {
        let tool = ToolDefinition {
            name: "whoami".to_owned(),
            title: "Who am I".to_owned(),
            description: "Says who the user is.".to_owned(),
            input_schema: json!({ "type": "object", "properties": { "provider": { "type": "string" } } }),
            // Neither read-only nor idempotent: a call that did something must never be repeated.
            effects: Effects::default(),
        };
        Self { tools: vec![tool], port }
    }

    async fn ask(&self, call: &ToolCallContext, provider: &str) -> Result<ToolOutput, CallError> {
        let credential = call.connection(provider).await?;
        let host = format!("127.0.0.1:{}", self.port);
        let http = vec![HttpPermission { host: host.clone(), methods: Vec::new(), path_prefix: None, reason: String::new() }];
        let request = EgressRequest {
            method: "GET".to_owned(),
            url: format!("http://{host}/user"),
            headers: vec![("authorization".to_owned(), format!("Bearer {}", credential.token.expose_secret()))],
            ..EgressRequest::default()
        };
        let mut quota = EgressQuota::new(1, 1 << 16, Instant::now() + Duration::from_secs(30));
        let sent = call.services.egress.send(&call.org_id.to_string(), &Grant { http, ..Grant::default() }, request, &mut quota).await;
        let response = sent.map_err(|error| CallError::Failed(Failure::new("upstream", "egress", error.to_string())))?;
        Ok(ToolOutput::text(format!("status {}", response.status())))
    }
}

#[async_trait]
impl Capability for Issues {
    fn id(&self) -> &str {
        "issues"
    }

    fn name(&self) -> &str {
        "Issues"
    }

    fn description(&self) -> &str {
        "Asks a third party."
    }

    fn tools(&self) -> &[ToolDefinition] {
        &self.tools
    }

    async fn call_tool(&self, call: &ToolCallContext, _tool: &str, arguments: Value) -> ToolOutcome {
        ToolOutcome::native(self.ask(call, arguments["provider"].as_str().unwrap_or("issues")).await)
    }
}

/// Admits whoever says a name and, behind a slash, the number of an org.
struct ByName;

#[async_trait]
impl Authenticator for ByName {
    async fn authenticate(&self, request: &Parts) -> Result<Caller, AuthError> {
        let text = request.headers.get("authorization").and_then(|value| value.to_str().ok());
        let text = text.ok_or_else(|| AuthError::Unauthorized("say who you are".to_owned()))?;
        let (name, org) = text.split_once('/').unwrap_or((text, "1"));
        let org = org.parse().map_err(|_| AuthError::Forbidden("an org is a number".to_owned()))?;
        Ok(Caller::new(OrgId::from_uuid(Uuid::from_u128(org)), Scope::Admin, name))
    }
}

/// A server whose users connect with one vendor, as `issues` over OAuth and `keys` with a form.
struct World {
    home: Home,
    vendor: Vendor,
    platform: PlatformDefinition,
    server: ServerHandle,
}

impl World {
    async fn start() -> Self {
        let (home, vendor) = (Home::new(), Vendor::start().await);
        let mut platform = oss_platform_definition();
        platform.capability_registry_mut().register(Issues::new(vendor.port));
        let server = Self::serve(&home, &vendor, &platform).await;
        Self { home, vendor, platform, server }
    }

    async fn serve(home: &Home, vendor: &Vendor, platform: &PlatformDefinition) -> ServerHandle {
        let mut config = home.config();
        let provider = |value| serde_json::from_value::<GenericConnectionProvider>(value).expect("a provider");
        config.connection_providers = vec![provider(vendor.over_oauth("issues")), provider(vendor.with_form("keys"))];
        config.private_targets = vec![format!("127.0.0.1:{}", vendor.port).parse::<PrivateTarget>().expect("a target")];
        let builder = everwit_server::ServerAppBuilder::new(config).platform_definition(platform.clone());
        builder.auth(ByName).start().await.expect("the server starts")
    }

    async fn restart(self) -> Self {
        let Self { home, vendor, platform, server } = self;
        server.shutdown().await.expect("the server ends");
        let server = Self::serve(&home, &vendor, &platform).await;
        Self { home, vendor, platform, server }
    }

    fn api(&self, user: &str) -> Api {
        client(&self.server).with_authorization(user)
    }

    /// What the vendor answers to the browser of somebody who begins to connect: the path that it
    /// is sent back to, and the cookie that it keeps.
    async fn authorized(&self, user: &str) -> (String, String) {
        self.authorized_with("issues", user).await
    }

    /// As [`Self::authorized`], with any provider.
    async fn authorized_with(&self, provider: &str, user: &str) -> (String, String) {
        let begun = self.api(user).get(&format!("/v1/user/connections/{provider}/authorize?return_to=/done")).await;
        let cookie = begun.header("set-cookie").split(';').next().expect("a cookie").to_owned();
        assert!(begun.header("set-cookie").contains("HttpOnly; SameSite=Lax"), "{}", begun.header("set-cookie"));
        let url = begun.expect(200)["authorization_url"].as_str().expect("a URL").to_owned();
        assert!(!url.contains(PLANTED), "{url}");
        let back = browser().get(url).send().await.expect("the vendor answers");
        assert_eq!(back.status().as_u16(), 302, "{}", back.text().await.unwrap_or_default());
        let location = back.headers()["location"].to_str().expect("text").to_owned();
        let own = format!("http://{}", self.server.address);
        (location.strip_prefix(&own).expect("the browser is sent back").to_owned(), cookie)
    }

    /// Connects with `issues`.
    async fn connect(&self, user: &str) {
        let (path, _) = self.authorized(user).await;
        assert_eq!(finish(&self.api(user), &path, None).await.status, 303);
    }

    async fn session(&self, user: &str) -> String {
        self.api(user).session_with(&json!({ "capabilities": [{ "ref": "issues" }] })).await
    }

    /// Has the tool called; returns the events once the session has come to a rest.
    async fn call(&self, user: &str, session: &str, calls: &str, until: &str) -> Vec<Value> {
        let api = self.api(user);
        let mut stream = api.stream(session, "").await;
        api.say(session, calls).await;
        stream.until(until).await;
        api.events(session).await
    }
}

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
    for wrong in [json!({ "keys": "x" }), json!({ "KEYS_API_KEY": "" }), json!({ "KEYS_API_KEY": "a\nb" })] {
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
