//! What an org is set up with: its settings, what the platform seeded into it, and the chat
//! session of each of its callers.

use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;

use super::{Listing, Page, StoreResult};
use crate::capability::RiskLevel;
use crate::component::{Digest, SignatureSettings};
use crate::id::{HarnessId, OrgId, SessionId};

/// An org with its settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Org {
    /// Id.
    pub id: OrgId,
    /// Name, unique in the installation.
    pub name: String,
    /// The harness of sessions that name none; none means the platform's base harness.
    pub base_harness_id: Option<HarnessId>,
    /// The harness that clients suggest.
    pub default_harness_id: Option<HarnessId>,
    /// Whether seeding chose the default harness. It follows the platform then; a choice of the
    /// org is never changed.
    pub default_is_seeded: bool,
    /// Who has to sign its components.
    pub signatures: SignatureSettings,
    /// Most risk of a capability that its turns use.
    pub max_risk: RiskLevel,
    /// Grows by one with each change; the resource's ETag.
    pub version: u64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its settings were last changed.
    pub updated_at: Timestamp,
}

/// Kind of a resource that was seeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SeedKind {
    /// A harness.
    Harness,
    /// An agent.
    Agent,
}

/// What is remembered of a resource that the platform seeded into an org.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seed {
    /// Kind of the resource.
    pub kind: SeedKind,
    /// Key of its template.
    pub key: String,
    /// Id of the resource.
    pub resource: Uuid,
    /// Digest of the resource as it was seeded last. A resource with another digest was changed
    /// by the org.
    pub digest: Digest,
    /// Whether seeding archived the resource because its template was removed.
    pub archived: bool,
}

/// What orgs are set up with.
#[async_trait]
pub trait OrgSetupStore: Send + Sync {
    /// The orgs of the installation in order of creation. Not reachable from any request.
    async fn list_orgs(&self, page: Page) -> StoreResult<Listing<Org>>;
    /// Reads one.
    async fn get_org(&self, id: OrgId) -> StoreResult<Option<Org>>;
    /// Replaces the settings of an org whose stored version is `org.version - 1`; `Stale`
    /// otherwise, `NotFound` if absent. Name and time of creation stay.
    async fn update_org(&self, changed: Org) -> StoreResult<()>;
    /// Everything that was seeded into an org, by kind and key.
    async fn list_seeds(&self, org: OrgId) -> StoreResult<Vec<Seed>>;
    /// One of them.
    async fn find_seed(&self, org: OrgId, kind: SeedKind, key: &str) -> StoreResult<Option<Seed>>;
    /// Remembers a seed, in place of an earlier one with the same kind and key; true if there was
    /// none. `NotFound` if the org does not exist.
    async fn put_seed(&self, org: OrgId, seed: Seed) -> StoreResult<bool>;
    /// Whether anything needs a resource. A harness is needed by the active agents and harnesses
    /// on it, by sessions, and by the org if it chose it itself; an agent by sessions.
    async fn is_used(&self, org: OrgId, kind: SeedKind, id: Uuid) -> StoreResult<bool>;
    /// Deletes a harness or an agent to which nothing refers, also nothing that is archived: `InUse`
    /// otherwise. It must have the version `expected`: `Stale` otherwise, `NotFound` if absent.
    async fn delete_unused(&self, org: OrgId, kind: SeedKind, id: Uuid, expected: u64) -> StoreResult<()>;
    /// The chat session of a caller, whom `subject` identifies within the org.
    async fn chat_session(&self, org: OrgId, subject: &str) -> StoreResult<Option<SessionId>>;
    /// Makes `fresh` the chat session of a caller if `stale` is what it has now; returns what it
    /// has after that. `NotFound` if the org does not exist.
    async fn replace_chat_session(&self, org: OrgId, subject: &str, stale: Option<SessionId>, fresh: SessionId) -> StoreResult<SessionId>;
}
