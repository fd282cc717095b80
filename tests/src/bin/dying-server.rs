//! A server that kills itself, as a power cut would, once the session's log has an event of a given
//! number; with tools whose effects can be counted. The `EVERWIT_*` variables configure it.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::LazyLock;

use async_trait::async_trait;
use everwit_runtime::Capability;
use everwit_runtime::capability::{ToolCallContext, ToolDefinition, ToolOutcome, ToolOutput};
use everwit_runtime::event::Event;
use everwit_runtime::id::OrgId;
use everwit_server::{EventListener, ServerAppBuilder, ServerConfig, oss_platform_definition, run_as_compile_child};
use serde_json::{Value, json};

/// Sequence of the event after which it dies; it lives on without.
const DIE_AFTER: &str = "TEST_DIE_AFTER";
/// File that each execution of a tool adds a line to: the tool's name and the call's key.
const EFFECTS: &str = "TEST_EFFECTS";

struct Ledger {
    effects: PathBuf,
}

static TOOLS: LazyLock<[ToolDefinition; 2]> = LazyLock::new(|| {
    let nothing = || json!({ "type": "object", "properties": {}, "additionalProperties": false });
    [
        ToolDefinition::new("charge", "Takes money: must not be repeated.", nothing()),
        ToolDefinition::new("balance", "Looks at the account.", nothing()).read_only(),
    ]
});

#[async_trait]
impl Capability for Ledger {
    fn id(&self) -> &str {
        "ledger"
    }

    fn name(&self) -> &str {
        "Ledger"
    }

    fn description(&self) -> &str {
        "Counts what it does."
    }

    fn tools(&self) -> &[ToolDefinition] {
        &*TOOLS
    }

    async fn call_tool(&self, call: &ToolCallContext, tool: &str, _arguments: Value) -> ToolOutcome {
        let mut file = OpenOptions::new().create(true).append(true).open(&self.effects).expect("the file of effects");
        writeln!(file, "{tool} {}", call.idempotency_key).expect("an effect");
        ToolOutput::text("done").into()
    }
}

struct Death {
    after: u64,
}

impl EventListener for Death {
    fn on_event(&self, _: OrgId, event: &Event) {
        if event.sequence == Some(self.after) {
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).expect("the end");
        }
    }
}

#[tokio::main]
async fn serve() -> anyhow::Result<()> {
    let mut platform = oss_platform_definition();
    let effects = std::env::var_os(EFFECTS).map(PathBuf::from).expect("a file for effects");
    platform.capability_registry_mut().register(Ledger { effects });
    let mut server = ServerAppBuilder::new(ServerConfig::from_env()).platform_definition(platform);
    if let Some(after) = std::env::var_os(DIE_AFTER) {
        let after = after.into_string().ok().and_then(|number| number.parse().ok()).expect("a number");
        server = server.event_listener(Death { after });
    }
    let server = server.start().await?;
    writeln!(std::io::stdout(), "http://{}", server.address)?;
    Ok(server.wait().await?)
}

fn main() -> ExitCode {
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
