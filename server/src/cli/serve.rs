//! `everwit serve`: the stock server, and a word on where it is.

use everwit_runtime::id::OrgId;

use super::output::{Failure, Style, print};
use super::{block_on, check};
use crate::app::{ServerAppBuilder, ServerHandle};
use crate::config::{ServeArgs, ServerConfig};
use crate::error::AppError;
use crate::lifecycle::Signals;
use crate::telemetry;

pub(crate) fn run(args: &ServeArgs) -> Result<(), Failure> {
    let config = args.validate().map_err(|error| Failure::usage(error.to_string()))?;
    if args.check {
        return block_on(check::run(&config, args.json));
    }
    telemetry::start(args.log_format, &args.log, Style::stderr().coloured()).map_err(|error| Failure::usage(format!("--log: {error}")))?;
    block_on(async {
        let signals = Signals::install().map_err(|error| Failure::failed(format!("cannot take over signals: {error}")))?;
        let server = ServerAppBuilder::new(config.clone()).start().await.map_err(failed)?;
        announce(&config, &server, args.json)?;
        server.run_until(signals).await.map_err(failed)
    })
}

fn failed(error: AppError) -> Failure {
    let fix = match &error {
        AppError::Listen { .. } => "\nto fix it: choose another address with --listen; port 0 picks a free one",
        _ => "",
    };
    Failure::failed(format!("{error}{fix}"))
}

fn announce(config: &ServerConfig, server: &ServerHandle, json: bool) -> Result<(), Failure> {
    let url = format!("http://{}", server.address);
    if json {
        let line = serde_json::json!({
            "url": url,
            "api": format!("{url}/v1"),
            "docs": format!("{url}/docs"),
            "openapi": format!("{url}/openapi.json"),
            "data_dir": config.data_dir,
            "database": config.database.to_string(),
            "auth": if server.open_to.is_some() { "none" } else { "keys" },
            "version": env!("CARGO_PKG_VERSION"),
        });
        return print(&line.to_string());
    }
    let model = match config.llmsim {
        Some(_) => "simulated, by script",
        None => "simulated: write \"/call TOOL {…}\" to have a tool called",
    };
    let lines = [
        format!("everwit {}", env!("CARGO_PKG_VERSION")),
        format!("  api      {url}/v1"),
        format!("  docs     {url}/docs"),
        format!("  openapi  {url}/openapi.json"),
        format!("  data     {}", config.data_dir.display()),
        format!("  database {}", config.database),
        format!("  auth     {}", auth(server.open_to)),
        format!("  model    {model}"),
    ];
    print(&lines.join("\n"))
}

fn auth(open_to: Option<OrgId>) -> String {
    match open_to {
        Some(org) => format!("none: local callers are admin of {org}, until there is a key (everwit keys create)"),
        None => "API keys".to_owned(),
    }
}
