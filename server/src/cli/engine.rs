//! Which engine a program has beside the embedded one.

use clap::Args;
use everwit_runtime::engine::EngineConnector;

/// Options of an engine for many machines, which the commands `serve` and `worker` take beside their own.
pub trait EngineArgs: Args + Send + Sync + 'static {
    /// What to do to have such an engine, for whoever needs one and gave no option.
    const ADVICE: &'static str;

    /// The engine that they ask for; none for the embedded one.
    ///
    /// # Errors
    /// All that is wrong with them, each with the name of its flag.
    fn engine(&self) -> Result<Option<Box<dyn EngineConnector>>, Vec<String>>;
}

/// Those of a program without one.
#[derive(Debug, Args)]
pub(super) struct NoEngine {}

impl EngineArgs for NoEngine {
    const ADVICE: &'static str = "this program has none; build the one that has Temporal, and use it on all machines:\n  \
                                  cargo build --release --manifest-path engines/temporal/Cargo.toml --package everwit-temporal-server";

    fn engine(&self) -> Result<Option<Box<dyn EngineConnector>>, Vec<String>> {
        Ok(None)
    }
}
