//! Server and worker on one definition: the page's program, roles, seeding, custom routes, ids of
//! drivers in the database and at the worker, and what the page still lists as limitations.

use std::net::TcpListener;

use async_trait::async_trait;
use axum::routing::{get, post};
use axum::{Json, Router};
use everwit_runtime::driver_registry::{
    BoxedChatDriver, ChatDriver, ChatEvent, ChatRequest, ChatStream, DriverConfig, DriverContext, DriverError, DriverRegistry,
};
use everwit_runtime::llmsim_driver::{LlmSimConfig, register_driver};
use everwit_runtime::platform::SeedAgent;
use everwit_runtime::{
    BuiltInCapabilityDefinition, BuiltInHarnessDefinition, BuiltInHarnessRole, CapabilityRegistry, CurrentTimeCapability, DriverId,
    PlatformDefinition,
};
use everwit_server::{
    AppError, DurableWorkerConfig, Module, SeedAction, ServerAppBuilder, ServerConfig, ServerRole, WorkerAppBuilder,
    oss_platform_definition,
};
use futures::{StreamExt, stream};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::support::Api;
use crate::support::embedded::{Home, client};

fn custom_routes() -> Router {
    let reindex = post(|| async { Json(json!({ "queued": true })) });
    Router::new().route("/v1/ping", get(|| async { "pong" })).route("/v1/internal/reindex", reindex)
}

fn minimal() -> BuiltInHarnessDefinition {
    BuiltInHarnessDefinition::new("minimal", "Minimal", "Small default harness for an embedded deployment.", "You are a helpful assistant.")
        .with_roles([BuiltInHarnessRole::Base, BuiltInHarnessRole::Default])
        .with_tags(["minimal", "built-in"])
        .with_capabilities([BuiltInCapabilityDefinition::new("current_time")])
}

/// The preset with parts removed and replaced.
fn platform() -> PlatformDefinition {
    let mut platform = oss_platform_definition();
    platform.capability_registry_mut().unregister("web_fetch");
    platform.connection_providers_mut().unregister("daytona");
    platform
        .built_in_harnesses_mut()
        .retain(|harness| !harness.has_role(BuiltInHarnessRole::Base) && !harness.has_role(BuiltInHarnessRole::Default));
    platform.built_in_harnesses_mut().push(minimal());
    platform
}

/// What the environment says, but on a free port and a directory of the test.
fn config(home: &Home) -> ServerConfig {
    let (mut config, own) = (ServerConfig::from_env(), home.config());
    (config.listen, config.data_dir, config.compiler) = (own.listen, own.data_dir, own.compiler);
    config
}

async fn names(api: &Api, path: &str, field: &str) -> Vec<String> {
    let list = api.get(path).await.expect(200);
    let rows = list["data"].as_array().expect("a list").iter();
    rows.map(|row| row[field].as_str().unwrap_or_default().to_owned()).collect()
}

/// Says something and returns the stored event that ended the turn, and the agent's answer.
async fn say(api: &Api, session: &str, text: &str) -> (Value, String) {
    let mut stream = api.stream(session, "").await;
    api.say(session, text).await;
    stream.until("session.idled").await;
    let events = api.events(session).await;
    let last = |kinds: &[&str]| {
        let found = events.iter().rev().find(|event| kinds.iter().any(|kind| event["type"] == *kind));
        found.cloned().unwrap_or_default()
    };
    let answer = last(&["output.message.completed"])["data"]["message"]["content"][0]["text"].as_str().unwrap_or_default().to_owned();
    (last(&["turn.completed", "turn.failed"]), answer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_customised_server_and_its_worker_run_in_one_process() {
    let home = Home::new();
    let platform = platform();
    let server_platform = platform.clone();
    let worker_platform = platform.clone();
    let mut config = config(&home);
    config.role = ServerRole::ControlPlane;
    let worker = WorkerAppBuilder::new(DurableWorkerConfig::from(config.clone())).platform_definition(worker_platform);
    let worker = worker.start().await.unwrap();
    let server = ServerAppBuilder::new(config).platform_definition(server_platform).routes(custom_routes()).start().await.unwrap();
    let api = client(&server);

    assert_eq!(api.get("/v1/ping").await.text(), "pong");
    assert_eq!(api.post("/v1/internal/reindex", &json!({})).await.expect(200)["queued"], true);
    assert_eq!(names(&api, "/v1/harnesses", "name").await, ["chat", "minimal"]);
    assert_eq!(api.get("/v1/capabilities/web_fetch").await.status, 404, "what was removed is gone");

    let minimal = api.get("/v1/harnesses/minimal").await.expect(200);
    let session = api.post("/v1/sessions", &json!({})).await.expect(201);
    assert_eq!(session["harness_id"], minimal["id"], "role base, whatever it is called");
    let org = api.get("/v1/orgs/default").await.expect(200);
    assert_eq!(org["default_harness_id"], minimal["id"], "role default");
    let chat = api.post("/v1/sessions/chat", &json!({})).await.expect(201);
    assert_eq!(chat["harness_id"], api.get("/v1/harnesses/chat").await.expect(200)["id"], "role chat");

    let (end, _) = say(&api, session["id"].as_str().unwrap(), "/call get_current_time {}").await;
    assert_eq!(end["type"], "turn.completed", "the worker runs it: {end}");
    server.shutdown().await.unwrap();
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn run_tells_why_it_does_not() {
    let home = Home::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut busy = config(&home);
    busy.listen = taken.local_addr().unwrap();
    let refused = ServerAppBuilder::new(busy).platform_definition(platform()).routes(custom_routes()).run().await.unwrap_err();
    assert!(matches!(refused, AppError::Listen { .. }), "{refused}");

    let server = home.start(&platform()).await;
    let worker = DurableWorkerConfig::from(config(&home));
    let refused = WorkerAppBuilder::new(worker).platform_definition(oss_platform_definition()).run().await.unwrap_err();
    assert!(matches!(refused, AppError::DefinitionMismatch { .. }), "{refused}");
    server.shutdown().await.unwrap();
}

/// A definition from nothing, with the drivers that a test wants.
fn from_nothing(drivers: DriverRegistry) -> PlatformDefinition {
    let mut capabilities = CapabilityRegistry::new();
    capabilities.register(CurrentTimeCapability);
    let needs = |capability: &str| [BuiltInCapabilityDefinition::new(capability)];
    PlatformDefinition::builder()
        .capability_registry(capabilities)
        .driver_registry(drivers)
        .built_in_harnesses([minimal()])
        .seed_agent(SeedAgent::new("clock", "minimal", "Tells the time.").with_capabilities(needs("current_time")))
        .seed_agent(SeedAgent::new("coder", "minimal", "Writes code.").with_capabilities(needs("daytona")))
        .build()
        .unwrap()
}

fn simulator() -> DriverRegistry {
    let mut drivers = DriverRegistry::new();
    register_driver(&mut drivers, LlmSimConfig::echo());
    drivers
}

#[tokio::test]
async fn seeding_is_filtered_by_what_the_definition_has() {
    let home = Home::new();
    let server = home.start(&from_nothing(simulator())).await;
    let api = client(&server);
    assert_eq!(names(&api, "/v1/harnesses", "name").await, ["minimal"]);
    assert_eq!(names(&api, "/v1/capabilities", "id").await, ["current_time"]);
    assert_eq!(names(&api, "/v1/providers", "name").await, ["Simulator"], "providers need their driver");
    assert_eq!(names(&api, "/v1/models", "model_id").await, ["llmsim-model"], "and so do their models");
    assert_eq!(names(&api, "/v1/agents", "name").await, ["clock"], "an agent needs its capabilities");
    let skipped = server.seeding()[0].entries.iter().find(|entry| entry.key == "coder").unwrap();
    assert_eq!(skipped.action, SeedAction::Skipped);
    assert!(skipped.detail.contains("daytona"), "{skipped:?}");
    server.shutdown().await.unwrap();

    let mut drivers = simulator();
    drivers.register(DriverId::Anthropic, |config| Box::new(Repeating::new(config)) as BoxedChatDriver);
    let server = home.start(&from_nothing(drivers)).await;
    assert_eq!(names(&client(&server), "/v1/providers", "name").await, ["Simulator", "Anthropic"]);
}

/// Answers with the account that it was configured with.
struct Repeating {
    account: Option<String>,
    token: Option<String>,
}

impl Repeating {
    fn new(config: &DriverConfig) -> Self {
        let metadata = config.metadata.clone().unwrap_or_default();
        Self { account: metadata.account_id, token: metadata.refresh_token.map(|token| token.expose_secret().to_owned()) }
    }
}

#[async_trait]
impl ChatDriver for Repeating {
    async fn complete(&self, _request: ChatRequest, _context: DriverContext) -> Result<ChatStream, DriverError> {
        let text = format!("account {:?}, token of {} bytes", self.account, self.token.as_ref().map_or(0, String::len));
        let events = [ChatEvent::Text(text), ChatEvent::finish("stop")];
        Ok(stream::iter(events.map(Ok)).boxed())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_driver_ids_go_through_database_and_worker() {
    let home = Home::new();
    let mut drivers = simulator();
    drivers.register_external("OpenAI-Codex", |config: &DriverConfig| Box::new(Repeating::new(config)) as BoxedChatDriver);
    let platform = from_nothing(drivers);
    let mut control = home.config();
    control.role = ServerRole::ControlPlane;
    let server = ServerAppBuilder::new(control).platform_definition(platform.clone()).start().await.unwrap();
    let worker = home.worker(&platform).start().await.unwrap();
    let api = client(&server);
    let provider = json!({
        "name": "Codex", "provider_type": "openai-CODEX",
        "provider_metadata": { "refresh_token": "a-refresh-token", "account_id": "acct-7" },
    });
    let provider = api.post("/v1/providers", &provider).await.expect(201);
    assert_eq!((&provider["provider_type"], &provider["driver_registered"]), (&json!("openai-codex"), &json!(true)));
    let models = format!("/v1/providers/{}/models", provider["id"].as_str().unwrap());
    let model = api.post(&models, &json!({ "model_id": "gpt-5-codex" })).await.expect(201);
    let session = api.session_with(&json!({ "model_id": model["id"] })).await;
    let (_, answer) = say(&api, &session, "Who are you?").await;
    assert_eq!(answer, "account Some(\"acct-7\"), token of 15 bytes");
    server.shutdown().await.unwrap();
    worker.shutdown().await.unwrap();

    let server = home.start(&from_nothing(simulator())).await;
    let api = client(&server);
    let kept = api.get("/v1/providers/Codex").await.expect(200);
    assert_eq!((&kept["provider_type"], &kept["driver_registered"]), (&json!("openai-codex"), &json!(false)), "kept without its driver");
    let (end, _) = say(&api, &session, "And now?").await;
    assert_eq!((&end["type"], &end["data"]["error_code"]), (&json!("turn.failed"), &json!("driver_not_registered")), "{end}");
    let blank = api.post("/v1/providers", &json!({ "name": "Blank", "provider_type": " " })).await;
    assert_eq!(blank.status, 422, "an id of white space is a configuration error");
}

/// Tell how much is owed
#[utoipa::path(get, path = "/v1/billing", tag = "billing", responses((status = 200, body = String)))]
async fn billing() -> &'static str {
    "nothing"
}

#[tokio::test]
async fn what_the_page_calls_limitations_is_lifted() {
    let home = Home::new();
    let routes = OpenApiRouter::new().routes(routes!(billing));
    let server = home.server(&platform()).api_routes(routes).without_module(Module::Components).start().await.unwrap();
    let api = client(&server);
    let document = api.get("/openapi.json").await.expect(200);
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.contains_key("/v1/billing"), "custom routes are in the document");
    assert!(!paths.keys().any(|path| path.starts_with("/v1/components")), "stock modules can be switched off");
    assert_eq!((api.get("/v1/billing").await.text().as_str(), api.get("/v1/components").await.status), ("nothing", 404));

    // Harnesses are still data, but what they list can be code that came at run time: a component.
    let component = everwit_runtime::ComponentDefinition::bytes(
        crate::support::guest("echo"),
        everwit_runtime::component::Grant::default(),
        everwit_runtime::limits::Budget::TOOL_CALL,
    );
    server.shutdown().await.unwrap();
    let mut platform = platform();
    platform.components_mut().push(component);
    platform.built_in_harnesses_mut().retain(|harness| harness.key == "minimal");
    platform.built_in_harnesses_mut()[0].capabilities.push(BuiltInCapabilityDefinition::new("echo"));
    let server = Home::new();
    let started = server.start(&platform).await;
    let api = client(&started);
    let session = api.session().await;
    let (end, _) = say(&api, &session, "/call echo__echo {\"value\": 1}").await;
    assert_eq!((&end["type"], &end["data"]["tool_call_count"]), (&json!("turn.completed"), &json!(1)), "{end}");
}
