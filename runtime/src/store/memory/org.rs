//! Orgs, their API keys and the secrets of the installation.

use std::collections::HashMap;

use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::SecretString;

use super::MemoryStore;
use crate::id::{KeyId, OrgId};
use crate::store::rules::{DEFAULT_ORG_NAME, whole_micros};
use crate::store::{ApiKey, OrgStore, StoreError, StoreResult};

/// What belongs to the installation rather than to one org.
#[derive(Default)]
pub(super) struct Orgs {
    names: HashMap<OrgId, String>,
    /// In order of creation.
    keys: Vec<ApiKey>,
    secrets: HashMap<String, SecretString>,
}

impl Orgs {
    fn find(&self, name: &str) -> Option<OrgId> {
        self.names.iter().find(|(_, taken)| *taken == name).map(|(&id, _)| id)
    }

    /// `NotFound` if there is no such org.
    pub(super) fn check(&self, id: OrgId) -> StoreResult<()> {
        match self.names.contains_key(&id) {
            true => Ok(()),
            false => Err(StoreError::NotFound { what: "org", id: id.to_string() }),
        }
    }

    fn add(&mut self, id: OrgId, name: &str) -> StoreResult<()> {
        if self.names.contains_key(&id) {
            return Err(StoreError::Duplicate { what: "org", id: id.to_string() });
        }
        if self.find(name).is_some() {
            return Err(StoreError::Duplicate { what: "org", id: name.to_owned() });
        }
        self.names.insert(id, name.to_owned());
        Ok(())
    }
}

#[async_trait]
impl OrgStore for MemoryStore {
    async fn default_org(&self, id: OrgId, _now: Timestamp) -> StoreResult<OrgId> {
        let orgs = &mut self.lock().orgs;
        if let Some(known) = orgs.find(DEFAULT_ORG_NAME) {
            return Ok(known);
        }
        orgs.add(id, DEFAULT_ORG_NAME)?;
        Ok(id)
    }

    async fn add_org(&self, id: OrgId, name: &str, _now: Timestamp) -> StoreResult<()> {
        self.lock().orgs.add(id, name)
    }

    async fn add_key(&self, key: ApiKey) -> StoreResult<()> {
        let orgs = &mut self.lock().orgs;
        orgs.check(key.org)?;
        let taken = |other: &ApiKey| other.secret_hash == key.secret_hash || (other.org, other.id) == (key.org, key.id);
        if orgs.keys.iter().any(taken) {
            return Err(StoreError::Duplicate { what: "API key", id: key.id.to_string() });
        }
        orgs.keys.push(ApiKey { created_at: whole_micros(key.created_at), ..key });
        Ok(())
    }

    async fn find_key(&self, secret_hash: &[u8; 32]) -> StoreResult<Option<ApiKey>> {
        Ok(self.lock().orgs.keys.iter().find(|key| &key.secret_hash == secret_hash).cloned())
    }

    async fn has_keys(&self) -> StoreResult<bool> {
        Ok(!self.lock().orgs.keys.is_empty())
    }

    async fn list_keys(&self, org: OrgId) -> StoreResult<Vec<ApiKey>> {
        Ok(self.lock().orgs.keys.iter().filter(|key| key.org == org).cloned().collect())
    }

    async fn remove_key(&self, org: OrgId, id: KeyId) -> StoreResult<bool> {
        let keys = &mut self.lock().orgs.keys;
        let before = keys.len();
        keys.retain(|key| (key.org, key.id) != (org, id));
        Ok(keys.len() < before)
    }

    async fn installation_secret(&self, name: &str, value: SecretString) -> StoreResult<SecretString> {
        Ok(self.lock().orgs.secrets.entry(name.to_owned()).or_insert(value).clone())
    }
}
