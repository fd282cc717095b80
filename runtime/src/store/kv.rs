//! Key-value data of components.

use async_trait::async_trait;

use super::StoreResult;
use crate::id::{OrgId, SessionId};

/// Id of the capability that keeps values of sessions; no uploaded component can have it.
pub(crate) const SESSION_STORAGE: &str = "session_storage";

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

impl KvScope {
    /// Where the values of one session lie, which go with it.
    pub fn of_session(org: OrgId, session: SessionId) -> Self {
        Self { org, component: SESSION_STORAGE.to_owned(), bucket: session.to_string() }
    }
}

/// A stored value with its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvEntry {
    /// The bytes.
    pub value: Vec<u8>,
    /// From 1; grows with each write, by one unless the key was removed in between. Never the same
    /// for two values of a key.
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
