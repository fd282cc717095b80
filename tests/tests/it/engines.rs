//! The embedded engine, held against the suite that every engine must pass, over both databases.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use everwit_runtime::Error;
use everwit_runtime::clock::SystemClock;
use everwit_runtime::engine::conformance::{Script, Site};
use everwit_runtime::engine::{EmbeddedEngine, Engine, StepHandler, TurnKey, TurnStatus, WorkEnd, Working};
use everwit_runtime::store::RuntimeBackends;
use everwit_runtime::store::sqlite::SqliteStore;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::support::postgres;

everwit_runtime::engine_conformance_tests!(over_sqlite, crate::engines::open_sqlite);
everwit_runtime::engine_conformance_tests!(over_postgres, crate::engines::open_postgres);

/// Turns of a worker at once.
const SLOTS: usize = 4;

/// Where the store is.
enum Place {
    File(PathBuf),
    Server(String),
}

impl Place {
    async fn open(&self) -> RuntimeBackends {
        match self {
            Self::File(path) => RuntimeBackends::from_store(Arc::new(SqliteStore::open(path).await.expect("a store"))),
            Self::Server(database) => RuntimeBackends::from_store(Arc::new(postgres::open(database).await)),
        }
    }
}

/// A process, or what is as good as one: its tasks, threads and connections go with it, all at once.
struct Process {
    runtime: Option<Runtime>,
    stores: RuntimeBackends,
    engine: EmbeddedEngine,
}

impl Process {
    async fn start(place: Arc<Place>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        let opened = runtime.spawn(async move {
            let stores = place.open().await;
            let engine = EmbeddedEngine::new(stores.log.clone(), Arc::new(SystemClock));
            (stores, engine)
        });
        let (stores, engine) = opened.await.expect("it does not panic");
        Self { runtime: Some(runtime), stores, engine }
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("it runs until it is dropped")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Not with a plain drop: that would wait, and may not be done by a task.
        self.runtime.take().expect("it is dropped once").shutdown_background();
    }
}

/// The engine of a process, for callers outside of it.
struct Inside {
    runtime: tokio::runtime::Handle,
    engine: EmbeddedEngine,
}

#[async_trait]
impl Engine for Inside {
    async fn submit(&self, turn: TurnKey) -> Result<(), Error> {
        let engine = self.engine.clone();
        self.runtime.spawn(async move { engine.submit(turn).await }).await.expect("it does not panic")
    }

    async fn signal(&self, turn: TurnKey) -> Result<(), Error> {
        let engine = self.engine.clone();
        self.runtime.spawn(async move { engine.signal(turn).await }).await.expect("it does not panic")
    }

    async fn cancel(&self, turn: TurnKey) -> Result<bool, Error> {
        let engine = self.engine.clone();
        self.runtime.spawn(async move { engine.cancel(turn).await }).await.expect("it does not panic")
    }

    async fn status(&self, turn: TurnKey) -> Result<TurnStatus, Error> {
        self.engine.status(turn).await
    }

    async fn work(&self, handler: Arc<dyn StepHandler>, slots: usize, end: WorkEnd) -> Result<Working, Error> {
        let engine = self.engine.clone();
        self.runtime.spawn(async move { engine.work(handler, slots, end).await }).await.expect("it does not panic")
    }
}

struct Embedded {
    place: Arc<Place>,
    stores: RuntimeBackends,
    process: Process,
    _directory: Option<TempDir>,
}

async fn site(place: Place, directory: Option<TempDir>) -> Embedded {
    let place = Arc::new(place);
    let stores = place.open().await;
    Embedded { stores, process: Process::start(place.clone()).await, place, _directory: directory }
}

async fn open_sqlite() -> Embedded {
    let directory = tempfile::tempdir().expect("a directory");
    site(Place::File(directory.path().join("everwit.db")), Some(directory)).await
}

async fn open_postgres() -> Embedded {
    site(Place::Server(postgres::new_database().await), None).await
}

#[async_trait]
impl Site for Embedded {
    fn stores(&self) -> RuntimeBackends {
        self.stores.clone()
    }

    fn engine(&self) -> Arc<dyn Engine> {
        Arc::new(Inside { runtime: self.process.runtime().handle().clone(), engine: self.process.engine.clone() })
    }

    async fn start_worker(&mut self) {
        let handler = Arc::new(Script::new(self.process.stores.clone()));
        let working = self.engine().work(handler, SLOTS, WorkEnd::default()).await.expect("a worker");
        self.process.runtime().spawn(working);
    }

    async fn kill_workers(&mut self) {
        self.process = Process::start(self.place.clone()).await;
    }

    async fn kill_control_plane(&mut self) {
        self.kill_workers().await;
    }
}
