//! One role of a distributed installation, for the conformance suite: a server's part of it (`pump`) or a worker (`work`).

use std::sync::Arc;
use std::time::Duration;

use everwit_runtime::engine::conformance::Script;
use everwit_runtime::engine::{Engine, WorkEnd};
use everwit_runtime::store::RuntimeBackends;
use everwit_runtime::store::postgres::PostgresStore;
use everwit_temporal::{TemporalEngine, TemporalOptions};
use tokio_util::sync::CancellationToken;

const CONNECTIONS: u32 = 4;
const SLOTS: usize = 4;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter("everwit=debug,warn").init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [role, target, installation, lease, database] = &arguments[..] else {
        return Err("usage: conformance_worker pump|work TARGET INSTALLATION LEASE_MS DATABASE".into());
    };
    let stores = RuntimeBackends::from_store(Arc::new(PostgresStore::open(&database.parse()?, CONNECTIONS).await?));
    let options = TemporalOptions {
        target: target.parse()?,
        namespace: "default".to_owned(),
        installation: installation.clone(),
        lease: Duration::from_millis(lease.parse()?),
    };
    let engine = TemporalEngine::connect(options, stores.log.clone()).await?;
    // Whoever starts this ends it with a signal that cannot be taken over.
    match role.as_str() {
        "pump" => engine.pump(CancellationToken::new())?.await?,
        "work" => {
            engine.work(Arc::new(Script::new(stores)), SLOTS, WorkEnd::default()).await?.await?;
        }
        other => return Err(format!("unknown role {other:?}").into()),
    }
    Ok(())
}
