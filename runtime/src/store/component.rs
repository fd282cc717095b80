//! Uploaded components.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Listing, Page, StoreError, StoreResult};
use crate::component::{Component, ComponentDescription, ComponentVersion, Digest, Grant};
use crate::id::{ComponentId, OrgId};
use crate::limits::Budget;

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
    /// Most bytes that all versions of the org may have, this one included.
    pub quota_bytes: u64,
    /// Most components that the org may have, archived ones included.
    pub quota_components: u64,
}

/// Refuses a version that the org has no room for; `stored` are the bytes of its other ones.
///
/// # Errors
/// `Limit`.
pub(super) fn check_room(stored: u64, size: u64, quota_bytes: u64) -> StoreResult<()> {
    if stored.saturating_add(size) <= quota_bytes {
        return Ok(());
    }
    Err(StoreError::Limit(format!(
        "the components of the org have {stored} bytes; with {size} more they have more than the {quota_bytes} allowed"
    )))
}

/// Refuses a component of a new name that the org has no room for; `stored` are its other ones.
///
/// # Errors
/// `Limit`.
pub(super) fn check_count(stored: u64, quota_components: u64) -> StoreResult<()> {
    if stored < quota_components {
        return Ok(());
    }
    Err(StoreError::Limit(format!(
        "the org has {stored} components, archived ones included, and may have {quota_components}; upload versions of one that it has"
    )))
}

/// Refuses a version whose kind is not that of its component.
///
/// # Errors
/// `OtherKind`.
pub(super) fn check_kind(component: &Component, description: &ComponentDescription) -> StoreResult<()> {
    if component.kind == description.kind() {
        return Ok(());
    }
    Err(StoreError::OtherKind { id: component.name.clone(), kind: component.kind.as_str() })
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
    /// version is not active. `Limit` if the org has no room for it; `Corrupt` if the bytes do not have the digest; `OtherKind` if the name
    /// is taken by the other kind of component.
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
    /// Makes a version the active one and un-archives the component. `NotFound` if component or
    /// version are absent.
    async fn activate(&self, org: OrgId, id: ComponentId, version: u32, activation: Activation) -> StoreResult<Component>;
    /// Archives a component; one that is archived already keeps its time.
    async fn archive_component(&self, org: OrgId, id: ComponentId, now: Timestamp) -> StoreResult<Component>;
}
