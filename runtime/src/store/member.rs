//! Members of orgs: people who act for an org with keys of their own.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Listing, Page, Scope, StoreResult};
use crate::id::{MemberId, OrgId};

/// What a member may do; each includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = MemberRole))]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Works in the org: most of a key is scope write.
    Member,
    /// Decides what the org's components may do, and who is a member: most of a key is scope admin.
    Admin,
    /// Decides besides who is an owner.
    Owner,
}

impl Role {
    /// The most that a key of somebody in this role may do.
    pub fn scope(self) -> Scope {
        match self {
            Self::Member => Scope::Write,
            Self::Admin | Self::Owner => Scope::Admin,
        }
    }

    /// Its text form.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }
}

/// A member of an org.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Id.
    pub id: MemberId,
    /// Name for people: 1 to 64 bytes.
    pub name: String,
    /// Where to reach this person. Nothing is sent there, and nobody is known by it.
    pub email: Option<String>,
    /// What it may do.
    pub role: Role,
    /// Grows by one with each change; the resource's ETag.
    pub version: u64,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// Members of orgs. An org that has an owner keeps one.
#[async_trait]
pub trait MemberStore: Send + Sync {
    /// Adds one. `NotFound` if the org does not exist, `Duplicate` if the id is taken, `Limit` beyond
    /// [`crate::limits::MAX_MEMBERS`].
    async fn add_member(&self, org: OrgId, member: Member) -> StoreResult<()>;
    /// Reads one.
    async fn get_member(&self, org: OrgId, id: MemberId) -> StoreResult<Option<Member>>;
    /// Lists them in order of their addition.
    async fn list_members(&self, org: OrgId, page: Page) -> StoreResult<Listing<Member>>;
    /// Replaces a member whose stored version is `changed.version - 1`; `Stale` otherwise, `NotFound` if absent,
    /// `LastOwner` if no owner would be left. The time of its addition stays.
    async fn update_member(&self, org: OrgId, changed: Member) -> StoreResult<()>;
    /// Removes a member with all its keys; false if absent, `LastOwner` if no owner would be left.
    async fn remove_member(&self, org: OrgId, id: MemberId) -> StoreResult<bool>;
}
