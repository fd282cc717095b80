//! A control plane (`server`) or a worker (`worker`) for tests: it kills itself, as a power cut would, once it has stored an
//! event that it was told to die after; with tools whose effects can be counted, that take long, or that freeze the
//! process. The `EVERWIT_*` variables configure it.

#[path = "../../../../../tests/src/busy.rs"]
mod busy;
#[path = "../../../../../tests/src/ledger.rs"]
mod ledger;

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::LazyLock;
use std::time::Duration;

use async_trait::async_trait;
use clap::{Args as _, FromArgMatches as _};
use everwit_runtime::Capability;
use everwit_runtime::capability::{ToolCallContext, ToolDefinition, ToolOutcome, ToolOutput};
use everwit_runtime::event::Event;
use everwit_runtime::id::OrgId;
use everwit_server::{
    DurableWorkerConfig, EventListener, ServerAppBuilder, ServerConfig, WorkerAppBuilder, oss_platform_definition, run_as_compile_child,
};
use everwit_temporal::TemporalOptions;
use everwit_temporal_server::TemporalArgs;
use ledger::Ledger;
use rustix::process::{Signal, getpid, kill_process};
use serde_json::{Value, json};

/// Folder with a file for each session, named by its id, that holds the sequence of the event after which whoever stores
/// it dies, once.
const DEATHS: &str = "TEST_DEATHS";
/// File that each execution of a tool adds a line to.
const EFFECTS: &str = "TEST_EFFECTS";
/// How long `nap` takes: longer than any test waits for it.
const NAP: Duration = Duration::from_secs(20);

struct Death {
    folder: PathBuf,
}

impl EventListener for Death {
    fn on_event(&self, _: OrgId, event: &Event) {
        let file = self.folder.join(event.session_id.to_string());
        let Ok(text) = std::fs::read_to_string(&file) else { return };
        if text.parse().ok() == event.sequence {
            std::fs::remove_file(&file).expect("it is removed once");
            kill_process(getpid(), Signal::KILL).expect("the end");
        }
    }
}

/// What takes long.
struct Trouble {
    effects: PathBuf,
}

static TOOLS: LazyLock<[ToolDefinition; 2]> = LazyLock::new(|| {
    let nothing = || json!({ "type": "object", "properties": {}, "additionalProperties": false });
    [
        ToolDefinition::new("nap", "Takes 20 seconds.", nothing()).read_only(),
        ToolDefinition::new("freeze", "Stops the process that runs it, the first time.", nothing()),
    ]
});

#[async_trait]
impl Capability for Trouble {
    fn id(&self) -> &str {
        "trouble"
    }

    fn name(&self) -> &str {
        "Trouble"
    }

    fn description(&self) -> &str {
        "Takes long."
    }

    fn tools(&self) -> &[ToolDefinition] {
        &*TOOLS
    }

    async fn call_tool(&self, call: &ToolCallContext, tool: &str, _arguments: Value) -> ToolOutcome {
        let mut file = OpenOptions::new().create(true).append(true).open(&self.effects).expect("the file of effects");
        writeln!(file, "{tool} {} {}", call.session_id, call.idempotency_key).expect("an effect");
        match tool {
            "nap" => tokio::time::sleep(NAP).await,
            _ => kill_process(getpid(), Signal::STOP).expect("a pause"),
        }
        ToolOutput::text("done").into()
    }
}

#[tokio::main]
async fn run(role: &str, temporal: TemporalOptions) -> Result<(), Box<dyn std::error::Error>> {
    let mut platform = oss_platform_definition();
    let path = |variable| std::env::var_os(variable).map(PathBuf::from).ok_or(format!("{variable} is not set"));
    let effects = path(EFFECTS)?;
    let (mut server, mut worker) = (ServerConfig::from_env(), DurableWorkerConfig::from_env());
    if let Some(script) = server.llmsim.take().and(worker.llmsim.take()) {
        busy::register(&mut platform, script, effects.parent().ok_or("the file of effects has no folder")?.to_owned());
    }
    platform.capability_registry_mut().register(Ledger { effects: effects.clone() });
    platform.capability_registry_mut().register(Trouble { effects });
    let death = Death { folder: path(DEATHS)? };
    match role {
        "server" => {
            let server = ServerAppBuilder::new(server).platform_definition(platform);
            let server = server.engine(temporal).event_listener(death).start().await?;
            writeln!(std::io::stdout(), "http://{}", server.address)?;
            Ok(server.wait().await?)
        }
        "worker" => {
            let worker = WorkerAppBuilder::new(worker).platform_definition(platform);
            let worker = worker.engine(temporal).event_listener(death).start().await?;
            writeln!(std::io::stdout(), "works")?;
            Ok(worker.wait().await?)
        }
        other => Err(format!("unknown role {other:?}").into()),
    }
}

fn main() -> ExitCode {
    if let Some(code) = run_as_compile_child() {
        return code;
    }
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter("info").init();
    // What `everwit` reads from the same variables.
    let matches = TemporalArgs::augment_args(clap::Command::new("dying-everwit")).get_matches_from(["dying-everwit"]);
    let temporal = TemporalArgs::from_arg_matches(&matches).map_err(|error| vec![error.to_string()]);
    let options = temporal.and_then(|temporal| temporal.options()).expect("options").expect("a frontend");
    let role = std::env::args().nth(1).unwrap_or_default();
    match run(&role, options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
