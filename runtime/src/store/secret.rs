//! Secrets that orgs store for their components. All values come sealed and leave sealed: a store
//! never sees one.

use async_trait::async_trait;

use super::{Listing, Page, StoreResult};
use crate::id::OrgId;
use crate::secret::OrgSecret;

/// Secrets that orgs store for their components.
#[async_trait]
pub trait SecretStore: Send + Sync {
    /// Adds one. `NotFound` if the org does not exist, `Duplicate` if the name is taken, `Limit` if the
    /// org has [`crate::limits::MAX_ORG_SECRETS`].
    async fn add_secret(&self, org: OrgId, secret: OrgSecret) -> StoreResult<()>;
    /// Replaces the value of one, and when that was; false if absent.
    async fn replace_secret(&self, org: OrgId, secret: OrgSecret) -> StoreResult<bool>;
    /// Reads one.
    async fn get_secret(&self, org: OrgId, name: &str) -> StoreResult<Option<OrgSecret>>;
    /// Lists them, by name.
    async fn list_secrets(&self, org: OrgId, page: Page) -> StoreResult<Listing<OrgSecret>>;
    /// Removes one; false if absent.
    async fn remove_secret(&self, org: OrgId, name: &str) -> StoreResult<bool>;

    /// Secrets of all orgs, by org and name, after a position; for maintenance of the whole
    /// installation.
    async fn sealed_secrets(&self, after: Option<(OrgId, String)>, limit: u32) -> StoreResult<Vec<(OrgId, OrgSecret)>>;
    /// Puts the value of `new` in the place of `old`'s, unless that has changed since; says whether it did.
    async fn swap_secret(&self, org: OrgId, old: &OrgSecret, new: OrgSecret) -> StoreResult<bool>;
}
