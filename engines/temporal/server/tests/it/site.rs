//! An installation: a database, a control plane, workers.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use everwit_runtime::clock::SystemClock;
use everwit_runtime::id::{IdSource as _, RandomIds};
use everwit_runtime::store::postgres::testing;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use crate::support::Api;

const PROGRAM: &str = env!("CARGO_BIN_EXE_dying-everwit");
/// URL of a server on which the tests may create databases.
const POSTGRES: &str = "EVERWIT_TEST_POSTGRES";
/// URL of a Temporal server.
const TEMPORAL: &str = "EVERWIT_TEST_TEMPORAL";
/// The program that is such a server.
const TEMPORAL_PROGRAM: &str = "EVERWIT_TEST_TEMPORAL_PROGRAM";
/// A debug build on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(60);
/// What a worker on a busy machine is able to keep.
pub(crate) const LEASE: Duration = Duration::from_secs(3);
/// What it may lose now and then, for tests in which that does not matter.
pub(crate) const SHORT_LEASE: Duration = Duration::from_secs(1);

/// What control planes and workers of all installations know each other by.
pub(crate) const WORKER_TOKEN: &str = "the-token-of-the-tests-0123456789";

fn variable(name: &str) -> String {
    let value = std::env::var_os(name).and_then(|value| value.into_string().ok());
    value.unwrap_or_else(|| panic!("{name} is not set: `cargo xtask temporal` starts the servers that these tests need, and runs them"))
}

/// A port that nobody listens on.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port").local_addr().expect("an address").port()
}

/// The Temporal server that all tests share.
pub(crate) fn shared_temporal() -> String {
    variable(TEMPORAL)
}

/// A new, empty database; its name and URL.
pub(crate) async fn new_database() -> (String, String) {
    let name = format!("test_{}", RandomIds::new(Arc::new(SystemClock)).next().simple());
    let database = testing::create_database(&variable(POSTGRES), &name).await;
    (name, database)
}

/// A Temporal server of a test's own, that keeps what it knows in a file.
pub(crate) fn start_temporal(port: u16, file: &Path) -> Child {
    let mut server = Command::new(variable(TEMPORAL_PROGRAM));
    server.args(["server", "start-dev", "--headless", "--ip", "127.0.0.1", "--port", &port.to_string(), "--log-level", "never"]);
    server.args(["--dynamic-config-value", "history.transferProcessorMaxPollRPS=5000", "--db-filename"]).arg(file);
    server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    server.spawn().expect("the program starts")
}

/// Sends a signal to a process of a test's own.
pub(crate) fn signal(child: &Child, name: &str) {
    let id = child.id().expect("it runs").to_string();
    let sent = std::process::Command::new("kill").arg(format!("-{name}")).arg(id).status().expect("the program kill");
    assert!(sent.success());
}

/// An installation, without processes at first.
pub(crate) struct Site {
    home: TempDir,
    name: String,
    pub(crate) database: String,
    port: u16,
    lease: Duration,
}

impl Site {
    /// With a model that follows a script.
    pub(crate) async fn new(script: &Value, lease: Duration) -> Arc<Self> {
        let (name, database) = new_database().await;
        let site = Self { home: tempfile::tempdir().expect("a directory"), name, database, port: free_port(), lease };
        std::fs::write(site.file("script.json"), script.to_string()).expect("a script");
        std::fs::create_dir(site.file("deaths")).expect("a folder");
        Arc::new(site)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// What a process has logged.
    pub(crate) fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.file(&format!("{name}.log"))).unwrap_or_default()
    }

    /// The variables of all processes.
    pub(crate) fn variables(&self, name: &str, temporal: &str) -> Vec<(&'static str, String)> {
        let path = |name: &str| self.file(name).display().to_string();
        vec![
            ("EVERWIT_DATABASE", self.database.clone()),
            ("EVERWIT_DATABASE_CONNECTIONS", "4".to_owned()),
            ("EVERWIT_DATA_DIR", path(&format!("data-{name}"))),
            ("EVERWIT_LLMSIM_SCRIPT", path("script.json")),
            ("EVERWIT_TEMPORAL", temporal.to_owned()),
            ("EVERWIT_INSTALLATION", self.name.clone()),
            ("EVERWIT_LEASE_SECONDS", self.lease.as_secs().to_string()),
            ("EVERWIT_WORKER_TOKEN", WORKER_TOKEN.to_owned()),
            ("EVERWIT_CONTROL_PLANE", format!("http://127.0.0.1:{}", self.port)),
            ("TEST_DEATHS", path("deaths")),
            ("TEST_EFFECTS", path("effects")),
        ]
    }

    /// Starts a process and waits until it says that it is there.
    pub(crate) async fn start(&self, role: &str, name: &str, temporal: &str) -> Child {
        self.start_with(role, name, temporal, &[]).await
    }

    /// The same with further variables.
    pub(crate) async fn start_with(&self, role: &str, name: &str, temporal: &str, variables: &[(&str, &str)]) -> Child {
        let mut command = Command::new(PROGRAM);
        command.arg(role).env_clear().envs(self.variables(name, temporal)).stdin(Stdio::null()).kill_on_drop(true);
        command.env("EVERWIT_LISTEN", format!("127.0.0.1:{}", self.port)).env("EVERWIT_ROLE", "control-plane");
        command.envs(variables.iter().copied());
        let log = File::options().create(true).append(true).open(self.file(&format!("{name}.log"))).expect("a log");
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().expect("it starts");
        let mut lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
        let line = tokio::time::timeout(START_LIMIT, lines.next_line()).await.expect("it starts in time");
        assert!(matches!(line, Ok(Some(_))), "{name} ended: {}", self.log(name));
        child
    }

    /// Starts a process that refuses to work, and waits for its end; returns what it logged.
    pub(crate) async fn refused(&self, role: &str, name: &str, temporal: &str, variables: &[(&str, &str)]) -> String {
        let mut command = Command::new(PROGRAM);
        command.arg(role).env_clear().envs(self.variables(name, temporal)).stdin(Stdio::null()).kill_on_drop(true);
        command.envs(variables.iter().copied());
        let output = tokio::time::timeout(START_LIMIT, command.output()).await.expect("it ends in time").expect("it runs");
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && output.stdout.is_empty(), "it works: {log}");
        log
    }

    /// Starts a process again whenever it has died, as a supervisor does.
    pub(crate) fn supervise(self: &Arc<Self>, role: &'static str, name: &'static str) -> Supervised {
        let site = self.clone();
        let task = tokio::spawn(async move {
            loop {
                let mut child = site.start(role, name, &shared_temporal()).await;
                child.wait().await.expect("it is ours");
            }
        });
        Supervised { task }
    }

    /// The control plane's API, wherever it is at the moment.
    pub(crate) fn api(&self) -> Api {
        Api::new(&format!("http://127.0.0.1:{}", self.port), None)
    }

    /// How often each call of each tool was executed.
    pub(crate) fn effects(&self) -> BTreeMap<String, usize> {
        let mut effects = BTreeMap::new();
        for line in std::fs::read_to_string(self.file("effects")).unwrap_or_default().lines() {
            *effects.entry(line.to_owned()).or_default() += 1;
        }
        effects
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for name in ["server", "worker", "one", "two", "frozen", "other"] {
                eprintln!("the log of {name}:\n{}", self.log(name));
            }
        }
    }
}

/// A process that is started again; it ends with its owner.
pub(crate) struct Supervised {
    task: JoinHandle<()>,
}

impl Drop for Supervised {
    fn drop(&mut self) {
        // The child is killed when the task is dropped.
        self.task.abort();
    }
}
