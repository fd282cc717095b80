//! Secrets that orgs store for their components.

use std::collections::BTreeMap;
use std::ops::Bound;

use async_trait::async_trait;

use super::MemoryStore;
use crate::id::OrgId;
use crate::secret::OrgSecret;
use crate::store::rules::{check_org_secrets, page_limit, whole_micros};
use crate::store::{Listing, Page, SecretStore, StoreError, StoreResult};

/// The secrets of one org, by name.
pub(super) type OrgSecrets = BTreeMap<String, OrgSecret>;

#[async_trait]
impl SecretStore for MemoryStore {
    async fn add_secret(&self, org: OrgId, secret: OrgSecret) -> StoreResult<()> {
        let mut state = self.lock();
        state.orgs.check(org)?;
        let secrets = &mut state.tenants.entry(org).or_default().secrets;
        if secrets.contains_key(&secret.name) {
            return Err(StoreError::Duplicate { what: "secret", id: secret.name });
        }
        check_org_secrets(secrets.len())?;
        let (created_at, updated_at) = (whole_micros(secret.created_at), whole_micros(secret.updated_at));
        secrets.insert(secret.name.clone(), OrgSecret { created_at, updated_at, ..secret });
        Ok(())
    }

    async fn replace_secret(&self, org: OrgId, secret: OrgSecret) -> StoreResult<bool> {
        self.write(org, |tenant| {
            let Some(kept) = tenant.secrets.get_mut(&secret.name) else { return Ok(false) };
            (kept.value, kept.updated_at) = (secret.value, whole_micros(secret.updated_at));
            Ok(true)
        })
    }

    async fn get_secret(&self, org: OrgId, name: &str) -> StoreResult<Option<OrgSecret>> {
        Ok(self.read(org, |tenant| tenant.secrets.get(name).cloned()))
    }

    async fn list_secrets(&self, org: OrgId, page: Page) -> StoreResult<Listing<OrgSecret>> {
        Ok(self.read(org, |tenant| {
            let items = tenant.secrets.values().skip(page.offset as usize).take(page_limit(page) as usize).cloned().collect();
            Listing { items, total: tenant.secrets.len() as u64 }
        }))
    }

    async fn remove_secret(&self, org: OrgId, name: &str) -> StoreResult<bool> {
        Ok(self.write(org, |tenant| tenant.secrets.remove(name).is_some()))
    }

    async fn sealed_secrets(&self, after: Option<(OrgId, String)>, limit: u32) -> StoreResult<Vec<(OrgId, OrgSecret)>> {
        let state = self.lock();
        let (from, name) = after.map_or((Bound::Unbounded, None), |(org, name)| (Bound::Included(org), Some((org, name))));
        let tenants = state.tenants.range((from, Bound::Unbounded));
        let all = tenants.flat_map(|(org, tenant)| tenant.secrets.values().map(|secret| (*org, secret.clone())));
        let behind = all.filter(|(org, secret)| name.as_ref().is_none_or(|(at, name)| (org, &secret.name) > (at, name)));
        Ok(behind.take(limit as usize).collect())
    }

    async fn swap_secret(&self, org: OrgId, old: &OrgSecret, new: OrgSecret) -> StoreResult<bool> {
        Ok(self.write(org, |tenant| match tenant.secrets.get_mut(&old.name) {
            Some(kept) if kept.value == old.value => {
                kept.value = new.value;
                true
            }
            _ => false,
        }))
    }
}
