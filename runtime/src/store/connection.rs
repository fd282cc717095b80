//! Connections of users, authorizations on their way, and secrets of sessions. All values come
//! sealed and leave sealed: a store never sees one.

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreResult;
use crate::connection::{Authorization, Connection, SessionSecret};
use crate::id::{OrgId, SessionId};

/// What is to become of a session's secrets.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SecretChanges {
    /// Secrets to add or to replace.
    pub put: Vec<SessionSecret>,
    /// Names to remove; those that are not there are passed over.
    pub remove: Vec<String>,
}

/// Connections of users, authorizations on their way, and secrets of sessions.
#[async_trait]
pub trait ConnectionStore: Send + Sync {
    /// Adds a connection, or puts it in the place of the user's earlier one with the same
    /// provider; returns the version that it has by that. `Limit` if the user has
    /// [`crate::limits::MAX_CONNECTIONS`].
    async fn put_connection(&self, org: OrgId, connection: Connection) -> StoreResult<u64>;
    /// Replaces one whose stored version is `connection.version - 1`; `Stale` otherwise,
    /// `NotFound` if absent.
    async fn update_connection(&self, org: OrgId, connection: Connection) -> StoreResult<()>;
    /// Reads one.
    async fn get_connection(&self, org: OrgId, subject: &str, provider: &str) -> StoreResult<Option<Connection>>;
    /// Those of a user, by provider.
    async fn list_connections(&self, org: OrgId, subject: &str) -> StoreResult<Vec<Connection>>;
    /// Removes one; false if absent.
    async fn remove_connection(&self, org: OrgId, subject: &str, provider: &str) -> StoreResult<bool>;

    /// Adds an authorization; `Duplicate` if its state is taken. Those of the org that have
    /// expired by `now` go, and of the user's all but the newest
    /// [`crate::limits::MAX_AUTHORIZATIONS`].
    async fn add_authorization(&self, org: OrgId, authorization: Authorization, now: Timestamp) -> StoreResult<()>;
    /// Takes one out, expired or not: nobody finds it a second time.
    async fn take_authorization(&self, org: OrgId, state_hash: &[u8; 32]) -> StoreResult<Option<Authorization>>;

    /// Changes the secrets of a session, all at once; returns how many names are new. `NotFound`
    /// if there is no such session, `Limit` if it would have more than
    /// [`crate::limits::MAX_SESSION_SECRETS`]. They go with the session.
    async fn change_session_secrets(&self, org: OrgId, session: SessionId, changes: SecretChanges) -> StoreResult<u64>;
    /// Reads one.
    async fn get_session_secret(&self, org: OrgId, session: SessionId, name: &str) -> StoreResult<Option<SessionSecret>>;
    /// Their names, in order.
    async fn list_session_secrets(&self, org: OrgId, session: SessionId) -> StoreResult<Vec<String>>;

    /// Connections of all orgs, by org, user and provider, after a position; for maintenance of
    /// the whole installation.
    async fn sealed_connections(&self, after: Option<(OrgId, String, String)>, limit: u32) -> StoreResult<Vec<(OrgId, Connection)>>;
    /// Secrets of the sessions of all orgs, by org, session and name, after a position; for
    /// maintenance of the whole installation.
    async fn sealed_session_secrets(
        &self,
        after: Option<(OrgId, SessionId, String)>,
        limit: u32,
    ) -> StoreResult<Vec<(OrgId, SessionSecret)>>;
    /// Puts `new` in the place of `old`, unless that has changed since; says whether it did.
    async fn swap_session_secret(&self, org: OrgId, old: &SessionSecret, new: SessionSecret) -> StoreResult<bool>;
}
