//! Components: upload, versions, activation, calls. One endpoint or group a file.

mod activate;
mod call;
mod form;
mod read;
mod upload;
mod versions;

pub(crate) use activate::*;
pub(crate) use call::*;
pub(crate) use read::*;
pub(crate) use upload::*;
pub(crate) use versions::*;

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
    /// What the tenant allowed; empty until activation.
    grant: Grant,
    /// Limits of its calls.
    limits: Budget,
    /// When it was uploaded.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was last activated; none if it never was.
    #[schema(value_type = Option<String>, format = DateTime)]
    activated_at: Option<Timestamp>,
}

impl VersionBody {
    fn new(component: &Component, version: ComponentVersion) -> Self {
        Self {
            component_id: version.component_id,
            version: version.version,
            active: is_active(component, version.version),
            digest: version.digest,
            size: version.size,
            description: version.description,
            imports: version.imports,
            grant: version.grant,
            limits: version.budget,
            created_at: version.created_at,
            activated_at: version.activated_at,
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
