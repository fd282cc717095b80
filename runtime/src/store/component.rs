//! Uploaded components.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Listing, Page, StoreError, StoreResult};
use crate::component::{Component, ComponentDescription, ComponentVersion, Digest, Grant};
use crate::id::{ComponentId, OrgId};
use crate::limits::Budget;
use crate::mutation::off;

/// A new version of a component.
#[derive(Debug, Clone, PartialEq)]
pub struct NewVersion {
    /// Id for the component if its name is new, and for its bytes if they are kept outside of the database: nobody else's.
    pub component_id: ComponentId,
    /// Digest of the bytes.
    pub digest: Digest,
    /// The bytes.
    pub wasm: Vec<u8>,
    /// What it says about itself; its id is the component's name.
    pub description: ComponentDescription,
    /// WIT names of its imports.
    pub imports: Vec<String>,
    /// The signature that came with it, in base64. Of bytes that are known it takes the place of an earlier one.
    pub signature: Option<String>,
    /// When.
    pub now: Timestamp,
    /// Most bytes that all versions of the org may have, this one included; of those whose bytes were
    /// deleted, their descriptions count.
    pub quota_bytes: u64,
    /// Most components that the org may have, but for archived ones without bytes.
    pub quota_components: u64,
}

/// Refuses a version that the org has no room for; `stored` are the bytes of its other ones.
///
/// # Errors
/// `Limit`.
pub(super) fn check_room(stored: u64, size: u64, quota_bytes: u64) -> StoreResult<()> {
    if stored.saturating_add(size) <= quota_bytes || off("store.component_bytes") {
        return Ok(());
    }
    Err(StoreError::Limit(format!(
        "the components of the org have {stored} bytes; with {size} more they have more than the {quota_bytes} allowed; archive versions that are not used"
    )))
}

/// Refuses a component of a new name that the org has no room for; `stored` are its other ones.
///
/// # Errors
/// `Limit`.
pub(super) fn check_count(stored: u64, quota_components: u64) -> StoreResult<()> {
    if stored < quota_components || off("store.components") {
        return Ok(());
    }
    Err(StoreError::Limit(format!(
        "the org has {stored} components and may have {quota_components}; archive one that is not used, or upload versions of one"
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

/// Most channels of one component.
pub const MAX_CHANNELS: usize = 8;

/// Refuses a channel more than a component may have.
///
/// # Errors
/// `Limit`.
pub(super) fn check_channels(component: &Component, channel: &str) -> StoreResult<()> {
    if component.channels.len() < MAX_CHANNELS || component.channels.contains_key(channel) || off("store.channels") {
        return Ok(());
    }
    Err(StoreError::Limit(format!("{:?} has {MAX_CHANNELS} channels, which is as many as it may have; remove one", component.name)))
}

/// Refuses to archive a version that new turns are given.
///
/// # Errors
/// `InUse`.
pub(super) fn check_unused(component: &Component, version: u32) -> StoreResult<()> {
    let by = match () {
        () if component.archived_at.is_some() || off("versions.pointers") => return Ok(()),
        () if component.active_version == Some(version) => "new turns, as the active version",
        () if component.channels.values().any(|pointed| *pointed == version) => "a channel",
        () => return Ok(()),
    };
    Err(StoreError::InUse { what: "component version", id: format!("{}/{version}", component.name), by })
}

/// What was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Collected {
    /// Versions that have no bytes any more.
    pub versions: u32,
    /// Bytes that the org has room for again.
    pub bytes: u64,
}

/// What activation sets.
#[derive(Debug, Clone, PartialEq)]
pub struct Activation {
    /// The channel that is to point to the version; none to make it the active one.
    pub channel: Option<String>,
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
    /// Stores a version. The same bytes under the same name are the same version, which is brought back if
    /// it was archived or has lost its bytes; a new version is not active. `Limit` if the org has no room for it; `Corrupt` if the bytes do not have the digest; `OtherKind` if the name
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
    /// Whether any org has the bytes of this digest. Looks across orgs; not reachable from any request.
    async fn is_stored(&self, digest: Digest) -> StoreResult<bool>;
    /// Makes a version the active one and un-archives the component; or, if a channel is named, lets
    /// that point to it. Un-archives the version. `NotFound` if component, version or its bytes are absent, `Limit` if the
    /// component has [`MAX_CHANNELS`] others.
    async fn activate(&self, org: OrgId, id: ComponentId, version: u32, activation: Activation) -> StoreResult<Component>;
    /// Removes a channel; false if the component has none of this name.
    async fn remove_channel(&self, org: OrgId, id: ComponentId, channel: &str) -> StoreResult<bool>;
    /// Archives a component; one that is archived already keeps its time.
    async fn archive_component(&self, org: OrgId, id: ComponentId, now: Timestamp) -> StoreResult<Component>;
    /// Archives a version; one that is archived already keeps its time. `InUse` if it is the active one or
    /// in a channel of a component that is not archived.
    async fn archive_version(&self, org: OrgId, id: ComponentId, version: u32, now: Timestamp) -> StoreResult<ComponentVersion>;
    /// Deletes the bytes of at most `limit` versions that were archived and stored at `before` or earlier,
    /// themselves or with their component. Those of a version that an open turn started with stay, and so does everything while a turn is
    /// between being claimed and saying what it started with.
    async fn collect(&self, org: OrgId, before: Timestamp, limit: u32) -> StoreResult<Collected>;
}
