//! Persistence. Small object-safe traits; every method is one transaction, takes the org, and
//! sees nothing of another org. `memory` and `sqlite` implement all of them, and pass the same
//! contract suite.

pub mod memory;
#[cfg(feature = "sqlite")]
pub mod sqlite;

#[cfg(any(test, feature = "testing"))]
pub mod contract;

mod request;
mod rules;

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::SecretString;

pub use request::{NewRequest, RememberedRequest, RequestStore};

use crate::agent::Agent;
use crate::component::{Component, ComponentDescription, ComponentVersion, Digest, Grant};
use crate::error::ErrorKind;
use crate::event::{Event, NewEvent};
use crate::harness::Harness;
use crate::id::{AgentId, ComponentId, HarnessId, KeyId, OrgId, SessionId, TurnId};
use crate::limits::Budget;
use crate::session::Session;

/// Why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The row does not exist in this org.
    #[error("{what} {id:?} does not exist")]
    NotFound {
        /// Kind of thing, for example "session".
        what: &'static str,
        /// Its id or name.
        id: String,
    },
    /// A unique name or id is taken.
    #[error("{what} {id:?} exists already")]
    Duplicate {
        /// Kind of thing.
        what: &'static str,
        /// The id or name that is taken.
        id: String,
    },
    /// The row was changed since it was read.
    #[error("{what} {id:?} was changed by somebody else; read it again")]
    Stale {
        /// Kind of thing.
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// The log does not end at the expected sequence.
    #[error("the session's log ends at sequence {actual}, not at {expected}")]
    SequenceConflict {
        /// What the writer believed.
        expected: u64,
        /// Where it ends.
        actual: u64,
    },
    /// The writer does not own the session any more.
    #[error("another owner took over the session (fence {actual}, not {given})")]
    Fenced {
        /// The writer's fence.
        given: u64,
        /// The session's fence.
        actual: u64,
    },
    /// A limit of the store.
    #[error("{0}")]
    Limit(String),
    /// A stored value cannot be read; names table, column and row.
    #[error("stored data is broken: {0}")]
    Corrupt(String),
    /// The database belongs to a newer version or to another program.
    #[error("the database cannot be used: {0}")]
    Incompatible(String),
    /// The database cannot be reached or did not answer in time.
    #[error("the store is not available: {0}")]
    Unavailable(String),
}

impl StoreError {
    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::Duplicate { .. } | Self::Stale { .. } | Self::SequenceConflict { .. } | Self::Fenced { .. } => ErrorKind::Conflict,
            Self::Limit(_) => ErrorKind::Limit,
            Self::Corrupt(_) | Self::Incompatible(_) => ErrorKind::Internal,
            Self::Unavailable(_) => ErrorKind::Unavailable,
        }
    }
}

/// Result of a store method.
pub type StoreResult<T> = Result<T, StoreError>;

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

/// Harnesses.
#[async_trait]
pub trait RuntimeHarnessStore: Send + Sync {
    /// Adds a harness. `Duplicate` if its id or name is taken.
    async fn add_harness(&self, org: OrgId, harness: Harness) -> StoreResult<()>;
    /// Reads one.
    async fn get_harness(&self, org: OrgId, id: HarnessId) -> StoreResult<Option<Harness>>;
    /// Reads one by name.
    async fn find_harness(&self, org: OrgId, name: &str) -> StoreResult<Option<Harness>>;
    /// Replaces one whose stored version is `harness.version - 1`; `Stale` otherwise,
    /// `NotFound` if absent, `Duplicate` if the new name is taken.
    async fn update_harness(&self, org: OrgId, harness: Harness) -> StoreResult<()>;
    /// Lists them in order of creation, archived ones included.
    async fn list_harnesses(&self, org: OrgId, page: Page) -> StoreResult<Listing<Harness>>;
}

/// Agents.
#[async_trait]
pub trait RuntimeAgentStore: Send + Sync {
    /// Adds an agent. `Duplicate` if its id or name is taken.
    async fn add_agent(&self, org: OrgId, agent: Agent) -> StoreResult<()>;
    /// Reads one.
    async fn get_agent(&self, org: OrgId, id: AgentId) -> StoreResult<Option<Agent>>;
    /// Reads one by name.
    async fn find_agent(&self, org: OrgId, name: &str) -> StoreResult<Option<Agent>>;
    /// Replaces one whose stored version is `agent.version - 1`; errors as for harnesses.
    async fn update_agent(&self, org: OrgId, agent: Agent) -> StoreResult<()>;
    /// Lists them in order of creation, archived ones included.
    async fn list_agents(&self, org: OrgId, page: Page) -> StoreResult<Listing<Agent>>;
}

/// Sessions. Their status follows from their turns and is written by [`SessionLog`] only.
#[async_trait]
pub trait RuntimeSessionStore: Send + Sync {
    /// Adds a session with its first event, `session.started`, at sequence 1.
    async fn add_session(&self, org: OrgId, session: Session, started: NewEvent) -> StoreResult<Event>;
    /// Reads one.
    async fn get_session(&self, org: OrgId, id: SessionId) -> StoreResult<Option<Session>>;
    /// Replaces all but the status of one whose stored version is `session.version - 1`.
    async fn update_session(&self, org: OrgId, session: Session) -> StoreResult<()>;
    /// Lists them in order of creation.
    async fn list_sessions(&self, org: OrgId, page: Page) -> StoreResult<Listing<Session>>;
}

/// Proof of owning a session: grows with each claim; only the newest may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fence(pub u64);

/// How a turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnEnd {
    /// With an answer.
    Completed,
    /// With an error.
    Failed,
    /// By a cancel.
    Cancelled,
    /// By the platform.
    Sealed,
}

/// Events to append in one transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct Append {
    /// Sequence of the last event that the writer has seen.
    pub expected_sequence: u64,
    /// The writer's fence.
    pub fence: Fence,
    /// The events, in order; none of them live-only. At most 1,000.
    pub events: Vec<NewEvent>,
    /// The turn that these events end; the session becomes idle if no other turn is open.
    pub ends_turn: Option<(TurnId, TurnEnd)>,
}

/// A claimed turn.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// The turn.
    pub turn_id: TurnId,
    /// Fence of this claim.
    pub fence: Fence,
    /// How often the turn was claimed, this time included; more than one means that an owner
    /// died.
    pub attempt: u32,
    /// Whether a cancel was requested.
    pub cancel_requested: bool,
}

/// What a submission did.
#[derive(Debug, Clone, PartialEq)]
pub struct Submitted {
    /// The stored `input.message` event.
    pub event: Event,
    /// False if the turn had been submitted before; nothing was stored then.
    pub created: bool,
}

/// The log of each session together with its queue of turns: one aggregate, because an event
/// and the change of a turn that it records must be one transaction.
#[async_trait]
pub trait SessionLog: Send + Sync {
    /// Accepts a message: appends `input.message` wherever the log ends, opens the turn behind
    /// those already open, and makes the session active. Idempotent by turn id. `Limit` if
    /// [`crate::limits::MAX_QUEUED_TURNS`] are open.
    async fn submit_turn(&self, org: OrgId, session: SessionId, turn: TurnId, input: NewEvent) -> StoreResult<Submitted>;

    /// Takes the session's oldest open turn over, whoever had it; none if no turn is open.
    async fn claim_turn(&self, org: OrgId, session: SessionId) -> StoreResult<Option<Claim>>;

    /// Marks an open turn to be cancelled; false if it is not open any more.
    async fn request_cancel(&self, org: OrgId, session: SessionId, turn: TurnId) -> StoreResult<bool>;

    /// The session's open turns, oldest first.
    async fn open_turns(&self, org: OrgId, session: SessionId) -> StoreResult<Vec<TurnId>>;

    /// Appends events if the log ends at the expected sequence and the fence is the newest;
    /// `SequenceConflict` or `Fenced` otherwise, and nothing is stored.
    async fn append(&self, org: OrgId, session: SessionId, append: Append) -> StoreResult<Vec<Event>>;

    /// Events after a sequence, in order, at most `limit` (up to
    /// [`crate::limits::MAX_EVENTS_PER_PAGE`]).
    async fn read_events(&self, org: OrgId, session: SessionId, after: u64, limit: usize) -> StoreResult<Vec<Event>>;

    /// Sequence of the last event.
    async fn last_sequence(&self, org: OrgId, session: SessionId) -> StoreResult<u64>;

    /// Sequence of the event with this id (text form); none if it is not in the session.
    async fn find_event(&self, org: OrgId, session: SessionId, event: crate::id::EventId) -> StoreResult<Option<u64>>;

    /// All sessions of all orgs with an open turn, for recovery at start. The one method that
    /// looks across orgs; not reachable from any request.
    async fn sessions_with_open_turns(&self) -> StoreResult<Vec<(OrgId, SessionId)>>;
}

/// A new version of a component.
#[derive(Debug, Clone, PartialEq)]
pub struct NewVersion {
    /// Id for the component if its name is new.
    pub component_id: ComponentId,
    /// Digest of the bytes.
    pub digest: Digest,
    /// The bytes.
    pub wasm: Vec<u8>,
    /// What it says about itself; its id is the component's name.
    pub description: ComponentDescription,
    /// WIT names of its imports.
    pub imports: Vec<String>,
    /// When.
    pub now: Timestamp,
}

/// What storing a version did.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredVersion {
    /// The component after it.
    pub component: Component,
    /// The version: the new one, or the earlier one with the same bytes.
    pub version: ComponentVersion,
    /// False if the same bytes had been stored before.
    pub created: bool,
}

/// What activation sets.
#[derive(Debug, Clone, PartialEq)]
pub struct Activation {
    /// What the tenant allows.
    pub grant: Grant,
    /// Limits of its calls.
    pub budget: Budget,
    /// When.
    pub now: Timestamp,
}

/// Uploaded components.
#[async_trait]
pub trait ComponentStore: Send + Sync {
    /// Stores a version. The same bytes under the same name are the same version; a new
    /// version is not active.
    async fn add_version(&self, org: OrgId, new: NewVersion) -> StoreResult<StoredVersion>;
    /// Reads a component.
    async fn get_component(&self, org: OrgId, id: ComponentId) -> StoreResult<Option<Component>>;
    /// Reads one by its capability id.
    async fn find_component(&self, org: OrgId, name: &str) -> StoreResult<Option<Component>>;
    /// Lists them in order of creation, archived ones included.
    async fn list_components(&self, org: OrgId, page: Page) -> StoreResult<Listing<Component>>;
    /// Reads one version.
    async fn get_version(&self, org: OrgId, id: ComponentId, version: u32) -> StoreResult<Option<ComponentVersion>>;
    /// Lists the versions of a component, newest first.
    async fn list_versions(&self, org: OrgId, id: ComponentId, page: Page) -> StoreResult<Listing<ComponentVersion>>;
    /// The bytes of a version that this org uploaded.
    async fn read_wasm(&self, org: OrgId, digest: Digest) -> StoreResult<Option<Vec<u8>>>;
    /// Makes a version the active one and un-archives the component.
    async fn activate(&self, org: OrgId, id: ComponentId, version: u32, activation: Activation) -> StoreResult<Component>;
    /// Archives a component.
    async fn archive_component(&self, org: OrgId, id: ComponentId, now: Timestamp) -> StoreResult<Component>;
}

/// Where a component's key-value data lives. Columns, not a joined string, so that no two
/// different scopes can meet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KvScope {
    /// Tenant.
    pub org: OrgId,
    /// Capability id of the component.
    pub component: String,
    /// Bucket.
    pub bucket: String,
}

/// A stored value with its version, from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvEntry {
    /// The bytes.
    pub value: Vec<u8>,
    /// Grows by one with each write.
    pub version: u64,
}

/// Key-value data of components, within the limits of [`crate::limits`]: `Limit` beyond them.
#[async_trait]
pub trait KvStore: Send + Sync {
    /// Reads a key.
    async fn get(&self, scope: &KvScope, key: &str) -> StoreResult<Option<KvEntry>>;
    /// Writes a key and returns its version. `expected`: none in any case, 0 only if absent,
    /// n only over version n; `Stale` otherwise.
    async fn put(&self, scope: &KvScope, key: &str, value: Vec<u8>, expected: Option<u64>) -> StoreResult<u64>;
    /// Removes a key, `expected` as in `put`; absent is fine unless something is expected.
    async fn remove(&self, scope: &KvScope, key: &str, expected: Option<u64>) -> StoreResult<()>;
    /// Keys with a prefix in byte order, after `after`, at most `limit`.
    async fn keys(&self, scope: &KvScope, prefix: &str, after: Option<&str>, limit: u32) -> StoreResult<Vec<String>>;
}

/// What a key may do; each includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Reading.
    Read,
    /// Changing things and running turns.
    Write,
    /// Keys, components and grants.
    Admin,
}

/// An API key as it is stored: without the secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Id.
    pub id: KeyId,
    /// The org that it acts for.
    pub org: OrgId,
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub scope: Scope,
    /// SHA-256 of the secret.
    pub secret_hash: [u8; 32],
    /// When it was made.
    pub created_at: Timestamp,
}

/// Orgs and their API keys.
#[async_trait]
pub trait OrgStore: Send + Sync {
    /// The default org; made with `id` if there is none yet.
    async fn default_org(&self, id: OrgId, now: Timestamp) -> StoreResult<OrgId>;
    /// Adds an org.
    async fn add_org(&self, id: OrgId, name: &str, now: Timestamp) -> StoreResult<()>;
    /// Adds a key.
    async fn add_key(&self, key: ApiKey) -> StoreResult<()>;
    /// Looks a key up by the hash of its secret. Keys hold 32 random bytes, so the look-up by
    /// hash leaks nothing useful by its timing.
    async fn find_key(&self, secret_hash: &[u8; 32]) -> StoreResult<Option<ApiKey>>;
    /// Whether any org has a key.
    async fn has_keys(&self) -> StoreResult<bool>;
    /// The keys of an org, in order of creation.
    async fn list_keys(&self, org: OrgId) -> StoreResult<Vec<ApiKey>>;
    /// Removes a key; false if absent.
    async fn remove_key(&self, org: OrgId, id: KeyId) -> StoreResult<bool>;
    /// A named value of this installation, made with `value` if absent, for example the key
    /// that salts the ids which guests see.
    async fn installation_secret(&self, name: &str, value: SecretString) -> StoreResult<SecretString>;
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
    /// Orgs and keys.
    pub org_store: Arc<dyn OrgStore>,
    /// Requests that must have one effect.
    pub request_store: Arc<dyn RequestStore>,
}

impl RuntimeBackends {
    /// One value that implements all traits.
    pub fn from_store<S>(store: Arc<S>) -> Self
    where
        S: RuntimeHarnessStore + RuntimeAgentStore + RuntimeSessionStore + SessionLog,
        S: ComponentStore + KvStore + OrgStore + RequestStore + 'static,
    {
        Self {
            harness_store: store.clone(),
            agent_store: store.clone(),
            session_store: store.clone(),
            log: store.clone(),
            component_store: store.clone(),
            kv: store.clone(),
            org_store: store.clone(),
            request_store: store,
        }
    }

    /// Everything in memory; gone with the process.
    pub fn in_memory() -> Self {
        Self::from_store(Arc::new(memory::MemoryStore::default()))
    }
}
