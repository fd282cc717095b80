//! Puts a server together and runs it from start to end.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use everwit_runtime::PlatformDefinition;
use everwit_runtime::capability::ToolServices;
use everwit_runtime::engine::EngineConnector;
use everwit_runtime::id::OrgId;
use everwit_runtime::mutation::off;
use futures::future::select_all;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use url::Url;
use utoipa_axum::router::OpenApiRouter;

use crate::api::custom::CustomRoutes;
use crate::api::table::{Module, Without};
use crate::api::{self, AppState};
use crate::auth::{Auth, Authenticator};
use crate::config::{ServerConfig, ServerRole};
use crate::definition::oss_platform_definition;
use crate::error::AppError;
use crate::executor::{Assembled, Executor};
use crate::garbage::Garbage;
use crate::handle::Running;
use crate::http;
use crate::lifecycle::{Lifecycle, Phase, Signals};
use crate::listener::{EventListener, Listening};
use crate::quota::Quotas;
use crate::seed::{SeedReport, Seeder};
use crate::site::{Site, SiteKeys, SiteOptions};

/// Uploads that are examined at once; each holds its component in memory.
const MAX_UPLOADS: usize = 4;
/// How long open requests may take once turns have come to rest.
const LAST_REQUESTS: Duration = Duration::from_secs(5);

/// Builds a server: the stock one, or one with an embedder's capabilities, routes, authentication
/// and listeners.
pub struct ServerAppBuilder {
    config: ServerConfig,
    platform: Option<PlatformDefinition>,
    custom: CustomRoutes,
    without: Without,
    authenticator: Option<Arc<dyn Authenticator>>,
    listeners: Vec<Arc<dyn EventListener>>,
    engine: Option<Arc<dyn EngineConnector>>,
}

impl ServerAppBuilder {
    /// A stock server.
    pub fn new(config: ServerConfig) -> Self {
        Self {
            config,
            platform: None,
            custom: CustomRoutes::default(),
            without: Without::new(),
            authenticator: None,
            listeners: Vec::new(),
            engine: None,
        }
    }

    /// What the platform consists of. Default: [`oss_platform_definition`].
    #[must_use]
    pub fn platform_definition(mut self, platform: PlatformDefinition) -> Self {
        self.platform = Some(platform);
        self
    }

    /// Adds routes beside the stock ones, also below `/api`. Repeatable. They are open to
    /// everybody who reaches the server, unless a handler takes a [`Caller`](crate::Caller) or
    /// [`authorized`](crate::authorized) guards them.
    #[must_use]
    pub fn routes(mut self, routes: Router) -> Self {
        self.custom.plain.push(routes);
        self
    }

    /// As [`Self::routes`], for routes that join the OpenAPI document. Paths are written out,
    /// `/v1` included. See [`authorized_api`](crate::authorized_api).
    #[must_use]
    pub fn api_routes(mut self, routes: OpenApiRouter) -> Self {
        self.custom.documented.push(routes);
        self
    }

    /// Switches a part of the stock API off. Repeatable.
    #[must_use]
    pub fn without_module(mut self, module: Module) -> Self {
        self.without.insert(module);
        self
    }

    /// Finds out who calls, in place of API keys and of the open mode of a loopback server.
    #[must_use]
    pub fn auth(mut self, authenticator: impl Authenticator + 'static) -> Self {
        self.authenticator = Some(Arc::new(authenticator));
        self
    }

    /// Adds a listener for stored events. Repeatable.
    #[must_use]
    pub fn event_listener(mut self, listener: impl EventListener + 'static) -> Self {
        self.listeners.push(Arc::new(listener));
        self
    }

    /// Has a distributed engine run the turns, over PostgreSQL, in place of the embedded one.
    #[must_use]
    pub fn engine(mut self, engine: impl EngineConnector + 'static) -> Self {
        self.engine = Some(Arc::new(engine));
        self
    }

    /// Runs the server until SIGTERM or an interrupt ends it.
    ///
    /// # Errors
    /// Whatever keeps it from starting, or from ending well.
    pub async fn run(self) -> Result<(), AppError> {
        let signals = Signals::install().map_err(|source| AppError::System { what: "signals", source })?;
        self.start().await?.run_until(signals).await
    }

    /// Starts the server: it listens when this returns.
    ///
    /// # Errors
    /// Whatever keeps it from starting.
    pub async fn start(mut self) -> Result<ServerHandle, AppError> {
        self.config.check()?;
        let platform = self.platform.take().unwrap_or_else(oss_platform_definition);
        platform.validate()?;
        let options = SiteOptions {
            data_dir: &self.config.data_dir,
            database: &self.config.database,
            connections: self.config.database_connections,
            bucket: self.config.component_bucket.as_ref(),
            keys: SiteKeys::Master(&self.config.encryption),
            engine: self.engine.as_deref(),
        };
        let site = Site::join(options).await?;
        let started = Box::pin(self.start_on(site.clone(), platform)).await;
        if started.is_err()
            && let Err(error) = site.leave().await
        {
            tracing::warn!(%error, "a server that did not start could not close its database");
        }
        started
    }

    async fn start_on(self, site: Arc<Site>, platform: PlatformDefinition) -> Result<ServerHandle, AppError> {
        let Self { config, platform: _, custom, without, authenticator, listeners, engine: _ } = self;
        let assembled = Assembled::new(&site, &config.engine(), platform).await?;
        let (stores, moments) = (assembled.turns.backends.clone(), site.moments.clone());
        let org = stores.org_store.default_org(OrgId::from_uuid(moments.uuid()), moments.now()).await?;
        let seeder = Seeder::new(stores.clone(), moments.clone(), assembled.platform.clone());
        let seeding = seeder.reconcile_all().await?;
        let has_keys = stores.org_store.has_keys().await?;
        if authenticator.is_none() {
            require_keys(config.listen, has_keys, site.dir.path())?;
        }
        let open_to = (authenticator.is_none() && config.listen.ip().is_loopback()).then_some(org);
        let auth = authenticator.map_or_else(|| Auth::Keys { orgs: stores.org_store.clone(), open_to }, Auth::Custom);
        let turns = &assembled.turns;
        let tool_services = ToolServices {
            backends: stores.clone(),
            egress: turns.egress.clone(),
            clock: moments.clock.clone(),
            ids: moments.ids.clone(),
            allowance: turns.allowance,
        };
        let lifecycle = Lifecycle::new();
        let listen_error = |source| AppError::Listen { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(listen_error)?;
        let address = listener.local_addr().map_err(listen_error)?;
        let app = AppState {
            auth,
            engine: site.engine.clone(),
            turns: turns.clone(),
            drivers: turns.drivers.clone(),
            stores,
            tool_services: Arc::new(tool_services),
            components: assembled.components.clone(),
            connections: assembled.connections.clone(),
            public_url: config.public_url.clone().or_else(|| own_url(address)),
            seeder,
            moments,
            lifecycle: lifecycle.clone(),
            streams: api::sse::Streams::default(),
            uploads: Semaphore::new(if off("server.uploads") { Semaphore::MAX_PERMITS } else { MAX_UPLOADS }),
            quotas: Quotas::new(config.org_limits),
            definition: assembled.platform.digest(),
            worker_token: config.worker_token,
            right: site.right.clone(),
            bucket: site.bucket.clone(),
        };
        let garbage = Garbage {
            stores: app.stores.clone(),
            components: app.components.clone(),
            moments: app.moments.clone(),
            versions: true,
            every: config.collect_every,
        };
        let router = api::service(Arc::new(app), &without, &custom)?;
        let listening = listeners.into_iter().map(|listener| site.listeners.add(listener)).collect();
        // Those that run turns are the first to end.
        let mut executors = Vec::new();
        if config.role == ServerRole::All {
            executors.push(Executor::join(&site, assembled.turns, config.max_turns, config.drain).await?);
        }
        executors.extend(Executor::coordinate(&site).await?);
        let life = Life { listener, router, lifecycle, max_connections: config.max_connections, executors, listening, garbage, site };
        let running = Running::spawn(|stop| life.live(stop));
        Ok(ServerHandle { address, open_to: open_to.filter(|_| !has_keys), seeding, running })
    }
}

/// A server that runs. Dropping it ends the server as [`Self::shutdown`] does, without waiting.
pub struct ServerHandle {
    /// Where it listens.
    pub address: SocketAddr,
    /// The org whose admin every local caller is, for lack of keys.
    pub(crate) open_to: Option<OrgId>,
    seeding: Vec<SeedReport>,
    running: Running,
}

impl ServerHandle {
    /// What seeding did at the start, org by org.
    pub fn seeding(&self) -> &[SeedReport] {
        &self.seeding
    }

    /// Ends the server: takes up no further turns, lets running steps and requests end, and
    /// closes the database. Turns that are open go on at the next start.
    ///
    /// # Errors
    /// If the database cannot be closed.
    pub async fn shutdown(self) -> Result<(), AppError> {
        self.running.shutdown().await
    }

    /// Runs until SIGTERM or an interrupt ends it.
    ///
    /// # Errors
    /// As for [`Self::shutdown`]; a second signal; signals that cannot be taken over.
    pub async fn wait(self) -> Result<(), AppError> {
        let signals = Signals::install().map_err(|source| AppError::System { what: "signals", source })?;
        self.run_until(signals).await
    }

    /// Runs until a signal ends it.
    ///
    /// # Errors
    /// As for [`Self::shutdown`], or a second signal.
    pub(crate) async fn run_until(self, signals: Signals) -> Result<(), AppError> {
        self.running.until(signals).await
    }
}

/// What a running server consists of.
struct Life {
    listener: TcpListener,
    router: Router,
    lifecycle: Lifecycle,
    max_connections: usize,
    executors: Vec<Executor>,
    listening: Vec<Listening>,
    garbage: Garbage,
    site: Arc<Site>,
}

impl Life {
    async fn live(self, stop: CancellationToken) -> Result<(), AppError> {
        let Self { listener, router, lifecycle, max_connections, mut executors, listening, garbage, site } = self;
        let serving = http::serve(listener, router, &lifecycle, max_connections, LAST_REQUESTS);
        let ending = async {
            let failed = tokio::select! {
                () = stop.cancelled() => None,
                error = first_failure(&mut executors) => Some(error),
            };
            lifecycle.enter(Phase::Draining);
            for executor in executors {
                executor.end().await;
            }
            lifecycle.enter(Phase::Closing);
            failed
        };
        let ((), failed) = tokio::select! {
            ended = async { tokio::join!(serving, ending) } => ended,
            never = garbage.collect() => match never {},
        };
        for listening in listening {
            listening.end().await;
        }
        site.leave().await?;
        tracing::info!("the server ended");
        failed.map_or(Ok(()), Err)
    }
}

/// Returns once one of them has ended by itself.
async fn first_failure(executors: &mut [Executor]) -> AppError {
    if executors.is_empty() {
        return std::future::pending().await;
    }
    select_all(executors.iter_mut().map(|executor| Box::pin(executor.failed()))).await.0
}

/// Where browsers of this machine reach a server that no others reach.
fn own_url(address: SocketAddr) -> Option<Url> {
    address.ip().is_loopback().then(|| Url::parse(&format!("http://{address}")).ok())?
}

/// An address that others can reach needs keys.
pub(crate) fn require_keys(listen: SocketAddr, has_keys: bool, data_dir: &Path) -> Result<(), AppError> {
    if has_keys || listen.ip().is_loopback() {
        return Ok(());
    }
    Err(AppError::NeedsKeys(format!(
        "{listen} can be reached by others, and there is no API key\n\
         to fix it: everwit keys create --scope admin --data-dir {}\n\
         or listen on this machine only: everwit serve --listen 127.0.0.1:{}",
        data_dir.display(),
        listen.port()
    )))
}
