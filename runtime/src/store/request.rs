//! Requests that must have one effect however often they are sent.

use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;

use super::StoreResult;
use crate::id::OrgId;

/// A request that its sender may repeat, because no answer reached it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRequest {
    /// What was asked for, for example "POST /v1/sessions".
    pub route: String,
    /// The sender's name for the request.
    pub key: String,
    /// Hash of all that the request says.
    pub fingerprint: [u8; 32],
    /// Id of the thing that the request makes.
    pub id: Uuid,
    /// When it arrived.
    pub now: Timestamp,
    /// Requests that arrived before this are forgotten.
    pub forget_before: Timestamp,
}

/// What is remembered of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RememberedRequest {
    /// Id of the thing that the first request with this key makes.
    pub id: Uuid,
    /// Hash of all that the first request with this key says.
    pub fingerprint: [u8; 32],
    /// Whether this is the first one.
    pub first: bool,
}

/// Remembers requests, so that a repeated one makes the same thing again instead of another.
#[async_trait]
pub trait RequestStore: Send + Sync {
    /// Remembers a request, or returns what is remembered of the one that had the same route
    /// and key before. The thing itself need not exist: a process may have died in between.
    /// `NotFound` if there is no such org.
    async fn remember_request(&self, org: OrgId, request: NewRequest) -> StoreResult<RememberedRequest>;
}
