//! Why a server or worker does not start, or does not end well.

use std::net::SocketAddr;

use everwit_runtime::component::Digest;
use everwit_runtime::platform::{DefinitionDifference, DefinitionErrors};
use everwit_runtime::store::StoreError;

use crate::config::ConfigError;

/// Why a server or worker does not start, or does not end well.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppError {
    /// The configuration cannot be used; says everything that is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The platform definition cannot be used; says everything that is wrong.
    #[error(transparent)]
    Definition(#[from] DefinitionErrors),
    /// Another definition runs on the same data directory already.
    #[error(
        "the platform definition {own} is not the one that runs on this data directory already, {running}: {difference}\n\
         to fix it: give servers and workers clones of the same definition"
    )]
    DefinitionMismatch {
        /// Digest of the one that runs.
        running: Digest,
        /// Digest of the one that was refused.
        own: Digest,
        /// How they differ; the one that runs comes first.
        difference: Box<DefinitionDifference>,
    },
    /// The data directory cannot be used; says why and how to fix it.
    #[error("{0}")]
    DataDir(String),
    /// An address that others can reach needs API keys or an authenticator.
    #[error("{0}")]
    NeedsKeys(String),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// A custom route has the path and method of another one.
    #[error("custom routes cannot be added: {0}\nto fix it: choose another path, or switch the stock module off that has it")]
    RouteConflict(String),
    /// The store failed.
    #[error("the database: {0}")]
    Store(#[from] StoreError),
    /// The bucket for bytes of components cannot be used; says why and how to fix it.
    #[error("{0}")]
    Bucket(String),
    /// Another process runs the turns of this database.
    #[error(
        "another server runs the turns of this database, by itself or with another engine\n\
         to fix it: stop that one, or give this one a database of its own"
    )]
    TurnsTaken,
    /// A worker of a distributed engine has no master keys.
    #[error("a worker needs a control plane that opens credentials for it\nto fix it: --control-plane URL and EVERWIT_WORKER_TOKEN")]
    NeedsControlPlane,
    /// The servers do not let this worker work.
    #[error(
        "the control plane refuses this worker: {0}\nto fix it: run the same program with the same definition and token on all machines"
    )]
    WorkerRefused(String),
    /// A distributed engine needs a database that many processes can use.
    #[error(
        "an engine for many machines needs a database that all of them reach\nto fix it: --database postgres://USER:PASSWORD@HOST:PORT/DATABASE"
    )]
    NeedsPostgres,
    /// The runtime failed.
    #[error(transparent)]
    Runtime(#[from] everwit_runtime::Error),
    /// The system does not give what is needed, such as signals.
    #[error("the system does not give {what}: {source}")]
    System {
        /// What was asked for.
        what: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// A second signal ended it before everything had come to rest; open turns go on at the next
    /// start.
    #[error("ended at once by a second signal ({0})")]
    Interrupted(&'static str),
    /// A broken invariant.
    #[error("internal error: {0}")]
    Internal(String),
}

impl AppError {
    /// For the functions of the data directory, which say what to do.
    pub(crate) fn data_dir(error: anyhow::Error) -> Self {
        Self::DataDir(format!("{error:#}"))
    }
}
