//! An installation: a database, a server's part of the engine, workers.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use everwit_runtime::clock::SystemClock;
use everwit_runtime::engine::Engine;
use everwit_runtime::engine::conformance::Site;
use everwit_runtime::id::{IdSource as _, RandomIds};
use everwit_runtime::store::RuntimeBackends;
use everwit_runtime::store::postgres::{PostgresStore, testing};
use everwit_temporal::{TemporalEngine, TemporalOptions};

/// URL of a server on which the tests may create databases.
const POSTGRES: &str = "EVERWIT_TEST_POSTGRES";
/// URL of a Temporal server.
const TEMPORAL: &str = "EVERWIT_TEST_TEMPORAL";
/// The program that is such a server.
const TEMPORAL_PROGRAM: &str = "EVERWIT_TEST_TEMPORAL_PROGRAM";
const CONNECTIONS: u32 = 4;
/// Short, so that the tests are; a worker on a busy machine must still be able to keep it.
const LEASE: Duration = Duration::from_secs(3);

fn variable(name: &str) -> String {
    let value = std::env::var_os(name).and_then(|value| value.into_string().ok());
    value.unwrap_or_else(|| panic!("{name} is not set: `cargo xtask temporal` starts the servers that these tests need, and runs them"))
}

pub(crate) fn temporal_program() -> PathBuf {
    variable(TEMPORAL_PROGRAM).into()
}

/// A process that ends with its owner.
pub(crate) struct Process(pub(crate) Child);

impl Process {
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.0.id().to_string()).status().expect("the program kill");
        assert!(sent.success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().expect("it is ours");
        self.0.wait().expect("it is ours");
    }
}

pub(crate) struct Installation {
    pub(crate) stores: RuntimeBackends,
    pub(crate) engine: TemporalEngine,
    pub(crate) workers: Vec<Process>,
    pub(crate) pump: Option<Process>,
    arguments: [String; 4],
}

/// An installation without workers on the server that all tests share.
pub(crate) async fn open() -> Installation {
    Installation::open(&variable(TEMPORAL)).await
}

impl Installation {
    pub(crate) async fn open(target: &str) -> Self {
        let name = format!("test_{}", RandomIds::new(Arc::new(SystemClock)).next().simple());
        let database = testing::create_database(&variable(POSTGRES), &name).await;
        let store = PostgresStore::open(&database.parse().expect("a URL"), CONNECTIONS).await.expect("a store");
        let stores = RuntimeBackends::from_store(Arc::new(store));
        let options = TemporalOptions {
            target: target.parse().expect("a URL"),
            namespace: "default".to_owned(),
            installation: name.clone(),
            lease: LEASE,
        };
        let engine = TemporalEngine::connect(options, stores.log.clone()).await.expect("Temporal answers");
        let arguments = [target.to_owned(), name, LEASE.as_millis().to_string(), database];
        let mut installation = Self { stores, engine, workers: Vec::new(), pump: None, arguments };
        installation.pump = Some(installation.start("pump"));
        installation
    }

    pub(crate) fn start(&self, role: &str) -> Process {
        let tests = std::env::current_exe().expect("a path");
        let program = tests.parent().and_then(|deps| deps.parent()).expect("a folder of targets").join("examples/conformance_worker");
        let mut command = Command::new(&program);
        command.arg(role).args(&self.arguments).stdin(Stdio::null()).stdout(Stdio::null());
        Process(command.spawn().unwrap_or_else(|error| panic!("{}: {error}", program.display())))
    }
}

#[async_trait]
impl Site for Installation {
    fn stores(&self) -> RuntimeBackends {
        self.stores.clone()
    }

    fn engine(&self) -> Arc<dyn Engine> {
        Arc::new(self.engine.clone())
    }

    async fn start_worker(&mut self) {
        let worker = self.start("work");
        self.workers.push(worker);
    }

    async fn kill_workers(&mut self) {
        self.workers.clear();
    }

    async fn kill_control_plane(&mut self) {
        self.pump = None;
        self.pump = Some(self.start("pump"));
    }
}
