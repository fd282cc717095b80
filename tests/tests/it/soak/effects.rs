//! What the tool of a soak does to the world: it is counted here, outside of all that is killed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

type Counts = Arc<Mutex<BTreeMap<u64, u64>>>;

/// A server that counts what it is asked to do; ends when it is dropped.
pub(crate) struct Effects {
    pub(crate) port: u16,
    counts: Counts,
    serving: JoinHandle<()>,
}

impl Effects {
    pub(crate) async fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let counts = Counts::default();
        let charge = async |State(counts): State<Counts>, Path(turn): Path<u64>| {
            *counts.lock().expect("nothing panics").entry(turn).or_default() += 1;
            "charged"
        };
        let router = Router::new().route("/charge/{turn}", get(charge)).with_state(counts.clone());
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self { port, counts, serving }
    }

    /// How often each turn was charged.
    pub(crate) fn counts(&self) -> BTreeMap<u64, u64> {
        self.counts.lock().expect("nothing panics").clone()
    }
}

impl Drop for Effects {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
