//! Servers and workers of an embedder: own routes, authentication, listeners and components.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use axum::http::request::Parts;
use axum::routing::get;
use axum::{Json, Router};
use everwit_runtime::BuiltInHarnessRole::{Base, Default as DefaultRole};
use everwit_runtime::component::Grant;
use everwit_runtime::event::Event;
use everwit_runtime::id::OrgId;
use everwit_runtime::limits::Budget;
use everwit_runtime::{BuiltInCapabilityDefinition, PlatformDefinition};
use everwit_server::{
    AppError, AuthError, Authenticator, Caller, EventListener, Module, Scope, ServerRole, authorized, authorized_api,
    oss_platform_definition,
};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::support::embedded::{Home, client, template, with_harnesses};
use crate::support::{Api, guest, send};

/// Longer than anything that a test waits for.
const LIMIT: Duration = Duration::from_secs(60);

/// Tells what the caller says who it is.
async fn whoami(caller: Caller) -> Json<Value> {
    Json(json!({ "org": caller.org, "subject": &*caller.subject }))
}

/// Tell the weight of an embedder's things
#[utoipa::path(get, path = "/v1/weights", tag = "weights", responses((status = 200, body = String)))]
async fn weights() -> &'static str {
    "heavy"
}

/// Admits whoever names a number, as an org of that number.
struct ByHeader;

#[async_trait]
impl Authenticator for ByHeader {
    async fn authenticate(&self, request: &Parts) -> Result<Caller, AuthError> {
        let text = request.headers.get("x-tenant").and_then(|value| value.to_str().ok());
        let text = text.ok_or_else(|| AuthError::Unauthorized("send x-tenant".to_owned()))?;
        let (number, scope) = match text.strip_prefix("reader-") {
            Some(number) => (number, Scope::Read),
            None => (text, Scope::Admin),
        };
        let number = number.parse().map_err(|_| AuthError::Forbidden("x-tenant is a number".to_owned()))?;
        Ok(Caller::new(OrgId::from_uuid(Uuid::from_u128(number)), scope, text))
    }
}

fn as_tenant(api: &Api, method: Method, path: &str, tenant: &str) -> reqwest::RequestBuilder {
    api.request(method, path).header("x-tenant", tenant)
}

#[tokio::test]
async fn custom_routes_are_open_unless_they_ask_who_calls() {
    let home = Home::new();
    let open = Router::new().route("/v1/ping", get(|| async { "pong" })).route("/v1/whoami", get(whoami));
    let guarded = authorized(Scope::Admin, Router::new().route("/v1/guarded", get(whoami)));
    let server = home.server(&oss_platform_definition()).routes(open).routes(guarded).auth(ByHeader).start().await.expect("it starts");
    let api = client(&server);
    for prefix in ["", "/api"] {
        let ping = api.get(&format!("{prefix}/v1/ping")).await;
        assert_eq!((ping.status, ping.text().as_str()), (200, "pong"));
        assert!(!ping.header("x-request-id").is_empty(), "it passes what every request passes");
    }
    for path in ["/v1/whoami", "/v1/guarded", "/v1/agents"] {
        let ask = async |tenant: &str| send(as_tenant(&api, Method::GET, path, tenant)).await;
        assert_eq!(api.get(path).await.expect(401)["code"], "unauthorized", "{path}");
        assert_eq!(ask("x").await.expect(403)["code"], "forbidden", "{path}");
        assert_eq!(ask("7").await.status, 200, "{path}");
        assert_eq!(ask("reader-7").await.status, if path == "/v1/guarded" { 403 } else { 200 }, "{path}");
    }
    let told = send(as_tenant(&api, Method::GET, "/v1/whoami", "7")).await.expect(200);
    assert_eq!(told["subject"], "7");
}

#[tokio::test]
async fn an_authenticator_replaces_keys_and_its_orgs_are_apart() {
    let home = Home::new();
    let server = home.server(&oss_platform_definition()).auth(ByHeader).start().await.expect("it starts");
    let api = client(&server);
    let agent = json!({ "name": "a", "system_prompt": "" });
    send(as_tenant(&api, Method::POST, "/v1/agents", "1").json(&agent)).await.expect(201);
    assert_eq!(send(as_tenant(&api, Method::POST, "/v1/agents", "reader-1").json(&agent)).await.status, 403);
    for (tenant, total) in [("1", 1), ("reader-1", 1), ("2", 0)] {
        let list = send(as_tenant(&api, Method::GET, "/v1/agents", tenant)).await.expect(200);
        assert_eq!(list["total"], total, "{tenant}");
    }
    let chat = async |tenant: &str| send(as_tenant(&api, Method::POST, "/v1/sessions/chat", tenant)).await.json()["id"].clone();
    assert_ne!(chat("1").await, chat("2").await);
    assert_eq!(chat("2").await, chat("2").await);
}

#[tokio::test]
async fn documented_routes_join_the_document() {
    let home = Home::new();
    let routes = authorized_api(Scope::Write, OpenApiRouter::new().routes(routes!(weights)));
    let server = home.server(&oss_platform_definition()).api_routes(routes).auth(ByHeader).start().await.expect("it starts");
    let api = client(&server);
    let document = api.get("/openapi.json").await.expect(200);
    let operation = &document["paths"]["/v1/weights"]["get"];
    assert_eq!(operation["security"][0]["bearer"], json!(["write"]), "{operation}");
    assert_eq!(operation["responses"]["403"]["$ref"], "#/components/responses/Forbidden");
    let ask = async |tenant: &str| send(as_tenant(&api, Method::GET, "/v1/weights", tenant)).await.status;
    assert_eq!((ask("1").await, ask("reader-1").await, api.get("/v1/weights").await.status), (200, 403, 401));
}

#[tokio::test]
async fn a_module_that_is_off_leaves_no_trace() {
    let home = Home::new();
    let builder = home.server(&oss_platform_definition()).without_module(Module::Components).without_module(Module::Capabilities);
    let server = builder.start().await.expect("it starts");
    let api = client(&server);
    for path in ["/v1/components", "/v1/capabilities", "/v1/capabilities/current_time"] {
        assert_eq!(api.get(path).await.expect(404)["code"], "no_such_route", "{path}");
    }
    api.get("/v1/agents").await.expect(200);
    let document = api.get("/openapi.json").await.expect(200);
    let paths = document["paths"].as_object().expect("paths");
    assert!(paths.contains_key("/v1/agents"));
    assert!(!paths.keys().any(|path| path.contains("components") || path.contains("capabilities")), "{:?}", paths.keys());
    let tags: Vec<&str> = document["tags"].as_array().into_iter().flatten().filter_map(|tag| tag["name"].as_str()).collect();
    assert!(tags.contains(&"agents") && !tags.contains(&"components"), "{tags:?}");
}

#[tokio::test]
async fn every_stock_route_is_in_a_module() {
    let home = Home::new();
    let server = home.start(&oss_platform_definition()).await;
    let document = client(&server).get("/openapi.json").await.expect(200);
    for (path, item) in document["paths"].as_object().expect("paths") {
        for operation in item.as_object().expect("operations").values() {
            let tag = operation["tags"][0].as_str().unwrap_or_default();
            assert!(Module::ALL.iter().any(|module| module.tag() == tag), "{path} has the tag {tag:?}");
        }
    }
    server.shutdown().await.expect("it ends");
    let all_off = Module::ALL.into_iter().fold(home.server(&oss_platform_definition()), |builder, module| builder.without_module(module));
    let server = all_off.routes(Router::new().route("/v1/agents", get(|| async { "mine" }))).start().await.expect("it starts");
    let api = client(&server);
    assert_eq!((api.get("/healthz").await.status, api.get("/openapi.json").await.status, api.get("/docs").await.status), (404, 404, 404));
    assert_eq!(api.get("/v1/agents").await.text(), "mine", "the place is free");
}

#[tokio::test]
async fn a_route_in_the_way_of_another_is_refused() {
    let home = Home::new();
    let taken = Router::new().route("/v1/agents", get(|| async { "mine" }));
    let refused = home.server(&oss_platform_definition()).routes(taken).start().await.err().expect("it is refused");
    assert!(matches!(&refused, AppError::RouteConflict(text) if text.contains("/v1/agents")), "{refused}");
    home.start(&oss_platform_definition()).await;
}

/// Keeps what it is told; panics at each start of a turn, and blocks at each end of one.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<(OrgId, Event)>>>);

impl Recorder {
    fn seen(&self) -> Vec<(OrgId, Event)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl EventListener for Recorder {
    fn on_event(&self, org: OrgId, event: &Event) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((org, event.clone()));
        assert!(event.data.name() != "turn.started", "a listener may panic");
    }
}

/// Never returns while its gate is shut.
struct Stuck(Mutex<std::sync::mpsc::Receiver<()>>);

impl EventListener for Stuck {
    fn on_event(&self, _org: OrgId, _event: &Event) {
        // Ends when the test drops the other end.
        let _ = self.0.lock().unwrap_or_else(PoisonError::into_inner).recv();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_sees_every_stored_event_and_holds_nothing_up() {
    let home = Home::new();
    let recorder = Recorder::default();
    let (gate, shut) = std::sync::mpsc::channel();
    let builder = home.server(&oss_platform_definition()).event_listener(Stuck(Mutex::new(shut))).event_listener(recorder.clone());
    let server = builder.start().await.expect("it starts");
    let api = client(&server);
    let session = api.session().await;
    let mut stream = api.stream(&session, "").await;
    for text in ["/call nothing", "two"] {
        api.say(&session, text).await;
        stream.until("session.idled").await;
    }
    let stored = api.events(&session).await;
    drop(gate);
    server.shutdown().await.expect("it ends");
    let seen: Vec<Value> = recorder.seen().iter().map(|(_, event)| serde_json::to_value(event).expect("JSON")).collect();
    assert_eq!(seen, stored, "all of them, in order, and nothing else");
    assert!(stored.len() > 6 && stored[0]["type"] == "session.started");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_control_plane_leaves_its_turns_to_workers() {
    let home = Home::new();
    let platform = oss_platform_definition();
    let mut config = home.config();
    config.role = ServerRole::ControlPlane;
    let server = everwit_server::ServerAppBuilder::new(config).platform_definition(platform.clone()).start().await.expect("it starts");
    let api = client(&server);
    let session = api.session().await;
    let mut stream = api.stream(&session, "").await;
    api.say(&session, "one").await;
    let other = api.session().await;
    api.say(&other, "waits").await;
    let cancelled = api.post(&format!("/v1/sessions/{other}/cancel"), &json!({})).await.expect(200);
    assert_eq!(cancelled["status"], "cancelled");
    assert_eq!(api.get(&format!("/v1/sessions/{session}")).await.expect(200)["status"], "active");

    let worker = home.worker(&platform).start().await.expect("it starts");
    let frames = stream.until("session.idled").await;
    assert!(frames.iter().any(|frame| frame.event == "output.message.delta"), "live events cross over: {frames:#?}");
    api.say(&session, "two").await;
    stream.until("session.idled").await;
    let mut stream = api.stream(&other, "?after_sequence=0").await;
    stream.until("turn.cancelled").await;
    worker.shutdown().await.expect("it ends");

    // What no worker takes waits for the next one.
    api.say(&session, "three").await;
    let mut stream = api.stream(&session, "").await;
    let second = home.worker(&platform).start().await.expect("it starts");
    stream.until("session.idled").await;
    server.shutdown().await.expect("it ends");
    second.shutdown().await.expect("it ends");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_and_worker_together_never_take_a_session_from_each_other() {
    let home = Home::new();
    // Answers take long enough that messages arrive while a turn runs.
    let script = json!({ "response": { "lorem": 20 }, "latency_per_token_ms": 5 });
    let script = serde_json::from_value(script).expect("a script");
    let mut platform = oss_platform_definition();
    everwit_runtime::driver::llmsim::register_driver(platform.driver_registry_mut(), script);
    let worker = home.worker(&platform).start().await.expect("it starts");
    let server = home.start(&platform).await;
    let api = client(&server);
    let sessions = futures::future::join_all((0..12).map(|_| api.session())).await;
    futures::future::join_all(sessions.iter().map(async |session| {
        let mut stream = api.stream(session, "").await;
        for n in 0..3 {
            api.say_apart(session, "go", n).await;
        }
        for _ in 0..3 {
            stream.until("turn.completed").await;
        }
        let events = api.events(session).await;
        let of = |kind: &str| events.iter().filter(|event| event["type"] == kind).count();
        // A session that changes hands within a turn is activated again for the same turn.
        assert_eq!((of("turn.started"), of("session.activated"), of("turn.completed")), (3, 3, 3), "{events:#?}");
    }))
    .await;
    worker.shutdown().await.expect("it ends");
    let mut stream = api.stream(&sessions[0], "").await;
    api.say(&sessions[0], "still").await;
    stream.until("session.idled").await;
}

#[tokio::test]
async fn another_definition_on_the_same_data_is_refused_by_name() {
    let home = Home::new();
    let platform = oss_platform_definition();
    let server = home.start(&platform).await;
    let mut other = platform.clone();
    other.capability_registry_mut().unregister("current_time");
    other.built_in_harnesses_mut().retain(|harness| harness.key != "generic" && harness.key != "chat");
    other.built_in_harnesses_mut()[0].system_prompt.push('!');
    let refused = home.worker(&other).start().await.err().expect("it is refused");
    let AppError::DefinitionMismatch { difference, .. } = &refused else { panic!("{refused}") };
    assert_eq!(difference.only_first, ["capability/current_time", "harness/chat", "harness/generic"]);
    assert_eq!((difference.only_second.len(), &difference.changed), (0, &vec!["harness/base".to_owned()]));
    assert!(refused.to_string().contains("capability/current_time"), "{refused}");
    home.worker(&platform).start().await.expect("a clone is accepted").shutdown().await.expect("it ends");
    server.shutdown().await.expect("it ends");
    home.start(&with_harnesses([template("x", "", &[Base])])).await;
}

#[tokio::test]
async fn everything_that_is_wrong_is_told_before_anything_starts() {
    let home = Home::new();
    let broken = with_harnesses([
        template("Bad Key", "", &[Base]),
        template("a", "", &[Base]).with_parent_key("b"),
        template("b", "", &[]).with_parent_key("a").with_capabilities([BuiltInCapabilityDefinition::new("nothing")]),
    ]);
    let refused = home.server(&broken).start().await.err().expect("it is refused");
    let AppError::Definition(problems) = &refused else { panic!("{refused}") };
    assert_eq!(problems.0.len(), 4, "{problems}");
    let mut config = home.config();
    (config.max_turns, config.max_calls) = (0, 0);
    let refused = everwit_server::ServerAppBuilder::new(config).start().await.err().expect("it is refused");
    assert!(matches!(&refused, AppError::Config(_)) && refused.to_string().contains("max_calls"), "{refused}");
    let mut config = home.config();
    config.listen = ([0, 0, 0, 0], 0).into();
    let refused = everwit_server::ServerAppBuilder::new(config).start().await.err().expect("it is refused");
    assert!(matches!(&refused, AppError::NeedsKeys(_)), "{refused}");
    // `?` works in a main that returns `anyhow::Result`.
    fn in_main(error: AppError) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Err(error)?
    }
    assert!(in_main(refused).is_err());
}

fn with_component(wasm: Vec<u8>, grant: Grant) -> PlatformDefinition {
    let platform =
        with_harnesses([template("base", "", &[Base, DefaultRole]).with_capabilities([BuiltInCapabilityDefinition::new("counter")])]);
    let builder = PlatformDefinition::builder()
        .capability_registry(platform.capability_registry().clone())
        .driver_registry(platform.driver_registry().clone())
        .built_in_harnesses(platform.built_in_harnesses().to_vec());
    builder.component_bytes(wasm, grant, Budget::TOOL_CALL).build().expect("what a component may be is known later")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_of_the_definition_is_a_capability_of_every_org() {
    let home = Home::new();
    let mut platform = with_component(guest("echo"), Grant::default());
    platform.built_in_harnesses_mut()[0].capabilities = vec![BuiltInCapabilityDefinition::new("echo")];
    let server = home.start(&platform).await;
    let worker = home.worker(&platform).start().await.expect("the same component is the same definition");
    let api = client(&server);
    let session = api.session().await;
    let mut stream = api.stream(&session, "").await;
    api.say(&session, "/call echo__echo {\"value\": \"from the definition\"}").await;
    let frames = stream.until("session.idled").await;
    let called = frames.iter().find(|frame| frame.event == "tool.completed").expect("the tool is called");
    assert!(called.data.to_string().contains("from the definition"), "{called:?}");
    let refused = api.upload("", guest("echo")).await;
    assert!((400..500).contains(&refused.status), "an upload cannot take its id: {}", refused.text());
    worker.shutdown().await.expect("it ends");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_that_cannot_be_used_keeps_a_server_from_starting() {
    let home = Home::new();
    let refusal = async |platform: &PlatformDefinition| home.server(platform).start().await.err().expect("it is refused").to_string();
    let no_component = refusal(&with_component(b"no component".to_vec(), Grant::default())).await;
    assert!(no_component.contains("cannot be used"), "{no_component}");
    let unknown = refusal(&with_component(guest("echo"), Grant::default())).await;
    assert!(unknown.contains("\"counter\", which is not registered"), "{unknown}");
    let beyond = refusal(&with_component(guest("echo"), Grant { kv: vec!["x".to_owned()], ..Grant::default() })).await;
    assert!(beyond.contains("grant"), "{beyond}");
    let mut absent = oss_platform_definition();
    let file = everwit_runtime::ComponentDefinition::file("/nonexistent/x.wasm", Grant::default(), Budget::TOOL_CALL);
    absent.components_mut().push(file);
    let absent = refusal(&absent).await;
    assert!(absent.contains("/nonexistent/x.wasm"), "{absent}");
}

/// The example as a user runs it.
#[tokio::test]
async fn the_example_server_serves_its_routes_and_runs_turns() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_custom-server"));
    command.env_clear().env("EVERWIT_LISTEN", "127.0.0.1:0").env("EVERWIT_DATA_DIR", home.path().join("data"));
    let mut child = command.stdout(std::process::Stdio::piped()).kill_on_drop(true).spawn().expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
    let line = tokio::time::timeout(LIMIT, lines.next_line()).await.expect("in time").expect("a line").expect("it runs");
    let api = Api::new(line.strip_prefix("listening on ").expect("the address"), None);
    assert_eq!(api.get("/v1/ping").await.text(), "pong");
    assert_eq!(api.post("/v1/internal/reindex", &json!({})).await.expect(200)["queued"], true);
    let listed = api.get("/v1/capabilities?search=greet").await.expect(200);
    assert_eq!((listed["data"].as_array().map(Vec::len), &listed["data"][0]["id"]), (Some(1), &json!("greeting")), "{listed}");
    assert_eq!(api.get("/v1/capabilities/current_time").await.status, 404);
    let session = api.session().await;
    let mut stream = api.stream(&session, "").await;
    api.say(&session, "/call greet {\"name\": \"Ada\"}").await;
    let frames = stream.until("session.idled").await;
    assert!(frames.iter().any(|frame| frame.event == "tool.completed" && frame.data.to_string().contains("Hello, Ada!")), "{frames:#?}");
    let id = child.id().expect("it runs");
    let killed = std::process::Command::new("kill").args(["-TERM", &id.to_string()]).status();
    assert!(killed.is_ok_and(|status| status.success()));
    assert!(tokio::time::timeout(LIMIT, child.wait()).await.expect("it ends in time").expect("it ends").success());
}
