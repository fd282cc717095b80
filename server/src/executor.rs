//! What servers and workers have in common: the opened definition, and an engine that runs turns
//! of it.

use std::sync::Arc;
use std::time::Duration;

use everwit_runtime::connection::Connections;
use everwit_runtime::driver::llmsim::register_driver;
use everwit_runtime::driver::{DriverHost, DriverId, ResolvedModel, StoredTokens};
use everwit_runtime::engine::{StepHandler, WorkLimits, Working, reconcile};
use everwit_runtime::turn::TurnPlatform;
use everwit_runtime::{CapabilityRegistry, Error, PlatformDefinition};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::components::Components;
use crate::config::EngineConfig;
use crate::control_plane::Holding;
use crate::error::AppError;
use crate::recorder::ExchangeFiles;
use crate::site::{Isolation, Site};
use crate::turns_right::TurnsRight;

/// A definition that is ready to run.
pub(crate) struct Assembled {
    /// With its components opened.
    pub(crate) platform: PlatformDefinition,
    /// Its capabilities and those that orgs upload.
    pub(crate) components: Components,
    /// Connections of users.
    pub(crate) connections: Arc<Connections>,
    /// What turns run on.
    pub(crate) turns: TurnPlatform,
}

impl Assembled {
    /// Opens a definition and holds it against what runs on the site already.
    ///
    /// # Errors
    /// Everything that is wrong with the definition; how it differs from the one that runs.
    pub(crate) async fn new(site: &Site, config: &EngineConfig, mut platform: PlatformDefinition) -> Result<Self, AppError> {
        for provider in &config.connection_providers {
            platform.connection_providers_mut().register(provider.clone());
        }
        let Isolation { egress, sandbox } = site.start_sandbox(config)?;
        let platform = platform.open(&sandbox).await?;
        site.agree_on(&platform)?;
        let capabilities: CapabilityRegistry = platform.capability_registry().clone();
        let mut drivers = platform.driver_registry().clone();
        if let Some(script) = &config.llmsim {
            register_driver(&mut drivers, script.clone());
        }
        let driver_host = DriverHost::new(egress.clone(), site.moments.clock.clone(), site.moments.ids.clone())
            .with_settings(config.driver_settings)
            .with_keeper(Arc::new(StoredTokens::new(&site.stores)));
        let driver_host = match &config.record_exchanges {
            Some(dir) => driver_host.with_recorder(Arc::new(
                ExchangeFiles::in_dir(dir).map_err(|source| AppError::System { what: "the directory for recordings", source })?,
            )),
            None => driver_host,
        };
        let providers = platform.connection_providers().clone();
        let components = Components::new(capabilities, drivers, providers, site.stores.component_store.clone(), sandbox);
        let providers = components.connection_providers.clone();
        let (clock, refreshes) = (site.moments.clock.clone(), site.refreshes.clone());
        let connections = Arc::new(Connections::new(&site.stores, providers, egress.clone(), clock, refreshes));
        let turns = TurnPlatform {
            backends: site.stores.clone().with_connection_resolver(connections.clone()),
            capabilities: components.source.clone(),
            drivers: components.drivers.clone(),
            default_model: default_model(),
            clock: site.moments.clock.clone(),
            ids: site.moments.ids.clone(),
            driver_host: Arc::new(driver_host),
            wait_limit: config.max_wait,
            allowance: config.allowance,
            egress,
        };
        Ok(Self { platform, components, connections, turns })
    }
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

/// How often a distributed engine is held against the store.
const RECONCILE: Duration = Duration::from_secs(30);

/// A part of the engine that works in this process: a worker that runs turns, or the part of servers.
pub(crate) struct Executor {
    shutdown: CancellationToken,
    work: JoinHandle<Result<(), Error>>,
}

impl Executor {
    /// Starts a worker that runs at most `max_turns` at once.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) async fn join(site: &Site, turns: TurnPlatform, max_turns: usize, patience: Duration) -> Result<Self, AppError> {
        site.claim_turns().await?;
        let (limits, shutdown) = (WorkLimits { slots: max_turns, patience }, CancellationToken::new());
        let handler: Arc<dyn StepHandler> = match &site.held {
            Some(held) => Arc::new(Holding { handler: turns, turns: held.clone() }),
            None => Arc::new(turns),
        };
        let engine = site.engine.clone();
        if site.distributed.is_some() {
            let work = engine.work(handler, limits, shutdown.clone()).await?;
            return Ok(Self { shutdown, work: tokio::spawn(work) });
        }
        let work = entitled(site.right.clone(), shutdown.clone(), move |shutdown| {
            let (engine, handler) = (engine.clone(), handler.clone());
            async move { engine.work(handler, limits, shutdown).await }
        });
        Ok(Self { shutdown, work: tokio::spawn(work.await?) })
    }

    /// Does the servers' part of a distributed engine, and tells it from time to time what it does not know. None for the
    /// embedded engine.
    ///
    /// # Errors
    /// Why it could not start.
    pub(crate) async fn coordinate(site: &Site) -> Result<Option<Self>, AppError> {
        let Some(engine) = site.distributed.clone() else { return Ok(None) };
        site.claim_turns().await?;
        let (log, shutdown) = (site.stores.log.clone(), CancellationToken::new());
        let coordinating = engine.coordinate(shutdown.clone())?;
        let reconciling = async move {
            loop {
                match reconcile(&*log, &*engine).await {
                    Ok(0) => {}
                    Ok(turns) => {
                        tracing::info!(turns, "the engine was told of turns that it did not know, or let wait although they can go on");
                    }
                    Err(error) => {
                        tracing::warn!(%error, pause = ?RECONCILE, "open turns could not be held against the engine; trying again");
                    }
                }
                tokio::time::sleep(RECONCILE).await;
            }
        };
        let work = async move {
            tokio::select! {
                ended = coordinating => ended,
                never = reconciling => never,
            }
        };
        Ok(Some(Self { shutdown, work: tokio::spawn(work) }))
    }

    /// Returns once it has ended by itself, which it does only for a reason.
    pub(crate) async fn failed(&mut self) -> AppError {
        match (&mut self.work).await {
            Ok(Ok(())) => AppError::Internal("the engine ended by itself".to_owned()),
            Ok(Err(error)) => error.into(),
            Err(error) => AppError::Internal(format!("the engine ended in disorder: {error}")),
        }
    }

    /// Lets running steps end, for as long as patience lasts, and leaves what is open to others.
    pub(crate) async fn end(self) {
        self.shutdown.cancel();
        if self.work.is_finished() {
            return;
        }
        match self.work.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "open turns could not be given to others; they go on at the next start"),
            Err(error) => tracing::error!(%error, "the worker ended in disorder; open turns go on at the next start"),
        }
    }
}

/// How long after a failure a worker is started again.
const RESTART: Duration = Duration::from_secs(1);

/// Starts a worker, and ends it when the right to run turns is lost: running steps come to their end, and none begins.
/// Another one starts when the right is taken again, and takes up what is open.
async fn entitled<F>(
    right: TurnsRight,
    shutdown: CancellationToken,
    start: impl Fn(CancellationToken) -> F + Send + 'static,
) -> Result<impl Future<Output = Result<(), Error>> + Send, Error>
where
    F: Future<Output = Result<Working, Error>> + Send,
{
    let mut ending = shutdown.child_token();
    let mut working = start(ending.clone()).await?;
    Ok(async move {
        loop {
            tokio::select! {
                ended = &mut working => return ended,
                () = right.until(true) => ending.cancel(),
            }
            if let Err(error) = working.await {
                tracing::info!(%error, "open turns go on when the right to run them is taken again");
            }
            working = loop {
                tokio::select! {
                    () = shutdown.cancelled() => return Ok(()),
                    () = right.until(false) => {}
                }
                ending = shutdown.child_token();
                match start(ending.clone()).await {
                    Ok(working) => break working,
                    Err(error) => tracing::warn!(%error, pause = ?RESTART, "turns cannot be taken up; trying again"),
                }
                tokio::time::sleep(RESTART).await;
            };
        }
    })
}
