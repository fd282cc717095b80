//! Orgs and their API keys.

use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::SecretString;

use super::StoreResult;
use crate::id::{KeyId, OrgId};

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
    /// The default org, which is the one named "default"; made with `id` if there is none yet.
    async fn default_org(&self, id: OrgId, now: Timestamp) -> StoreResult<OrgId>;
    /// Adds an org. `Duplicate` if its id or name is taken.
    async fn add_org(&self, id: OrgId, name: &str, now: Timestamp) -> StoreResult<()>;
    /// Adds a key. `NotFound` if its org does not exist, `Duplicate` if its id or secret is
    /// taken.
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
