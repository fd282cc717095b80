//! Puts the server together and runs it from start to end.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use everwit_runtime::capability::{CapabilityRegistry, ToolServices};
use everwit_runtime::driver::llmsim::register_driver;
use everwit_runtime::driver::{DriverId, DriverRegistry, ResolvedModel};
use everwit_runtime::engine::{EmbeddedEngine, Engine};
use everwit_runtime::id::OrgId;
use everwit_runtime::store::sqlite::SqliteStore;
use everwit_runtime::store::{OrgStore, RuntimeBackends};
use everwit_runtime::turn::TurnPlatform;
use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::api::{self, App, AppState};
use crate::auth::Auth;
use crate::components::{Components, SandboxSettings, start_gateway, start_sandbox};
use crate::config::ServeConfig;
use crate::data_dir::DataDir;
use crate::lifecycle::{Lifecycle, Phase, Signals};
use crate::moments::Moments;
use crate::{http, random, seed};

/// Uploads that are examined at once; each holds its component in memory.
const MAX_UPLOADS: usize = 4;
/// How long open requests may take once turns have come to rest.
const LAST_REQUESTS: Duration = Duration::from_secs(5);

/// Runs the server until a signal ends it.
///
/// # Errors
/// Whatever keeps it from starting.
pub(crate) async fn run(config: ServeConfig, json: bool) -> anyhow::Result<()> {
    let mut signals = Signals::install().context("cannot take over signals")?;
    let dir = DataDir::create(&config.data_dir)?;
    let _lock = dir.lock()?;
    let store = Arc::new(SqliteStore::open(&dir.database()).await.context("cannot open the database")?);
    let stores = RuntimeBackends::from_store(store.clone());
    let moments = Moments::system();
    let org = stores.org_store.default_org(OrgId::from_uuid(moments.uuid()), moments.now()).await?;
    seed::base_harness(&stores, &moments, org).await?;
    let has_keys = stores.org_store.has_keys().await?;
    require_keys(config.listen, has_keys, &dir)?;

    let (app, engine) = assemble(&config, &dir, stores, moments, org).await?;
    let listener = TcpListener::bind(config.listen).await.with_context(|| format!("cannot listen on {}", config.listen))?;
    let address = listener.local_addr().context("cannot tell the address")?;
    let recovered = engine.recover().await.context("cannot take up the open turns")?;
    if recovered > 0 {
        tracing::info!(sessions = recovered, "taking up turns that were open");
    }
    announce(&Announcement { address, config: &config, dir: &dir, org: (!has_keys).then_some(org) }, json)?;

    let lifecycle = app.lifecycle.clone();
    tokio::select! {
        () = http::serve(listener, api::service(app), &lifecycle, config.max_connections, LAST_REQUESTS) => {}
        error = end(&mut signals, &lifecycle, &engine, config.drain) => return Err(error),
    }
    store.close().await.context("cannot close the database")?;
    tracing::info!("ended");
    Ok(())
}

/// Waits for a signal and brings the server to its end; returns only if a second signal wants
/// it at once.
async fn end(signals: &mut Signals, lifecycle: &Lifecycle, engine: &EmbeddedEngine, patience: Duration) -> anyhow::Error {
    let signal = signals.next().await;
    tracing::info!(signal, "ending; a second signal ends at once");
    lifecycle.enter(Phase::Draining);
    let orderly = async {
        if tokio::time::timeout(patience, engine.drain()).await.is_err() {
            tracing::warn!("some steps did not end in time; their turns go on at the next start");
        }
        lifecycle.enter(Phase::Closing);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = orderly => anyhow::anyhow!("ended"),
        signal = signals.next() => anyhow::anyhow!("ended at once by a second signal ({signal})"),
    }
}

async fn assemble(
    config: &ServeConfig,
    dir: &DataDir,
    stores: RuntimeBackends,
    moments: Moments,
    org: OrgId,
) -> anyhow::Result<(App, EmbeddedEngine)> {
    let settings = SandboxSettings {
        cache_dir: dir.cache().context("cannot create the cache directory")?,
        cache_key: secret(&*stores.org_store, "artifact-cache").await?,
        id_salt: secret(&*stores.org_store, "guest-id-salt").await?,
        max_concurrent_calls: config.max_calls,
    };
    let egress = start_gateway(config.private_targets.clone())?;
    let sandbox = start_sandbox(settings, egress.clone(), stores.kv.clone(), moments.clock.clone())?;
    let components = Components::new(CapabilityRegistry::with_builtins(), stores.component_store.clone(), sandbox);
    let mut drivers = DriverRegistry::new();
    register_driver(&mut drivers, config.llmsim.clone());
    let platform = TurnPlatform {
        backends: stores.clone(),
        capabilities: components.source.clone(),
        drivers,
        default_model: default_model(),
        clock: moments.clock.clone(),
        ids: moments.ids.clone(),
        egress: egress.clone(),
    };
    let engine = EmbeddedEngine::new(platform.clone(), config.max_turns);
    let open_to = config.listen.ip().is_loopback().then_some(org);
    let tool_services = ToolServices { backends: stores.clone(), egress, clock: moments.clock.clone(), ids: moments.ids.clone() };
    let app = AppState {
        auth: Auth::new(stores.org_store.clone(), open_to),
        engine: Arc::new(engine.clone()),
        turns: platform,
        stores,
        tool_services: Arc::new(tool_services),
        components,
        moments,
        lifecycle: Lifecycle::new(),
        streams: api::sse::Streams::default(),
        uploads: Semaphore::new(MAX_UPLOADS),
    };
    Ok((Arc::new(app), engine))
}

fn default_model() -> ResolvedModel {
    ResolvedModel {
        model: "llmsim-model".to_owned(),
        provider_type: DriverId::LlmSim,
        api_key: None,
        base_url: None,
        provider_metadata: None,
    }
}

/// 32 random bytes that stay the same for the installation.
async fn secret(orgs: &dyn OrgStore, name: &str) -> anyhow::Result<[u8; 32]> {
    let fresh = SecretString::from(URL_SAFE_NO_PAD.encode(random::secret_bytes()?));
    let stored = orgs.installation_secret(name, fresh).await?;
    let stored = URL_SAFE_NO_PAD.decode(stored.expose_secret()).ok().and_then(|bytes| bytes.try_into().ok());
    stored.with_context(|| format!("the installation secret {name:?} in the database is broken"))
}

/// An address that others can reach needs keys.
fn require_keys(listen: SocketAddr, has_keys: bool, dir: &DataDir) -> anyhow::Result<()> {
    if has_keys || listen.ip().is_loopback() {
        return Ok(());
    }
    let data_dir = dir.path().display();
    bail!(
        "{listen} can be reached by others, and there is no API key\n\
         to fix it: everwit keys create --scope admin --data-dir {data_dir}\n\
         or listen on this machine only: everwit serve --listen 127.0.0.1:{}",
        listen.port()
    );
}

/// What is told at the start.
struct Announcement<'a> {
    address: SocketAddr,
    config: &'a ServeConfig,
    dir: &'a DataDir,
    /// The org whose admin every local caller is, for lack of keys.
    org: Option<OrgId>,
}

fn announce(start: &Announcement<'_>, json: bool) -> anyhow::Result<()> {
    let url = format!("http://{}", start.address);
    let text = if json {
        let line = serde_json::json!({
            "url": url,
            "api": format!("{url}/v1"),
            "docs": format!("{url}/docs"),
            "openapi": format!("{url}/openapi.json"),
            "data_dir": start.dir.path(),
            "auth": if start.org.is_some() { "none" } else { "keys" },
            "version": env!("CARGO_PKG_VERSION"),
        });
        format!("{line}\n")
    } else {
        let auth = match start.org {
            Some(org) => format!("none: local callers are admin of {org}, until there is a key (everwit keys create)"),
            None => "API keys".to_owned(),
        };
        let model = if start.config.llmsim_scripted {
            "simulated, by script"
        } else {
            "simulated: write \"/call TOOL {…}\" to have a tool called"
        };
        let lines = [
            format!("everwit {}", env!("CARGO_PKG_VERSION")),
            format!("  api      {url}/v1"),
            format!("  docs     {url}/docs"),
            format!("  openapi  {url}/openapi.json"),
            format!("  data     {}", start.dir.path().display()),
            format!("  auth     {auth}"),
            format!("  model    {model}"),
        ];
        lines.map(|line| line + "\n").concat()
    };
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).context("cannot write to stdout")
}
