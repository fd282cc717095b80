//! What servers and workers have in common: the opened definition, and an engine that runs turns
//! of it.

use std::sync::Arc;
use std::time::Duration;

use everwit_runtime::connection::Connections;
use everwit_runtime::driver::llmsim::register_driver;
use everwit_runtime::driver::{DriverHost, DriverId, ResolvedModel, StoredTokens};
use everwit_runtime::engine::{StepHandler, reconcile};
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
use crate::workers::{Entry, Worker};

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
    /// Those of the store; that the servers refuse this worker, or do not answer.
    pub(crate) async fn join(site: &Site, turns: TurnPlatform, max_turns: usize, patience: Duration) -> Result<Self, AppError> {
        site.claim_turns().await?;
        let handler: Arc<dyn StepHandler> = match &site.held {
            Some(held) => Arc::new(Holding { handler: turns, turns: held.clone() }),
            None => Arc::new(turns),
        };
        let entry = Entry::register(site, max_turns).await?;
        let worker = Worker::new(site, handler, max_turns, entry, patience);
        let (begun, shutdown) = (worker.begin().await?, CancellationToken::new());
        Ok(Self { work: tokio::spawn(worker.work(begun, shutdown.clone())), shutdown })
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
            let mut reached = None;
            loop {
                match reconcile(&*log, &*engine, reached).await {
                    Ok(round) => {
                        reached = round.reached;
                        if round.told > 0 {
                            let turns = round.told;
                            tracing::info!(turns, "the engine was told of turns that it did not know, or let wait although they can go on");
                        }
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
