//! `everwit serve`.

use super::block_on;
use super::output::{Failure, Style};
use crate::config::ServeArgs;
use crate::{app, telemetry};

pub(crate) fn run(args: &ServeArgs) -> Result<(), Failure> {
    let config = args.validate().map_err(|error| Failure::usage(error.to_string()))?;
    telemetry::start(args.log_format, &args.log, Style::stderr().coloured()).map_err(|error| Failure::usage(format!("--log: {error}")))?;
    block_on(async { app::run(config, args.json).await.map_err(Failure::from) })
}
