//! Orgs and their API keys.

use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::SecretString;

use super::{Listing, Page, Role, StoreResult};
use crate::component::Digest;
use crate::id::{AuditEntryId, KeyId, MemberId, OrgId};
use crate::mutation::off;

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
    /// What belongs to the installation and to no org: its workers.
    Operator,
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
    /// Whose it is; none for one of a service.
    pub member: Option<MemberId>,
    /// SHA-256 of the secret.
    pub secret_hash: [u8; 32],
    /// When it was made.
    pub created_at: Timestamp,
}

/// A key with what its member may do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundKey {
    /// The key.
    pub key: ApiKey,
    /// Role of its member; none if it has none, or if that was removed.
    pub role: Option<Role>,
}

impl FoundKey {
    /// What the key may do at this moment: its scope, and of a member no more than the role allows; none if the member was
    /// removed.
    pub fn scope(&self) -> Option<Scope> {
        match (self.key.member, self.role) {
            (None, _) => Some(self.key.scope),
            (Some(_), None) => None,
            (Some(_), Some(_)) if off("members.role") => Some(self.key.scope),
            (Some(_), Some(role)) => Some(self.key.scope.min(role.scope())),
        }
    }
}

/// Something that was done to what an org decides about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Id.
    pub id: AuditEntryId,
    /// When.
    pub at: Timestamp,
    /// Who: the subject of a caller.
    pub actor: String,
    /// What: method and route, as in the OpenAPI document.
    pub action: String,
    /// To what: the path of the request.
    pub target: String,
    /// 200 for what was done, and the HTTP status of the answer to what was refused.
    pub status: u16,
    /// Digest of what was in force before, of a component's version.
    pub before: Option<Digest>,
    /// Digest of what is in force since.
    pub after: Option<Digest>,
}

/// Orgs and their API keys.
#[async_trait]
pub trait OrgStore: Send + Sync {
    /// The default org, which is the one named "default"; made with `id` if there is none yet.
    async fn default_org(&self, id: OrgId, now: Timestamp) -> StoreResult<OrgId>;
    /// Adds an org. `Duplicate` if its id or name is taken.
    async fn add_org(&self, id: OrgId, name: &str, now: Timestamp) -> StoreResult<()>;
    /// Adds a key. `NotFound` if its org or its member does not exist, `Duplicate` if its id or secret is
    /// taken, `Limit` if its member, or the services of the org, have [`crate::limits::MAX_KEYS`] of them.
    async fn add_key(&self, key: ApiKey) -> StoreResult<()>;
    /// Looks a key up by the hash of its secret. Keys hold 32 random bytes, so the look-up by
    /// hash leaks nothing useful by its timing.
    async fn find_key(&self, secret_hash: &[u8; 32]) -> StoreResult<Option<FoundKey>>;
    /// Whether any org has a key.
    async fn has_keys(&self) -> StoreResult<bool>;
    /// The keys of an org, in order of creation.
    async fn list_keys(&self, org: OrgId) -> StoreResult<Vec<ApiKey>>;
    /// Removes a key; false if absent.
    async fn remove_key(&self, org: OrgId, id: KeyId) -> StoreResult<bool>;
    /// Adds an entry to the audit log of an org, which has no way to change or remove one: of something
    /// that changes nothing in this store, for a change has its entry with it, see [`super::Note`]. `NotFound`
    /// if the org does not exist, `Duplicate` if the id is taken.
    async fn add_audit_entry(&self, org: OrgId, entry: AuditEntry) -> StoreResult<()>;
    /// Lists the audit log of an org, newest first.
    async fn list_audit_entries(&self, org: OrgId, page: Page) -> StoreResult<Listing<AuditEntry>>;
    /// A named value of this installation, made with `value` if absent, for example the key
    /// that salts the ids which guests see.
    async fn installation_secret(&self, name: &str, value: SecretString) -> StoreResult<SecretString>;
}
