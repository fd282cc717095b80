//! A worker: runs turns for the server on the same data directory.
//!
//! A data directory belongs to one process, so that a worker runs in the process of its server;
//! what they share is in [`crate::site`].

use std::sync::Arc;

use everwit_runtime::PlatformDefinition;
use tokio_util::sync::CancellationToken;

use crate::config::DurableWorkerConfig;
use crate::definition::oss_platform_definition;
use crate::error::AppError;
use crate::executor::{Assembled, Executor};
use crate::handle::Running;
use crate::lifecycle::Signals;
use crate::site::Site;

/// Builds a worker.
pub struct WorkerAppBuilder {
    config: DurableWorkerConfig,
    platform: Option<PlatformDefinition>,
}

impl WorkerAppBuilder {
    /// A worker for a server on the same data directory.
    pub fn new(config: DurableWorkerConfig) -> Self {
        Self { config, platform: None }
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
        let site =
            Site::join(&self.config.data_dir, (&self.config.database, self.config.database_connections), &self.config.encryption).await?;
        let started = Box::pin(start_on(site.clone(), &self.config, platform)).await;
        if started.is_err()
            && let Err(error) = site.leave().await
        {
            tracing::warn!(%error, "a worker that did not start could not close its database");
        }
        started
    }
}

async fn start_on(site: Arc<Site>, config: &DurableWorkerConfig, platform: PlatformDefinition) -> Result<WorkerHandle, AppError> {
    let assembled = Assembled::new(&site, &config.engine(), platform).await?;
    let executor = Executor::join(&site, assembled.turns, config.max_turns, config.drain).await?;
    let running = Running::spawn(|stop| live(executor, site, stop));
    Ok(WorkerHandle { running })
}

async fn live(executor: Executor, site: Arc<Site>, stop: CancellationToken) -> Result<(), AppError> {
    stop.cancelled().await;
    executor.end().await;
    site.leave().await?;
    tracing::info!("the worker ended");
    Ok(())
}

/// A worker that runs. Dropping it ends the worker as [`Self::shutdown`] does, without waiting.
pub struct WorkerHandle {
    running: Running,
}

impl WorkerHandle {
    /// Ends the worker: takes up no further turns and lets running steps end. Turns that are open
    /// go on with another worker, or at the next start.
    ///
    /// # Errors
    /// If the database cannot be closed.
    pub async fn shutdown(self) -> Result<(), AppError> {
        self.running.shutdown().await
    }
}
