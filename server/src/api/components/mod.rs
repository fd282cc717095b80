//! Components: upload, versions, activation, calls. One endpoint or group a file.

mod activate;
mod archive;
mod call;
mod channels;
mod form;
mod read;
mod signature;
mod upload;
mod versions;

pub(crate) use activate::*;
pub(crate) use archive::*;
pub(crate) use call::*;
pub(crate) use channels::*;
pub(crate) use read::*;
pub(crate) use upload::*;
pub(crate) use versions::*;

use std::collections::BTreeMap;

use everwit_runtime::component::{Component, ComponentDescription, ComponentKind, ComponentVersion, Digest, Grant};
use everwit_runtime::id::{ComponentId, OrgId};
use everwit_runtime::limits::Budget;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::App;
use crate::problem::Problem;

/// An uploaded component.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Component)]
pub(crate) struct ComponentBody {
    /// Id.
    id: ComponentId,
    /// Id that its description claims; unique in the org, and usable wherever the id is.
    name: String,
    /// What it implements; a driver's name is a provider's `provider_type`.
    kind: ComponentKind,
    /// The version that new turns use; none until one is activated.
    active_version: Option<u32>,
    /// Versions that have names beside the active one, for agents that ask for them by channel.
    channels: BTreeMap<String, u32>,
    /// Number of the newest version.
    latest_version: u32,
    /// When the first version was uploaded.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When a version was last uploaded or activated.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    /// When it was archived; archived components are not offered to new turns.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    archived_at: Option<Timestamp>,
}

impl From<Component> for ComponentBody {
    fn from(component: Component) -> Self {
        Self {
            id: component.id,
            name: component.name,
            kind: component.kind,
            active_version: component.active_version,
            channels: component.channels,
            latest_version: component.latest_version,
            created_at: component.created_at,
            updated_at: component.updated_at,
            archived_at: component.archived_at,
        }
    }
}

/// One uploaded version.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ComponentVersion)]
pub(crate) struct VersionBody {
    /// The component that it belongs to.
    component_id: ComponentId,
    /// Number, from 1.
    version: u32,
    /// Whether new turns use it.
    active: bool,
    /// Digest of the bytes.
    digest: Digest,
    /// Size in bytes.
    size: u64,
    /// What it says about itself.
    description: ComponentDescription,
    /// WIT names of its imports.
    imports: Vec<String>,
    /// The signature that came with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<String>,
    /// Channels that point to it.
    channels: Vec<String>,
    /// What the tenant allowed; empty until somebody agreed to it.
    grant: Grant,
    /// Limits of its calls.
    limits: Budget,
    /// When it was uploaded.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was last made the active one; none if it never was.
    #[schema(value_type = Option<String>, format = DateTime)]
    activated_at: Option<Timestamp>,
    /// When somebody last agreed to it, by activating it or by putting it into a channel.
    #[schema(value_type = Option<String>, format = DateTime)]
    granted_at: Option<Timestamp>,
    /// When it was archived; archived versions are not offered to new turns.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    archived_at: Option<Timestamp>,
    /// When its bytes were stored; none once they were deleted. The same bytes again bring it back.
    #[schema(value_type = Option<String>, format = DateTime)]
    stored_at: Option<Timestamp>,
}

impl VersionBody {
    fn new(component: &Component, version: ComponentVersion) -> Self {
        let pointing = component.channels.iter().filter(|(_, pointed)| **pointed == version.version);
        Self {
            channels: pointing.map(|(channel, _)| channel.clone()).collect(),
            component_id: version.component_id,
            version: version.version,
            active: is_active(component, version.version),
            digest: version.digest,
            size: version.size,
            description: version.description,
            imports: version.imports,
            signature: version.signature,
            grant: version.grant,
            limits: version.budget,
            created_at: version.created_at,
            activated_at: version.activated_at,
            granted_at: version.granted_at,
            archived_at: version.archived_at,
            stored_at: version.stored_at,
        }
    }
}

/// Whether new turns use a version.
fn is_active(component: &Component, version: u32) -> bool {
    component.active_version == Some(version) && component.archived_at.is_none()
}

/// One version of a component, by the text of the path.
async fn version(app: &App, org: OrgId, component: &Component, number: &str) -> Result<ComponentVersion, Problem> {
    let absent = || Problem::not_found("version", number);
    let number = number.parse().map_err(|_| absent())?;
    app.stores.component_store.get_version(org, component.id, number).await?.ok_or_else(absent)
}

/// The version that the tenant has activated last, archived or not.
async fn active_version(app: &App, org: OrgId, component: &Component) -> Result<Option<ComponentVersion>, Problem> {
    let Some(number) = component.active_version else { return Ok(None) };
    Ok(app.stores.component_store.get_version(org, component.id, number).await?)
}

/// What a version takes the place of: what its channel points to, or else the active version.
async fn replaced_version(
    app: &App,
    org: OrgId,
    component: &Component,
    channel: Option<&str>,
) -> Result<Option<ComponentVersion>, Problem> {
    match channel.and_then(|channel| component.channels.get(channel)) {
        Some(number) => Ok(app.stores.component_store.get_version(org, component.id, *number).await?),
        None => active_version(app, org, component).await,
    }
}

/// Refuses a version whose bytes were deleted.
fn require_bytes(component: &Component, version: &ComponentVersion) -> Result<(), Problem> {
    if version.stored_at.is_some() {
        return Ok(());
    }
    let detail = format!(
        "version {} of {:?} was archived, and its bytes are deleted; upload {} again",
        version.version, component.name, version.digest
    );
    Err(Problem::conflict("bytes_deleted", detail))
}
