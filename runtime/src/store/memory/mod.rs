//! The store that keeps everything in memory, for tests and for hosts that need no durability.
//! One mutex guards all of it and is never held across an await, so each method is atomic.
//! What belongs to an org lives in its own `Tenant`: no method can reach another's.

mod component;
mod connection;
mod file;
mod kv;
mod log;
mod message;
mod org;
mod provider;
mod request;
mod resource;
mod secret;
mod session;
mod setup;
mod table;
mod usage;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::component::Components;
use self::connection::Connections;
use self::file::Files;
use self::kv::Bucket;
pub use self::message::MemoryMessageStore;
use self::org::Orgs;
use self::provider::Providers;
use self::request::Requests;
use self::secret::OrgSecrets;
use self::session::Sessions;
use self::setup::Setup;
use self::table::Table;
use self::usage::Usage;
use crate::agent::Agent;
use crate::component::Digest;
use crate::harness::Harness;
use crate::id::{AgentId, HarnessId, OrgId, SessionId};

/// Keeps everything in memory; gone with the value.
#[derive(Default)]
pub struct MemoryStore {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    orgs: Orgs,
    tenants: BTreeMap<OrgId, Tenant>,
    /// Bytes of components, shared by all orgs that uploaded them.
    blobs: HashMap<Digest, Arc<[u8]>>,
}

/// Everything of one org.
#[derive(Default)]
struct Tenant {
    harnesses: Table<HarnessId, Harness>,
    agents: Table<AgentId, Agent>,
    sessions: Sessions,
    components: Components,
    /// By component and bucket.
    kv: HashMap<(String, String), Bucket>,
    files: HashMap<SessionId, Files>,
    requests: Requests,
    setup: Setup,
    providers: Providers,
    connections: Connections,
    usage: Usage,
    secrets: OrgSecrets,
}

impl MemoryStore {
    /// The state. A panic while it was locked cannot have left a method half done: each checks
    /// first and changes last.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what an org has; an unknown org has nothing.
    fn read<T>(&self, org: OrgId, read: impl FnOnce(&Tenant) -> T) -> T {
        match self.lock().tenants.get(&org) {
            Some(tenant) => read(tenant),
            None => read(&Tenant::default()),
        }
    }

    /// Changes what an org has.
    fn write<T>(&self, org: OrgId, write: impl FnOnce(&mut Tenant) -> T) -> T {
        write(self.lock().tenants.entry(org).or_default())
    }
}
