//! `everwit worker`: runs turns that servers on other machines accept.

use clap::Args;

use super::block_on;
use super::engine::EngineArgs;
use super::output::{Failure, Style, print};
use super::serve::failed;
use crate::config::{RunArgs, WorkerArgs};
use crate::lifecycle::Signals;
use crate::telemetry;
use crate::worker::WorkerAppBuilder;

/// Options of `everwit worker`.
#[derive(Debug, Args)]
pub(super) struct WorkerCommand<E: EngineArgs> {
    #[command(flatten)]
    worker: WorkerArgs,
    #[command(flatten)]
    engine: E,
}

pub(super) fn run<E: EngineArgs>(args: &WorkerCommand<E>) -> Result<(), Failure> {
    let config = args.worker.validate().map_err(|error| Failure::usage(error.to_string()))?;
    let engine = args.engine.engine().map_err(|problems| Failure::usage(problems.join("\n")))?;
    let engine = engine.ok_or_else(|| Failure::usage(format!("a worker needs an engine for many machines\nto fix it: {}", E::ADVICE)))?;
    let RunArgs { log, log_format, json, .. } = &args.worker.run;
    telemetry::start(*log_format, log, Style::stderr().coloured()).map_err(|error| Failure::usage(format!("--log: {error}")))?;
    block_on(async {
        let signals = Signals::install().map_err(|error| Failure::failed(format!("cannot take over signals: {error}")))?;
        let (database, turns) = (config.database.to_string(), config.max_turns);
        let worker = WorkerAppBuilder::new(config).engine(engine).start().await.map_err(failed)?;
        let version = env!("CARGO_PKG_VERSION");
        if *json {
            print(&serde_json::json!({ "database": database, "max_turns": turns, "version": version }).to_string())?;
        } else {
            print(&format!("everwit {version}\n  worker   up to {turns} turns at once\n  database {database}"))?;
        }
        worker.running.until(signals).await.map_err(failed)
    })
}
