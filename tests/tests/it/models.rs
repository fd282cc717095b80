//! Discovery of models against a stub vendor, and what is known of models.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use everwit_runtime::driver::{
    Codec, CodecDriver, CodecRequest, Discovery, DriverConfig, DriverError, DriverErrorKind, DriverId, ModelInfo, Protocol,
};
use everwit_runtime::egress::PrivateTarget;
use everwit_server::{ServerAppBuilder, ServerHandle, oss_platform_definition};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::Api;
use crate::support::embedded::{Home, client};

const PLANTED: &str = "planted-2d71";

/// A protocol that can do nothing but list models.
struct Listing(DriverId);

struct AskForList;

#[async_trait]
impl Protocol for Listing {
    fn id(&self) -> &DriverId {
        &self.0
    }

    async fn codec(&self) -> Result<Box<dyn Codec>, DriverError> {
        Err(DriverError::new(DriverErrorKind::InvalidRequest, "it only lists"))
    }

    async fn discovery(&self) -> Result<Option<Box<dyn Discovery>>, DriverError> {
        Ok(Some(Box::new(AskForList)))
    }
}

#[async_trait]
impl Discovery for AskForList {
    async fn begin(&mut self, config: &DriverConfig) -> Result<CodecRequest, DriverError> {
        let key = config.api_key.as_ref().ok_or_else(|| DriverError::new(DriverErrorKind::Configuration, "there is no key"))?;
        let base_url = config.base_url.as_deref().expect("the host gives one");
        let headers = vec![("authorization".to_owned(), format!("Bearer {}", key.expose_secret()))];
        Ok(CodecRequest { method: "GET".to_owned(), url: format!("{base_url}/models"), headers, ..CodecRequest::default() })
    }

    async fn decode(&mut self, status: u16, body: &[u8]) -> Result<Vec<ModelInfo>, DriverError> {
        if status != 200 {
            return Err(DriverError::new(DriverErrorKind::Authentication, String::from_utf8_lossy(body)));
        }
        let list: Vec<Value> = serde_json::from_slice(body).expect("the stub answers a list");
        let info = |model: Value| ModelInfo {
            id: model["id"].as_str().expect("an id").to_owned(),
            context_tokens: model["context"].as_u64(),
            features: vec!["tools".to_owned()],
            ..ModelInfo::default()
        };
        Ok(list.into_iter().map(info).collect())
    }
}

type Shelf = Arc<Mutex<(u16, Value)>>;

async fn list(State(shelf): State<Shelf>, headers: HeaderMap) -> impl IntoResponse {
    let (status, mut body) = shelf.lock().expect("a lock").clone();
    let key = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if key != format!("Bearer sk-{PLANTED}") {
        return (StatusCode::UNAUTHORIZED, Json(json!(null)));
    }
    if status != 200 {
        // Some vendors repeat the key that they refuse.
        body = json!(format!("refused {key}"));
    }
    (StatusCode::from_u16(status).expect("a status"), Json(body))
}

/// A server with a provider whose vendor lists what is on the shelf.
struct World {
    _home: Home,
    _server: ServerHandle,
    _vendor: tokio::task::JoinHandle<()>,
    api: Api,
    shelf: Shelf,
    base_url: String,
}

impl World {
    async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let shelf: Shelf = Arc::new(Mutex::new((200, json!([]))));
        let router = Router::new().route("/v1/models", get(list)).with_state(shelf.clone());
        let vendor = tokio::spawn(async move { axum::serve(listener, router).await.expect("the vendor serves") });
        let (home, mut platform) = (Home::new(), oss_platform_definition());
        let id = DriverId::External("listing".to_owned());
        platform.driver_registry_mut().register(id.clone(), CodecDriver::factory(Arc::new(Listing(id))));
        let mut config = home.config();
        config.private_targets = vec![format!("127.0.0.1:{port}").parse::<PrivateTarget>().expect("a target")];
        let server = ServerAppBuilder::new(config).platform_definition(platform).start().await.expect("the server starts");
        let (api, base_url) = (client(&server), format!("http://127.0.0.1:{port}/v1"));
        Self { _home: home, _server: server, _vendor: vendor, api, shelf, base_url }
    }

    async fn provider(&self, body: &Value) -> String {
        let made = self.api.post("/v1/providers", body).await.expect(201);
        format!("/v1/providers/{}", made["id"].as_str().expect("an id"))
    }

    fn stock(&self, status: u16, list: Value) {
        *self.shelf.lock().expect("a lock") = (status, list);
    }

    /// Names of the models of a provider, and whether each is stale.
    async fn models(&self, provider: &str, query: &str) -> Vec<(String, bool)> {
        let list = self.api.get(&format!("{provider}/models{query}")).await.expect(200);
        let model = |model: &Value| (model["model_id"].as_str().expect("a name").to_owned(), model["stale"] == true);
        list["data"].as_array().expect("a list").iter().map(model).collect()
    }
}

#[tokio::test]
async fn models_come_and_go_with_the_vendors_list_and_what_the_org_wrote_stays() {
    let world = World::start().await;
    let body = json!({ "name": "Shop", "provider_type": "listing", "base_url": world.base_url, "api_key": format!("sk-{PLANTED}") });
    let provider = world.provider(&body).await;
    let own = json!({ "model_id": "own", "display_name": "Mine", "profile": { "limits": { "context": 1 } } });
    world.api.post(&format!("{provider}/models"), &own).await.expect(201);
    world.stock(200, json!([{ "id": "a", "context": 8_000 }, { "id": "b" }, { "id": "own" }, { "id": " " }]));
    let sync = format!("{provider}/sync-models");
    let first = world.api.post(&sync, &json!({})).await.expect(200);
    assert_eq!(first, json!({ "listed": 3, "added": 2, "updated": 0, "stale": 0 }));
    let name = |name: &str, stale: bool| (name.to_owned(), stale);
    assert_eq!(world.models(&provider, "").await, [name("own", false), name("a", false), name("b", false)]);
    assert_eq!(world.models(&provider, "?source=discovered").await, [name("a", false), name("b", false)]);
    let a = world.api.get(&format!("{provider}/models?search=a&source=discovered")).await.expect(200)["data"][0].clone();
    assert_eq!(a["profile"], json!({ "limits": { "context": 8_000 }, "tool_call": true }));

    world.stock(200, json!([{ "id": "a", "context": 9_000 }]));
    let second = world.api.post(&sync, &json!({})).await.expect(200);
    assert_eq!(second, json!({ "listed": 1, "added": 0, "updated": 1, "stale": 1 }));
    assert_eq!(world.models(&provider, "").await, [name("own", false), name("a", false)]);
    assert_eq!(world.models(&provider, "?include_stale=true&source=discovered").await, [name("a", false), name("b", true)]);
    assert_eq!(world.api.post(&sync, &json!({})).await.expect(200), json!({ "listed": 1, "added": 0, "updated": 0, "stale": 0 }));
    world.stock(200, json!([{ "id": "b" }]));
    world.api.post(&sync, &json!({})).await.expect(200);
    assert_eq!(world.models(&provider, "?source=discovered").await, [name("b", false)], "what is back is back");
    let mine = world.api.get(&format!("{provider}/models?source=manual")).await.expect(200)["data"][0].clone();
    assert_eq!((&mine["display_name"], &mine["profile"]), (&json!("Mine"), &json!({ "limits": { "context": 1 } })));
    assert_eq!(world.api.get("/v1/models?source=elsewhere").await.status, 400);
}

#[tokio::test]
async fn a_vendor_that_refuses_and_a_driver_that_cannot_are_told_without_the_key() {
    let world = World::start().await;
    let key = format!("sk-{PLANTED}");
    let body = json!({ "name": "Shop", "provider_type": "listing", "base_url": world.base_url, "api_key": key });
    let provider = world.provider(&body).await;
    world.stock(403, json!(null));
    let refused = world.api.post(&format!("{provider}/sync-models"), &json!({})).await;
    assert!(!refused.text().contains(PLANTED), "{}", refused.text());
    assert_eq!(refused.expect(502)["code"], "provider_failed");
    for (name, body, code) in [
        ("no key", json!({ "provider_type": "listing", "base_url": world.base_url }), "provider_configuration"),
        ("no driver", json!({ "provider_type": "nobody" }), "provider_configuration"),
        ("no list", json!({ "provider_type": "llmsim" }), "no_discovery"),
        ("no base URL", json!({ "provider_type": "listing", "api_key": key }), "provider_configuration"),
    ] {
        let mut body = body;
        body["name"] = json!(name);
        let provider = world.provider(&body).await;
        assert_eq!(world.api.post(&format!("{provider}/sync-models"), &json!({})).await.expect(409)["code"], code, "{name}");
    }
}

#[tokio::test]
async fn a_trial_tells_where_requests_went_and_what_to_do() {
    let world = World::start().await;
    let body = json!({ "name": "Shop", "provider_type": "listing", "base_url": format!("{}/", world.base_url), "api_key": format!("sk-{PLANTED}") });
    let provider = world.provider(&body).await;
    world.api.post(&format!("{provider}/models"), &json!({ "model_id": "m" })).await.expect(201);
    let went = world.api.post(&format!("{provider}/test"), &json!({})).await.expect(200);
    assert_eq!((&went["status"], &went["endpoint"]), (&json!("failed"), &json!(world.base_url)), "{went}");
    assert!(went["error"]["fix"].as_str().is_some_and(|fix| !fix.is_empty()), "{went}");
}

#[tokio::test]
async fn the_platform_knows_well_known_models_and_the_org_corrects_it() {
    let world = World::start().await;
    let provider = world.provider(&json!({ "name": "Claude", "provider_type": "anthropic" })).await;
    let body = json!({ "model_id": "claude-opus-4-5-20251101", "profile": { "limits": { "output": 1_000 } } });
    let made = world.api.post(&format!("{provider}/models"), &body).await.expect(201);
    assert_eq!(made["profile"]["limits"], json!({ "context": 200_000, "output": 1_000 }));
    assert_eq!((&made["profile"]["tool_call"], made["profile"].get("sources")), (&json!(true), None));
}
