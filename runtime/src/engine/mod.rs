//! The seam between the product and what runs its turns. It carries ids only; the truth is in
//! the store.

mod embedded;
mod waits;

use async_trait::async_trait;

pub use embedded::EmbeddedEngine;

use crate::error::Error;
use crate::id::{OrgId, SessionId, TurnId};

/// A turn, by ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TurnKey {
    /// Tenant.
    pub org: OrgId,
    /// Session.
    pub session: SessionId,
    /// Turn.
    pub turn: TurnId,
}

/// Runs turns durably: one at a time per session, in order of submission, many sessions at once.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Makes a turn run that the store has as open. Idempotent. Returns before the turn ends.
    ///
    /// # Errors
    /// `Unavailable` while shutting down.
    async fn submit(&self, turn: TurnKey) -> Result<(), Error>;

    /// Cancels a turn, waiting or running; the request is recorded in the store first. False if
    /// the turn has ended.
    ///
    /// # Errors
    /// Those of the store.
    async fn cancel(&self, turn: TurnKey) -> Result<bool, Error>;

    /// Stops taking up turns, lets running steps end, and returns when all have; turns that are
    /// still open go on at the next start.
    async fn drain(&self);
}
