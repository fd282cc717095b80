//! The table of contents of the HTTP API. Every route has a scope; the OpenAPI document comes
//! from the same table.

pub(crate) mod agents;
pub(crate) mod api_keys;
pub(crate) mod audit;
pub(crate) mod budgets;
pub(crate) mod capabilities;
pub(crate) mod check;
pub(crate) mod components;
pub(crate) mod connections;
pub(crate) mod context;
pub(crate) mod custom;
pub(crate) mod data_keys;
pub(crate) mod docs;
pub(crate) mod events;
pub(crate) mod extract;
pub(crate) mod files;
pub(crate) mod harnesses;
pub(crate) mod health;
pub(crate) mod idempotency;
pub(crate) mod members;
pub(crate) mod messages;
pub(crate) mod middleware;
pub(crate) mod models;
pub(crate) mod openapi;
pub(crate) mod orgs;
pub(crate) mod page;
pub(crate) mod providers;
mod redacted;
pub(crate) mod resolve;
mod risk;
pub(crate) mod secrets;
pub(crate) mod session_secrets;
pub(crate) mod sessions;
pub(crate) mod sse;
pub(crate) mod table;
pub(crate) mod tool_approvals;
pub(crate) mod tool_results;
pub(crate) mod turns;
pub(crate) mod workers;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use everwit_runtime::capability::ToolServices;
use everwit_runtime::connection::Connections;
use everwit_runtime::driver::DriverSource;
use everwit_runtime::engine::Engine;
use everwit_runtime::mutation::off;
use everwit_runtime::platform::DefinitionDigest;
use everwit_runtime::store::{RuntimeBackends, Scope};
use everwit_runtime::turn::TurnPlatform;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::RequestBodyTimeoutLayer;
use tracing::Instrument as _;
use url::Url;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::Auth;
use crate::bucket::Bucket;
use crate::components::Components;
use crate::control_plane::{DATA_KEYS, WorkerToken};
use crate::error::AppError;
use crate::lifecycle::Lifecycle;
use crate::moments::Moments;
use crate::problem::Problem;
use crate::quota::Quotas;
use crate::seed::Seeder;
use crate::turns_right::TurnsRight;
use crate::workers::WORKERS;
use custom::CustomRoutes;
use table::{Module, Table, Without};

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
    /// What turns run on, for a look at their contexts.
    pub(crate) turns: TurnPlatform,
    /// What native tools work with.
    pub(crate) tool_services: Arc<ToolServices>,
    /// Capabilities, uploaded ones included.
    pub(crate) components: Components,
    /// Connections of users.
    pub(crate) connections: Arc<Connections>,
    /// Where browsers reach this server; none if it does not know.
    pub(crate) public_url: Option<Url>,
    /// Model drivers.
    pub(crate) drivers: Arc<dyn DriverSource>,
    /// Who calls.
    pub(crate) auth: Auth,
    /// What the platform puts into each org.
    pub(crate) seeder: Seeder,
    /// Time and ids.
    pub(crate) moments: Moments,
    /// Whether the end has begun.
    pub(crate) lifecycle: Lifecycle,
    /// Open event streams.
    pub(crate) streams: sse::Streams,
    /// Uploads at once.
    pub(crate) uploads: Semaphore,
    /// What each org may use.
    pub(crate) quotas: Quotas,
    /// What workers have to run as well.
    pub(crate) definition: DefinitionDigest,
    /// What workers without master keys know themselves by; none if there are no such workers.
    pub(crate) worker_token: Option<WorkerToken>,
    /// To run the turns of the database.
    pub(crate) right: TurnsRight,
    /// Where bytes of components are, if not in the database.
    pub(crate) bucket: Option<Arc<Bucket>>,
}

/// Does what must not be cut off in the middle: a caller who goes away ends the request, and with it
/// whatever it waits for, such as the way from a message that is stored to the engine that has it answered.
async fn to_its_end<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Result<T, Problem> {
    let work = TaskTracker::new().spawn(work.in_current_span());
    work.await.map_err(|error| Problem::internal(format!("the rest of a request ended: {error}")))
}

/// The complete service: the stock routes of the modules that are on and those of the embedder,
/// also below `/api`.
///
/// # Errors
/// If two routes are in each other's way.
pub(crate) fn service(app: App, without: &Without, custom: &CustomRoutes) -> Result<Router, AppError> {
    let audited = |router: OpenApiRouter<App>| router.route_layer(axum::middleware::from_fn_with_state(app.clone(), crate::audit::record));
    let guard = |scope, noted: bool, router: OpenApiRouter<App>| {
        // Within the guard, so that the caller is known.
        let router = if noted { audited(router) } else { router };
        router.route_layer(axum::middleware::from_fn_with_state(scope, middleware::authorize))
    };
    let (router, mut document) = custom.document(routes(guard, without))?.split_for_parts();
    openapi::spell_wildcards(&mut document);
    let docs = if without.contains(&Module::Docs) { Router::new() } else { docs::routes(&document) };
    let internal = match &app.worker_token {
        Some(_) => Router::new().route(DATA_KEYS, post(data_keys::give_data_key)).route(WORKERS, post(workers::report_worker)),
        None => Router::new(),
    };
    let router = custom.add(router.merge(docs).merge(internal).with_state(app.clone()))?;
    let pause = if off("server.body_pause") { 1_000 * BODY_PAUSE } else { BODY_PAUSE };
    let layers = ServiceBuilder::new()
        .layer(axum::middleware::from_fn_with_state(app.clone(), middleware::envelope))
        .layer(axum::middleware::from_fn_with_state(app, middleware::offer_gate))
        .layer(CatchPanicLayer::custom(middleware::after_panic))
        .layer(RequestBodyTimeoutLayer::new(pause));
    Ok(Router::new().nest("/api", router.clone()).merge(router).fallback(middleware::no_such_route).layer(layers))
}

/// The OpenAPI document of all stock routes.
pub(crate) fn document() -> utoipa::openapi::OpenApi {
    let mut document = routes(|_, _, router| router, &Without::new()).into_openapi();
    openapi::spell_wildcards(&mut document);
    document
}

/// All stock routes with their documentation. `guard` lets only callers of a scope through, and notes what they change
/// in the audit log if it is told to.
fn routes(guard: impl Fn(Scope, bool, OpenApiRouter<App>) -> OpenApiRouter<App>, without: &Without) -> OpenApiRouter<App> {
    let scoped = |scope, noted, table: Table<'_>| {
        let Some(mut router) = table.finish() else { return OpenApiRouter::new() };
        openapi::require(router.get_openapi_mut(), scope);
        guard(scope, noted, router)
    };
    let api = OpenApiRouter::new()
        .merge(scoped(Scope::Read, false, reading(Table::new(without))))
        .merge(scoped(Scope::Write, false, writing(Table::new(without))))
        .merge(scoped(Scope::Write, true, own_keys(Table::new(without))))
        .merge(scoped(Scope::Admin, true, administration(Table::new(without))))
        .merge(scoped(Scope::Operator, true, operation(Table::new(without))));
    let open = Table::new(without).routes(routes!(health::get_health)).routes(routes!(health::get_readiness));
    // Who finishes a connection is known by a cookie if not by a key: nothing guards the route but itself.
    let mut callback = Table::new(without).routes(routes!(connections::finish_connection)).finish().unwrap_or_default();
    openapi::require(callback.get_openapi_mut(), Scope::Write);
    let api = api.merge(callback);
    openapi::general(without).nest("/v1", api).merge(open.finish().unwrap_or_default())
}

/// What a key of scope read may do.
fn reading(table: Table<'_>) -> Table<'_> {
    table
        .routes(routes!(members::get_me))
        .routes(routes!(members::list_members))
        .routes(routes!(members::get_member))
        .routes(routes!(api_keys::list_api_keys))
        .routes(routes!(orgs::get_org))
        .routes(routes!(secrets::list_org_secrets))
        .routes(routes!(budgets::list_budgets))
        .routes(routes!(budgets::get_budget))
        .routes(routes!(budgets::list_postings))
        .routes(routes!(budgets::list_budgets_of_session))
        .routes(routes!(budgets::check_budgets))
        .routes(routes!(harnesses::list_harnesses))
        .routes(routes!(harnesses::get_harness))
        .routes(routes!(agents::list_agents))
        .routes(routes!(agents::get_agent))
        .routes(routes!(sessions::list_sessions))
        .routes(routes!(sessions::get_session))
        .routes(routes!(context::get_context_report))
        .routes(routes!(context::preview_harness))
        .routes(routes!(context::preview_agent))
        .routes(routes!(messages::list_messages))
        .routes(routes!(turns::list_turns))
        .routes(routes!(events::list_events))
        .routes(routes!(sse::stream_events))
        .routes(routes!(files::list_files))
        .routes(routes!(files::get_file))
        .routes(routes!(files::download_file))
        .routes(routes!(files::stat_file))
        .routes(routes!(files::grep_files))
        .routes(routes!(files::list_keys))
        .routes(routes!(session_secrets::list_secrets))
        .routes(routes!(connections::list_connections))
        .routes(routes!(connections::list_connection_providers))
        .routes(routes!(capabilities::list_capabilities))
        .routes(routes!(capabilities::get_capability))
        .routes(routes!(providers::list_providers))
        .routes(routes!(providers::get_provider))
        .routes(routes!(models::list_models))
        .routes(routes!(models::list_models_of_provider))
        .routes(routes!(models::get_model))
        .routes(routes!(components::list_components))
        .routes(routes!(components::get_component))
        .routes(routes!(components::list_versions))
        .routes(routes!(components::get_version))
        .routes(routes!(components::download_version))
        .routes(routes!(components::diff_versions))
}

/// What needs a key of scope write.
fn writing(table: Table<'_>) -> Table<'_> {
    table
        .routes(routes!(harnesses::create_harness))
        .routes(routes!(harnesses::update_harness, harnesses::archive_harness))
        .routes(routes!(harnesses::delete_harness))
        .routes(routes!(agents::create_agent))
        .routes(routes!(agents::update_agent, agents::archive_agent))
        .routes(routes!(agents::delete_agent))
        .routes(routes!(sessions::create_session))
        .routes(routes!(sessions::chat::get_chat_session))
        .routes(routes!(sessions::update_session, sessions::delete_session))
        .routes(routes!(files::create_file, files::update_file, files::delete_file))
        .routes(routes!(files::copy_file))
        .routes(routes!(files::move_file))
        .routes(routes!(turns::cancel_turn))
        .routes(routes!(tool_results::submit_tool_results))
        .routes(routes!(tool_approvals::submit_tool_approvals))
        .routes(routes!(budgets::resume_session))
        .routes(routes!(messages::create_message))
        .routes(routes!(session_secrets::set_secrets))
        .routes(routes!(connections::create_connection, connections::delete_connection))
        .routes(routes!(connections::verify_connection))
        .routes(routes!(connections::authorize_connection))
        .routes(routes!(components::call_tool))
        .routes(routes!(providers::test_provider))
        .routes(routes!(models::create_model))
        .routes(routes!(models::update_model, models::delete_model))
}

/// What needs a key of scope write, and is in the audit log all the same.
fn own_keys(table: Table<'_>) -> Table<'_> {
    table.routes(routes!(api_keys::create_api_key)).routes(routes!(api_keys::revoke_api_key))
}

/// What needs a key of scope admin: everything that decides what components may do, and where
/// credentials are sent.
fn administration(table: Table<'_>) -> Table<'_> {
    table
        .routes(routes!(audit::list_audit_entries))
        .routes(routes!(members::create_member))
        .routes(routes!(members::update_member, members::remove_member))
        .routes(routes!(orgs::update_org))
        .routes(routes!(turns::retry_turn))
        .routes(routes!(secrets::create_secret))
        .routes(routes!(secrets::replace_secret, secrets::delete_secret))
        .routes(routes!(budgets::create_budget))
        .routes(routes!(budgets::update_budget, budgets::delete_budget))
        .routes(routes!(budgets::top_up_budget))
        .routes(routes!(components::upload_component))
        .routes(routes!(components::activate_version))
        .routes(routes!(components::roll_back))
        .routes(routes!(components::archive_component))
        .routes(routes!(components::archive_version))
        .routes(routes!(components::remove_channel))
        .routes(routes!(providers::create_provider))
        .routes(routes!(providers::update_provider, providers::delete_provider))
        .routes(routes!(models::sync_models))
}

/// What needs a key of scope operator: what belongs to the installation and to no org.
fn operation(table: Table<'_>) -> Table<'_> {
    table.routes(routes!(workers::list_workers)).routes(routes!(workers::drain_worker)).routes(routes!(workers::resume_worker))
}
