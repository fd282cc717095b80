//! Persistence. Small object-safe traits; every method is one transaction, takes the org, and
//! sees nothing of another org. `memory`, `sqlite` and `postgres` implement all of them, and pass
//! the same contract suite. Times are kept to the microsecond. Texts are without U+0000, but for
//! keys of key-value data and what is stored as JSON: PostgreSQL refuses others as `Invalid`.

pub mod memory;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "sqlite")]
pub mod sqlite;

#[cfg(any(test, feature = "testing"))]
pub mod contract;

mod blob;
mod component;
mod connection;
mod error;
mod file;
mod kv;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod lock;
mod log;
mod member;
mod message;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod migration;
mod note;
mod org;
mod provider;
mod request;
mod resource;
mod rules;
mod secret;
mod setup;
mod usage;
mod worker;

use std::sync::Arc;

use crate::bus::{EventBus, InMemoryEventBus};
use crate::connection::UserConnectionResolver;
use crate::secret::Cipher;
pub use blob::{BlobStore, BlobsInside};
#[cfg(feature = "s3")]
pub use blob::{S3Bucket, S3Config};
pub use component::{Activation, Collected, ComponentStore, MAX_CHANNELS, NewVersion, StoredVersion};
pub use connection::{ConnectionStore, SecretChanges};
pub use error::{FileProblem, StoreError, StoreResult};
pub use file::RuntimeFileStore;
pub use kv::{KvEntry, KvScope, KvStore};
pub use log::{Append, Claim, Fence, LogUsage, ParkedFor, SessionLog, Submitted, TurnAnswer, TurnEnd, TurnFilter, TurnRecord};
pub use member::{Member, MemberStore, Role};
pub use message::{LogMessages, MessageBatch, RuntimeMessageStore, SessionMessages, StoredMessage};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use migration::SchemaStatus;
pub use note::Note;
pub use org::{ApiKey, AuditEntry, FoundKey, OrgStore, Scope};
pub use provider::{RuntimeProviderStore, Seeded};
pub use request::{NewRequest, RememberedRequest, RequestStore};
pub use resource::{RuntimeAgentStore, RuntimeHarnessStore, RuntimeSessionStore};
pub use secret::SecretStore;
pub use setup::{Org, OrgSetupStore, Seed, SeedKind};
pub use usage::UsageStore;
pub use worker::{InMemoryWorkers, WorkerRecord, WorkerReport, WorkerState, WorkerStore};

use crate::turn::HistoryCache;

/// Which part of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Items to skip.
    pub offset: u32,
    /// Items to return, 1 to [`crate::limits::MAX_PAGE`].
    pub limit: u32,
}

/// A part of a list, in order of creation.
#[derive(Debug, Clone, PartialEq)]
pub struct Listing<T> {
    /// The items.
    pub items: Vec<T>,
    /// How many there are in all.
    pub total: u64,
}

/// All stores of a runtime. Cloning shares them.
#[derive(Clone)]
pub struct RuntimeBackends {
    /// Harnesses.
    pub harness_store: Arc<dyn RuntimeHarnessStore>,
    /// Agents.
    pub agent_store: Arc<dyn RuntimeAgentStore>,
    /// Sessions.
    pub session_store: Arc<dyn RuntimeSessionStore>,
    /// Events and turns.
    pub log: Arc<dyn SessionLog>,
    /// Components.
    pub component_store: Arc<dyn ComponentStore>,
    /// Key-value data.
    pub kv: Arc<dyn KvStore>,
    /// Files of sessions.
    pub file_store: Arc<dyn RuntimeFileStore>,
    /// Orgs and keys.
    pub org_store: Arc<dyn OrgStore>,
    /// Members of orgs.
    pub member_store: Arc<dyn MemberStore>,
    /// Requests that must have one effect.
    pub request_store: Arc<dyn RequestStore>,
    /// An embedder's own copy of messages; none means that they are projected from the log.
    pub message_store: Option<Arc<dyn RuntimeMessageStore>>,
    /// What orgs are set up with.
    pub setup_store: Arc<dyn OrgSetupStore>,
    /// Providers and models.
    pub provider_store: Arc<dyn RuntimeProviderStore>,
    /// Budgets, and what is used of them.
    pub usage_store: Arc<dyn UsageStore>,
    /// Secrets that orgs store for their components.
    pub secret_store: Arc<dyn SecretStore>,
    /// Connections of users, and secrets of sessions.
    pub connection_store: Arc<dyn ConnectionStore>,
    /// Processes that run turns; those of this one, unless others share the table.
    pub worker_store: Arc<dyn WorkerStore>,
    /// Where tools get the credentials of their users; none means that nobody can connect.
    pub connection_resolver: Option<Arc<dyn UserConnectionResolver>>,
    /// Seals what stores must not see, and opens it again.
    pub cipher: Arc<Cipher>,
    /// Live delivery of events.
    pub event_bus: Arc<dyn EventBus>,
    /// Histories of recently used sessions of this log.
    pub history_cache: Arc<HistoryCache>,
}

impl RuntimeBackends {
    /// One value that implements all traits of stores, and a bus that keeps no events. What is
    /// sealed can be opened for as long as this value or a clone lives: a store that outlives the
    /// process needs [`Self::with_cipher`].
    pub fn from_store<S>(store: Arc<S>) -> Self
    where
        S: RuntimeHarnessStore + RuntimeAgentStore + RuntimeSessionStore + SessionLog,
        S: ComponentStore + KvStore + RuntimeFileStore + OrgStore + RequestStore + OrgSetupStore + RuntimeProviderStore,
        S: ConnectionStore + UsageStore + SecretStore + MemberStore + 'static,
    {
        Self {
            harness_store: store.clone(),
            agent_store: store.clone(),
            session_store: store.clone(),
            log: store.clone(),
            component_store: store.clone(),
            kv: store.clone(),
            file_store: store.clone(),
            org_store: store.clone(),
            member_store: store.clone(),
            request_store: store.clone(),
            setup_store: store.clone(),
            message_store: None,
            provider_store: store.clone(),
            usage_store: store.clone(),
            secret_store: store.clone(),
            connection_store: store,
            worker_store: Arc::new(InMemoryWorkers::default()),
            connection_resolver: None,
            cipher: Arc::new(Cipher::ephemeral()),
            event_bus: Arc::new(InMemoryEventBus::new()),
            history_cache: Arc::default(),
        }
    }

    /// Everything in memory; gone with the process. The bus keeps events.
    pub fn in_memory() -> Self {
        Self::from_store(Arc::new(memory::MemoryStore::default())).with_event_bus(Arc::new(InMemoryEventBus::retaining()))
    }

    /// The same with other harnesses.
    #[must_use]
    pub fn with_harness_store(self, harness_store: Arc<dyn RuntimeHarnessStore>) -> Self {
        Self { harness_store, ..self }
    }

    /// The same with other agents.
    #[must_use]
    pub fn with_agent_store(self, agent_store: Arc<dyn RuntimeAgentStore>) -> Self {
        Self { agent_store, ..self }
    }

    /// The same with other sessions.
    #[must_use]
    pub fn with_session_store(self, session_store: Arc<dyn RuntimeSessionStore>) -> Self {
        Self { session_store, ..self }
    }

    /// The same with other files of sessions.
    #[must_use]
    pub fn with_file_store(self, file_store: Arc<dyn RuntimeFileStore>) -> Self {
        Self { file_store, ..self }
    }

    /// The same with other components.
    #[must_use]
    pub fn with_component_store(self, component_store: Arc<dyn ComponentStore>) -> Self {
        Self { component_store, ..self }
    }

    /// The same with other key-value data.
    #[must_use]
    pub fn with_kv(self, kv: Arc<dyn KvStore>) -> Self {
        Self { kv, ..self }
    }

    /// The same with other orgs and keys.
    #[must_use]
    pub fn with_org_store(self, org_store: Arc<dyn OrgStore>) -> Self {
        Self { org_store, ..self }
    }

    /// The same with another memory of requests.
    #[must_use]
    pub fn with_request_store(self, request_store: Arc<dyn RequestStore>) -> Self {
        Self { request_store, ..self }
    }

    /// The same with another log. What was cached of the one before it is not used.
    #[must_use]
    pub fn with_log(self, log: Arc<dyn SessionLog>) -> Self {
        Self { log, history_cache: Arc::default(), ..self }
    }

    /// The same with a copy of messages that turns read their history from.
    #[must_use]
    pub fn with_message_store(self, message_store: Arc<dyn RuntimeMessageStore>) -> Self {
        Self { message_store: Some(message_store), ..self }
    }

    /// Where messages are read: the embedder's store, or else the log.
    pub fn messages(&self) -> Arc<dyn RuntimeMessageStore> {
        self.message_store.clone().unwrap_or_else(|| Arc::new(LogMessages::new(self.log.clone())))
    }

    /// The same with other providers and models.
    #[must_use]
    pub fn with_provider_store(self, provider_store: Arc<dyn RuntimeProviderStore>) -> Self {
        Self { provider_store, ..self }
    }

    /// The same with other connections and session secrets.
    #[must_use]
    pub fn with_connection_store(self, connection_store: Arc<dyn ConnectionStore>) -> Self {
        Self { connection_store, ..self }
    }

    /// The same with other secrets of orgs.
    #[must_use]
    pub fn with_secret_store(self, secret_store: Arc<dyn SecretStore>) -> Self {
        Self { secret_store, ..self }
    }

    /// The same with other budgets.
    #[must_use]
    pub fn with_usage_store(self, usage_store: Arc<dyn UsageStore>) -> Self {
        Self { usage_store, ..self }
    }

    /// The same with a table of workers that other processes share.
    #[must_use]
    pub fn with_worker_store(self, worker_store: Arc<dyn WorkerStore>) -> Self {
        Self { worker_store, ..self }
    }

    /// The same with another source of users' credentials.
    #[must_use]
    pub fn with_connection_resolver(self, resolver: Arc<dyn UserConnectionResolver>) -> Self {
        Self { connection_resolver: Some(resolver), ..self }
    }

    /// The same with other master keys.
    #[must_use]
    pub fn with_cipher(self, cipher: Arc<Cipher>) -> Self {
        Self { cipher, ..self }
    }

    /// The same with another bus.
    #[must_use]
    pub fn with_event_bus(self, event_bus: Arc<dyn EventBus>) -> Self {
        Self { event_bus, ..self }
    }
}
