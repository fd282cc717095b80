//! `everwit:kv/store`: small durable values in the buckets that are granted.

use crate::id::OrgId;
use crate::limits::{MAX_KV_KEY_BYTES, MAX_KV_VALUE_BYTES};
use crate::mutation::off;
use crate::sandbox::bindings::everwit::kv::store::{self, Entry, Fault};
use crate::sandbox::state::{CallState, Subject};
use crate::store::{KvScope, KvStore, StoreError};

/// Most keys of one listing.
const MAX_KEYS_PER_CALL: u32 = 1_000;

/// Whose data the guest reaches, and which of it.
struct KvAccess<'a> {
    store: &'a dyn KvStore,
    subject: &'a Subject,
    org: OrgId,
}

impl CallState {
    fn kv(&self) -> KvAccess<'_> {
        KvAccess { store: &*self.services.kv, subject: &self.subject, org: self.org }
    }
}

impl KvAccess<'_> {
    fn scope(&self, bucket: String) -> Result<KvScope, Fault> {
        self.subject.grant.allows_bucket(&bucket).map_err(|denied| Fault::Denied(denied.to_string()))?;
        Ok(KvScope { org: self.org, component: self.subject.component.clone(), bucket })
    }

    async fn get(&self, bucket: String, key: &str) -> Result<Option<Entry>, Fault> {
        let scope = self.scope(bucket)?;
        let entry = self.store.get(&scope, key).await.map_err(fault)?;
        Ok(entry.map(|entry| Entry { value: entry.value, version: entry.version }))
    }

    async fn put(&self, bucket: String, key: &str, value: Vec<u8>, expected: Option<u64>) -> Result<u64, Fault> {
        let scope = self.scope(bucket)?;
        if (key.len() > MAX_KV_KEY_BYTES || value.len() > MAX_KV_VALUE_BYTES) && !off("guest.kv_bytes") {
            return Err(Fault::TooLarge);
        }
        self.store.put(&scope, key, value, expected).await.map_err(fault)
    }

    async fn remove(&self, bucket: String, key: &str, expected: Option<u64>) -> Result<(), Fault> {
        let scope = self.scope(bucket)?;
        self.store.remove(&scope, key, expected).await.map_err(fault)
    }

    async fn keys(&self, bucket: String, prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<String>, Fault> {
        let scope = self.scope(bucket)?;
        if !(1..=MAX_KEYS_PER_CALL).contains(&limit) && !off("guest.kv_keys") {
            return Err(Fault::Other(format!("limit is {limit}; it must be between 1 and {MAX_KEYS_PER_CALL}")));
        }
        self.store.keys(&scope, prefix, after, limit).await.map_err(fault)
    }
}

/// What the guest learns of a store error; the store's own text stays in the host's log.
fn fault(error: StoreError) -> Fault {
    match error {
        StoreError::Stale { .. } => Fault::Conflict,
        StoreError::Limit(_) => Fault::Quota,
        error => {
            tracing::error!(%error, "a key-value operation of a guest failed");
            Fault::Other("the store is not available".to_owned())
        }
    }
}

impl store::Host for CallState {
    async fn get(&mut self, bucket: String, key: String) -> wasmtime::Result<Result<Option<Entry>, Fault>> {
        self.enter(bucket.len() + key.len()).await?;
        let key = self.outlets.word(key);
        let result = self.kv().get(bucket, &key).await;
        let bytes = result.as_ref().map_or(0, |entry| entry.as_ref().map_or(0, |entry| entry.value.len()));
        self.leave(bytes)?;
        Ok(result)
    }

    async fn put(&mut self, bucket: String, key: String, value: Vec<u8>, expected: Option<u64>) -> wasmtime::Result<Result<u64, Fault>> {
        self.enter(bucket.len() + key.len() + value.len()).await?;
        // What is stored is read by other calls, of other users too.
        let (key, value) = (self.outlets.word(key), self.outlets.stored.line(&value));
        let result = self.kv().put(bucket, &key, value, expected).await;
        self.leave(0)?;
        Ok(result)
    }

    async fn remove(&mut self, bucket: String, key: String, expected: Option<u64>) -> wasmtime::Result<Result<(), Fault>> {
        self.enter(bucket.len() + key.len()).await?;
        let key = self.outlets.word(key);
        let result = self.kv().remove(bucket, &key, expected).await;
        self.leave(0)?;
        Ok(result)
    }

    async fn keys(
        &mut self,
        bucket: String,
        prefix: String,
        after: Option<String>,
        limit: u32,
    ) -> wasmtime::Result<Result<Vec<String>, Fault>> {
        self.enter(bucket.len() + prefix.len() + after.as_ref().map_or(0, String::len)).await?;
        let result = self.kv().keys(bucket, &prefix, after.as_deref(), limit).await;
        let bytes = result.as_ref().map_or(0, |keys| keys.iter().map(String::len).sum());
        self.leave(bytes)?;
        Ok(result)
    }
}
