//! Uploaded components and their versions.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{ComponentDescription, ComponentKind, Digest, Grant};
use crate::id::ComponentId;
use crate::limits::Budget;
use crate::mutation::off;

/// A component of an org: the id of a capability or driver, and its versions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Component {
    /// Id.
    pub id: ComponentId,
    /// Id that its description claims; unique in the org, across both kinds.
    pub name: String,
    /// What all its versions implement.
    pub kind: ComponentKind,
    /// The version that new turns use; none until one is activated.
    pub active_version: Option<u32>,
    /// Versions that have names beside the active one, for entries that ask for them by channel.
    pub channels: BTreeMap<String, u32>,
    /// Number of the newest version.
    pub latest_version: u32,
    /// When the first version was uploaded.
    pub created_at: Timestamp,
    /// When a version was last uploaded or activated.
    pub updated_at: Timestamp,
    /// When it was archived; archived components are not offered to new turns.
    pub archived_at: Option<Timestamp>,
}

/// One uploaded version. Content never changes; grant and budget are set by activation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ComponentVersion {
    /// The component that it belongs to.
    pub component_id: ComponentId,
    /// Number, from 1, growing by one with each new content.
    pub version: u32,
    /// Digest of the bytes.
    pub digest: Digest,
    /// Size in bytes.
    pub size: u64,
    /// What it says about itself.
    pub description: ComponentDescription,
    /// WIT names of its imports.
    pub imports: Vec<String>,
    /// The signature that came with it, in base64; see [`SignatureSettings`](super::SignatureSettings).
    pub signature: Option<String>,
    /// What the tenant allowed; empty until it was agreed to.
    pub grant: Grant,
    /// Limits of its calls.
    pub budget: Budget,
    /// When it was uploaded.
    pub created_at: Timestamp,
    /// When it was last made the active one; none if it never was.
    pub activated_at: Option<Timestamp>,
    /// When the tenant last agreed to it, by activating it or by putting it into a channel; none if it
    /// never did.
    pub granted_at: Option<Timestamp>,
    /// When it was archived; archived versions are not offered to new turns.
    pub archived_at: Option<Timestamp>,
    /// When its bytes were stored; none once they were deleted. The same bytes again bring it back.
    pub stored_at: Option<Timestamp>,
}

impl ComponentVersion {
    /// Whether new turns can be given it: somebody agreed to it, and it is there.
    pub fn is_usable(&self) -> bool {
        self.granted_at.is_some() && self.archived_at.is_none() && self.stored_at.is_some() || off("versions.agreed")
    }
}
