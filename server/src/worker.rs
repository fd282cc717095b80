//! A worker: runs turns.
//!
//! A data directory belongs to one process. With the embedded engine a worker therefore runs in the process of its
//! server, on the same data directory; what they share is in [`crate::site`]. With a distributed engine it is a process of
//! its own, on any machine, with a data directory of its own.

use std::sync::Arc;

use everwit_runtime::PlatformDefinition;
use everwit_runtime::engine::EngineConnector;
use tokio_util::sync::CancellationToken;

use crate::config::DurableWorkerConfig;
use crate::definition::oss_platform_definition;
use crate::error::AppError;
use crate::executor::{Assembled, Executor};
use crate::garbage::Garbage;
use crate::handle::Running;
use crate::lifecycle::Signals;
use crate::listener::{EventListener, Listening};
use crate::site::{Site, SiteKeys, SiteOptions};

/// Builds a worker.
pub struct WorkerAppBuilder {
    config: DurableWorkerConfig,
    platform: Option<PlatformDefinition>,
    engine: Option<Arc<dyn EngineConnector>>,
    listeners: Vec<Arc<dyn EventListener>>,
}

impl WorkerAppBuilder {
    /// A worker for a server on the same data directory.
    pub fn new(config: DurableWorkerConfig) -> Self {
        Self { config, platform: None, engine: None, listeners: Vec::new() }
    }

    /// Has a distributed engine give turns to this worker, in place of the server on the same data directory.
    #[must_use]
    pub fn engine(mut self, engine: impl EngineConnector + 'static) -> Self {
        self.engine = Some(Arc::new(engine));
        self
    }

    /// Adds a listener for the events that this process stores. Repeatable.
    #[must_use]
    pub fn event_listener(mut self, listener: impl EventListener + 'static) -> Self {
        self.listeners.push(Arc::new(listener));
        self
    }

    /// What the platform consists of: a clone of the server's definition, or the worker is
    /// refused. Default: [`oss_platform_definition`].
    #[must_use]
    pub fn platform_definition(mut self, platform: PlatformDefinition) -> Self {
        self.platform = Some(platform);
        self
    }

    /// Runs the worker until SIGTERM or an interrupt ends it.
    ///
    /// # Errors
    /// Whatever keeps it from starting, or from ending well.
    pub async fn run(self) -> Result<(), AppError> {
        let signals = Signals::install().map_err(|source| AppError::System { what: "signals", source })?;
        self.start().await?.running.until(signals).await
    }

    /// Starts the worker: it runs turns when this returns.
    ///
    /// # Errors
    /// Whatever keeps it from starting.
    pub async fn start(self) -> Result<WorkerHandle, AppError> {
        self.config.check()?;
        let platform = self.platform.unwrap_or_else(oss_platform_definition);
        platform.validate()?;
        let options = SiteOptions {
            data_dir: &self.config.data_dir,
            database: &self.config.database,
            connections: self.config.database_connections,
            bucket: self.config.component_bucket.as_ref(),
            keys: match (&self.config.control_plane, &self.engine) {
                (Some(control_plane), _) => SiteKeys::ControlPlane(control_plane),
                (None, Some(_)) => return Err(AppError::NeedsControlPlane),
                (None, None) => SiteKeys::Master(&self.config.encryption),
            },
            engine: self.engine.as_deref(),
        };
        let site = Site::join(options).await?;
        let started = Box::pin(start_on(site.clone(), &self.config, platform, self.listeners)).await;
        if started.is_err()
            && let Err(error) = site.leave().await
        {
            tracing::warn!(%error, "a worker that did not start could not close its database");
        }
        started
    }
}

async fn start_on(
    site: Arc<Site>,
    config: &DurableWorkerConfig,
    platform: PlatformDefinition,
    listeners: Vec<Arc<dyn EventListener>>,
) -> Result<WorkerHandle, AppError> {
    let assembled = Assembled::new(&site, &config.engine(), platform).await?;
    let listening = listeners.into_iter().map(|listener| site.listeners.add(listener)).collect();
    let executor = Executor::join(&site, assembled.turns, config.max_turns, config.drain).await?;
    let (stores, moments) = (site.stores.clone(), site.moments.clone());
    let garbage = Garbage { stores, components: assembled.components, moments, versions: false, every: config.collect_every };
    let life = Life { executor, listening, garbage, site };
    let running = Running::spawn(|stop| life.live(stop));
    Ok(WorkerHandle { running })
}

/// What a running worker consists of.
struct Life {
    executor: Executor,
    listening: Vec<Listening>,
    garbage: Garbage,
    site: Arc<Site>,
}

impl Life {
    async fn live(self, stop: CancellationToken) -> Result<(), AppError> {
        let Self { mut executor, listening, garbage, site } = self;
        let failed = tokio::select! {
            () = stop.cancelled() => None,
            error = executor.failed() => Some(error),
            never = garbage.collect() => match never {},
        };
        executor.end().await;
        for listening in listening {
            listening.end().await;
        }
        site.leave().await?;
        tracing::info!("the worker ended");
        failed.map_or(Ok(()), Err)
    }
}

/// A worker that runs. Dropping it ends the worker as [`Self::shutdown`] does, without waiting.
pub struct WorkerHandle {
    pub(crate) running: Running,
}

impl WorkerHandle {
    /// Runs until SIGTERM or an interrupt ends it.
    ///
    /// # Errors
    /// As for [`Self::shutdown`]; a second signal; signals that cannot be taken over.
    pub async fn wait(self) -> Result<(), AppError> {
        let signals = Signals::install().map_err(|source| AppError::System { what: "signals", source })?;
        self.running.until(signals).await
    }

    /// Ends the worker: takes up no further turns and lets running steps end. Turns that are open
    /// go on with another worker, or at the next start.
    ///
    /// # Errors
    /// If the database cannot be closed.
    pub async fn shutdown(self) -> Result<(), AppError> {
        self.running.shutdown().await
    }
}
