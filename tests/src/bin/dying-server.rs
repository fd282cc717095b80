//! A server that kills itself, as a power cut would, once the session's log has an event of a given
//! number, or at a place between two effects; with tools whose effects can be counted. The `EVERWIT_*`
//! variables configure it.

#[path = "../busy.rs"]
mod busy;
#[path = "../ledger.rs"]
mod ledger;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use everwit_runtime::event::Event;
use everwit_runtime::fail_point;
use everwit_runtime::id::OrgId;
use everwit_server::{EventListener, ServerAppBuilder, ServerConfig, oss_platform_definition, run_as_compile_child};
use ledger::Ledger;

/// Sequence of the event after which it dies; it lives on without.
const DIE_AFTER: &str = "TEST_DIE_AFTER";
/// Place between two effects at which it dies, and the how manieth time that it gets there, as in `StoreClaimed:2`.
const DIE_AT: &str = "TEST_DIE_AT";
/// File that each execution of a tool adds a line to: the tool's name and the call's key.
const EFFECTS: &str = "TEST_EFFECTS";

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
    let mut config = ServerConfig::from_env();
    if let Some(script) = config.llmsim.take() {
        busy::register(&mut platform, script, effects.parent().expect("a folder").to_owned());
    }
    platform.capability_registry_mut().register(Ledger { effects });
    let mut server = ServerAppBuilder::new(config).platform_definition(platform);
    if let Some(after) = std::env::var_os(DIE_AFTER) {
        let after = after.into_string().ok().and_then(|number| number.parse().ok()).expect("a number");
        server = server.event_listener(Death { after });
    }
    if let Some(death) = std::env::var_os(DIE_AT) {
        let death = death.into_string().expect("a place");
        let (place, nth) = death.split_once(':').expect("a place and a number");
        fail_point::arm(place, nth.parse().expect("a number"));
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
