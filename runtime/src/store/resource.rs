//! Harnesses, agents and sessions: what a conversation consists of, but for what is said in it.

use async_trait::async_trait;

use super::{Listing, Page, StoreResult};
use crate::agent::Agent;
use crate::event::{Event, NewEvent};
use crate::harness::Harness;
use crate::id::{AgentId, HarnessId, OrgId, SessionId};
use crate::session::Session;

/// Harnesses.
#[async_trait]
pub trait RuntimeHarnessStore: Send + Sync {
    /// Adds a harness. `Duplicate` if its id or name is taken.
    async fn add_harness(&self, org: OrgId, harness: Harness) -> StoreResult<()>;
    /// Reads one.
    async fn get_harness(&self, org: OrgId, id: HarnessId) -> StoreResult<Option<Harness>>;
    /// Reads one by name.
    async fn find_harness(&self, org: OrgId, name: &str) -> StoreResult<Option<Harness>>;
    /// Replaces one whose stored version is `harness.version - 1`; `Stale` otherwise,
    /// `NotFound` if absent, `Duplicate` if the new name is taken.
    async fn update_harness(&self, org: OrgId, harness: Harness) -> StoreResult<()>;
    /// Lists them in order of creation, archived ones included.
    async fn list_harnesses(&self, org: OrgId, page: Page) -> StoreResult<Listing<Harness>>;
}

/// Agents.
#[async_trait]
pub trait RuntimeAgentStore: Send + Sync {
    /// Adds an agent. `Duplicate` if its id or name is taken.
    async fn add_agent(&self, org: OrgId, agent: Agent) -> StoreResult<()>;
    /// Reads one.
    async fn get_agent(&self, org: OrgId, id: AgentId) -> StoreResult<Option<Agent>>;
    /// Reads one by name.
    async fn find_agent(&self, org: OrgId, name: &str) -> StoreResult<Option<Agent>>;
    /// Replaces one whose stored version is `agent.version - 1`; errors as for harnesses.
    async fn update_agent(&self, org: OrgId, agent: Agent) -> StoreResult<()>;
    /// Lists them in order of creation, archived ones included.
    async fn list_agents(&self, org: OrgId, page: Page) -> StoreResult<Listing<Agent>>;
}

/// Sessions. Their status follows from their turns and is written by [`SessionLog`](super::SessionLog) only.
#[async_trait]
pub trait RuntimeSessionStore: Send + Sync {
    /// Adds a session with its first event, `session.started`, at sequence 1.
    async fn add_session(&self, org: OrgId, session: Session, started: NewEvent) -> StoreResult<Event>;
    /// Reads one.
    async fn get_session(&self, org: OrgId, id: SessionId) -> StoreResult<Option<Session>>;
    /// Replaces all but the status of one whose stored version is `session.version - 1`.
    async fn update_session(&self, org: OrgId, session: Session) -> StoreResult<()>;
    /// Deletes one with its log, its files, its values and its turns, whose ids are free again. It must have the version
    /// `expected`, or any if none: `Stale` otherwise, `NotFound` if absent, `TurnOpen` while one of
    /// its turns has not ended.
    async fn delete_session(&self, org: OrgId, id: SessionId, expected: Option<u64>) -> StoreResult<()>;
    /// Lists them in order of creation.
    async fn list_sessions(&self, org: OrgId, page: Page) -> StoreResult<Listing<Session>>;
}
