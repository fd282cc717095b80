//! `everwit serve`: the stock server, and a word on where it is.

use clap::Args;
use everwit_runtime::id::OrgId;

use super::engine::EngineArgs;
use super::output::{Failure, Style, print};
use super::{block_on, check};
use crate::app::{ServerAppBuilder, ServerHandle};
use crate::auth::{LOCAL_SCOPE, scope_name};
use crate::config::{RunArgs, ServeArgs, ServerConfig, ServerRole};
use crate::error::AppError;
use crate::lifecycle::Signals;
use crate::telemetry;

/// Options of `everwit serve`.
#[derive(Debug, Args)]
pub(super) struct ServeCommand<E: EngineArgs> {
    #[command(flatten)]
    serve: ServeArgs,
    #[command(flatten)]
    engine: E,
}

pub(super) fn run<E: EngineArgs>(args: &ServeCommand<E>) -> Result<(), Failure> {
    let config = args.serve.validate().map_err(|error| Failure::usage(error.to_string()))?;
    let engine = args.engine.engine().map_err(|problems| Failure::usage(problems.join("\n")))?;
    if config.role == ServerRole::ControlPlane && engine.is_none() {
        return Err(Failure::usage(format!("--role control-plane needs an engine for many machines\nto fix it: {}", E::ADVICE)));
    }
    if args.serve.check {
        return block_on(check::run(&config, args.serve.run.json));
    }
    let RunArgs { log, log_format, json, .. } = &args.serve.run;
    telemetry::start(*log_format, log, Style::stderr().coloured()).map_err(|error| Failure::usage(format!("--log: {error}")))?;
    block_on(async {
        let signals = Signals::install().map_err(|error| Failure::failed(format!("cannot take over signals: {error}")))?;
        let mut builder = ServerAppBuilder::new(config.clone());
        if let Some(engine) = engine {
            builder = builder.engine(engine);
        }
        let server = builder.start().await.map_err(failed)?;
        announce(&config, &server, *json)?;
        server.run_until(signals).await.map_err(failed)
    })
}

pub(super) fn failed(error: AppError) -> Failure {
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
        Some(org) => {
            format!("none: local callers have the scope {} in {org}, until there is a key (everwit keys create)", scope_name(LOCAL_SCOPE))
        }
        None => "API keys".to_owned(),
    }
}
