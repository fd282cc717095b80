//! The table of contents of the HTTP API. Every route has a scope; the OpenAPI document comes
//! from the same table.

pub(crate) mod agents;
pub(crate) mod capabilities;
pub(crate) mod check;
pub(crate) mod components;
pub(crate) mod docs;
pub(crate) mod events;
pub(crate) mod extract;
pub(crate) mod harnesses;
pub(crate) mod health;
pub(crate) mod idempotency;
pub(crate) mod messages;
pub(crate) mod middleware;
pub(crate) mod openapi;
pub(crate) mod page;
pub(crate) mod resolve;
pub(crate) mod sessions;
pub(crate) mod sse;
pub(crate) mod turns;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use everwit_runtime::capability::ToolServices;
use everwit_runtime::engine::Engine;
use everwit_runtime::store::{RuntimeBackends, Scope};
use tokio::sync::Semaphore;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::RequestBodyTimeoutLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::Auth;
use crate::components::Components;
use crate::lifecycle::Lifecycle;
use crate::moments::Moments;

/// Longest pause within a request body.
const BODY_PAUSE: Duration = Duration::from_secs(15);

/// What handlers work with; shared by all of them.
pub(crate) type App = Arc<AppState>;

/// What handlers work with.
pub(crate) struct AppState {
    /// Persistence.
    pub(crate) stores: RuntimeBackends,
    /// Runs turns.
    pub(crate) engine: Arc<dyn Engine>,
    /// What native tools work with.
    pub(crate) tool_services: Arc<ToolServices>,
    /// Capabilities, uploaded ones included.
    pub(crate) components: Components,
    /// Who calls.
    pub(crate) auth: Auth,
    /// Time and ids.
    pub(crate) moments: Moments,
    /// Whether the end has begun.
    pub(crate) lifecycle: Lifecycle,
    /// Open event streams.
    pub(crate) streams: sse::Streams,
    /// Uploads at once.
    pub(crate) uploads: Semaphore,
}

/// The complete service: all routes, also below `/api`.
pub(crate) fn service(app: App) -> Router {
    let guard = |scope, router: OpenApiRouter<App>| {
        router.route_layer(axum::middleware::from_fn_with_state((app.clone(), scope), middleware::authorize))
    };
    let (router, document) = routes(guard).split_for_parts();
    let router = router.merge(docs::routes(&document)).with_state(app.clone());
    let layers = ServiceBuilder::new()
        .layer(axum::middleware::from_fn_with_state(app, middleware::envelope))
        .layer(CatchPanicLayer::custom(middleware::after_panic))
        .layer(RequestBodyTimeoutLayer::new(BODY_PAUSE));
    Router::new().nest("/api", router.clone()).merge(router).fallback(middleware::no_such_route).layer(layers)
}

/// The OpenAPI document of all routes.
pub(crate) fn document() -> utoipa::openapi::OpenApi {
    routes(|_, router| router).into_openapi()
}

/// All routes with their documentation. `guard` lets only callers of a scope through.
fn routes(guard: impl Fn(Scope, OpenApiRouter<App>) -> OpenApiRouter<App>) -> OpenApiRouter<App> {
    let scoped = |scope, mut router: OpenApiRouter<App>| {
        openapi::require(router.get_openapi_mut(), scope);
        guard(scope, router)
    };
    let api = OpenApiRouter::new()
        .merge(scoped(Scope::Read, reading()))
        .merge(scoped(Scope::Write, writing()))
        .merge(scoped(Scope::Admin, administration()));
    let open = OpenApiRouter::new().routes(routes!(health::get_health)).routes(routes!(health::get_readiness));
    openapi::general().nest("/v1", api).merge(open)
}

/// What a key of scope read may do.
fn reading() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(harnesses::list_harnesses))
        .routes(routes!(harnesses::get_harness))
        .routes(routes!(agents::list_agents))
        .routes(routes!(agents::get_agent))
        .routes(routes!(sessions::list_sessions))
        .routes(routes!(sessions::get_session))
        .routes(routes!(messages::list_messages))
        .routes(routes!(events::list_events))
        .routes(routes!(sse::stream_events))
        .routes(routes!(capabilities::list_capabilities))
        .routes(routes!(capabilities::get_capability))
        .routes(routes!(components::list_components))
        .routes(routes!(components::get_component))
        .routes(routes!(components::list_versions))
        .routes(routes!(components::get_version))
        .routes(routes!(components::download_version))
        .routes(routes!(components::diff_versions))
}

/// What needs a key of scope write.
fn writing() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(harnesses::create_harness))
        .routes(routes!(harnesses::update_harness, harnesses::archive_harness))
        .routes(routes!(agents::create_agent))
        .routes(routes!(agents::update_agent, agents::archive_agent))
        .routes(routes!(sessions::create_session))
        .routes(routes!(sessions::update_session))
        .routes(routes!(turns::cancel_turn))
        .routes(routes!(messages::create_message))
        .routes(routes!(components::call_tool))
}

/// What needs a key of scope admin: everything that decides what components may do.
fn administration() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(components::upload_component))
        .routes(routes!(components::activate_version))
        .routes(routes!(components::roll_back))
        .routes(routes!(components::archive_component))
}
