//! Requests that must have one effect.

use std::collections::HashMap;

use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;

use super::MemoryStore;
use crate::id::OrgId;
use crate::store::rules::whole_micros;
use crate::store::{NewRequest, RememberedRequest, RequestStore, StoreResult};

/// The requests of one org, by route and key.
pub(super) type Requests = HashMap<(String, String), Request>;

/// What is kept of a request.
pub(super) struct Request {
    id: Uuid,
    fingerprint: [u8; 32],
    arrived: Timestamp,
}

#[async_trait]
impl RequestStore for MemoryStore {
    async fn remember_request(&self, org: OrgId, request: NewRequest) -> StoreResult<RememberedRequest> {
        let NewRequest { route, key, fingerprint, id, now, forget_before } = request;
        let mut state = self.lock();
        state.orgs.check(org)?;
        let requests = &mut state.tenants.entry(org).or_default().requests;
        requests.retain(|_, kept| kept.arrived >= whole_micros(forget_before));
        if let Some(kept) = requests.get(&(route.clone(), key.clone())) {
            return Ok(RememberedRequest { id: kept.id, fingerprint: kept.fingerprint, first: false });
        }
        requests.insert((route, key), Request { id, fingerprint, arrived: whole_micros(now) });
        Ok(RememberedRequest { id, fingerprint, first: true })
    }
}
