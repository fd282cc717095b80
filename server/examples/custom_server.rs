//! A server of one's own: the stock one with a capability and routes added, a built-in removed and
//! the harness templates replaced, and a worker beside it.
//!
//! ```text
//! cargo run -p everwit-server --example custom_server
//! curl http://127.0.0.1:8080/v1/ping
//! ```
//!
//! The `EVERWIT_*` variables configure it, as they do `everwit serve`.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::LazyLock;

use anyhow::Context as _;
use async_trait::async_trait;
use axum::routing::{get, post};
use axum::{Json, Router};
use everwit_runtime::capability::{ToolCallContext, ToolDefinition, ToolOutcome, ToolOutput};
use everwit_runtime::{BuiltInCapabilityDefinition, BuiltInHarnessDefinition, BuiltInHarnessRole, Capability, PlatformDefinition};
use everwit_server::{
    Caller, DurableWorkerConfig, Scope, ServerAppBuilder, ServerConfig, ServerRole, WorkerAppBuilder, authorized, oss_platform_definition,
    run_as_compile_child,
};
use serde_json::{Value, json};

/// A capability of this server: greets by name.
struct Greeting;

static TOOLS: LazyLock<[ToolDefinition; 1]> = LazyLock::new(|| {
    let arguments = json!({
        "type": "object",
        "properties": { "name": { "type": "string", "description": "Whom to greet." } },
        "required": ["name"],
        "additionalProperties": false,
    });
    [ToolDefinition::new("greet", "Says hello to somebody.", arguments).with_title("Greet").read_only()]
});

#[async_trait]
impl Capability for Greeting {
    fn id(&self) -> &str {
        "greeting"
    }

    fn name(&self) -> &str {
        "Greeting"
    }

    fn description(&self) -> &str {
        "Greets people."
    }

    fn system_prompt_addition(&self) -> Option<&str> {
        Some("Greet whoever gives a name, with the tool greet.")
    }

    fn tools(&self) -> &[ToolDefinition] {
        &*TOOLS
    }

    async fn call_tool(&self, _call: &ToolCallContext, _tool: &str, arguments: Value) -> ToolOutcome {
        // The arguments are valid against the schema, so that there is a name.
        let name = arguments["name"].as_str().unwrap_or_default();
        ToolOutput::text(format!("Hello, {name}!")).into()
    }
}

fn platform() -> PlatformDefinition {
    let mut platform = oss_platform_definition();
    platform.capability_registry_mut().unregister("current_time");
    platform.capability_registry_mut().register(Greeting);
    *platform.built_in_harnesses_mut() = vec![
        BuiltInHarnessDefinition::new("minimal", "Minimal", "What this server runs on.", "You are a helpful assistant.")
            .with_roles([BuiltInHarnessRole::Base, BuiltInHarnessRole::Default, BuiltInHarnessRole::Chat])
            .with_tags(["minimal", "built-in"])
            .with_capabilities([BuiltInCapabilityDefinition::new("greeting")]),
    ];
    platform
}

/// Routes of this server: one for everybody, one for administrators.
fn routes() -> Router {
    let open = Router::new().route("/v1/ping", get(|| async { "pong" }));
    let reindex = post(|caller: Caller| async move { Json(json!({ "queued": true, "org": caller.org })) });
    open.merge(authorized(Scope::Admin, Router::new().route("/v1/internal/reindex", reindex)))
}

#[tokio::main]
async fn serve() -> anyhow::Result<()> {
    let platform = platform();
    let worker = WorkerAppBuilder::new(DurableWorkerConfig::from_env())
        .platform_definition(platform.clone())
        .start()
        .await
        .context("the worker does not start")?;
    let mut config = ServerConfig::from_env();
    // The worker runs all turns.
    config.role = ServerRole::ControlPlane;
    let server = ServerAppBuilder::new(config).platform_definition(platform).routes(routes()).start().await?;
    writeln!(std::io::stdout(), "listening on http://{}", server.address)?;
    server.wait().await?;
    Ok(worker.shutdown().await?)
}

fn main() -> ExitCode {
    // Components are compiled in children of this program.
    if let Some(code) = run_as_compile_child() {
        return code;
    }
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
