//! Key-value data of components.

use std::collections::BTreeMap;
use std::ops::Bound;

use async_trait::async_trait;

use super::{MemoryStore, Tenant};
use crate::store::rules::{check_kv_bucket, check_kv_key, check_kv_value, check_kv_version, next_kv_version};
use crate::store::{KvEntry, KvScope, KvStore, StoreResult};

/// A bucket.
#[derive(Default)]
pub(super) struct Bucket {
    /// In byte order of their keys.
    entries: BTreeMap<String, KvEntry>,
    /// Highest version that a removed key had.
    floor: u64,
}

fn name(scope: &KvScope) -> (String, String) {
    (scope.component.clone(), scope.bucket.clone())
}

fn version_of(bucket: &Bucket, key: &str) -> u64 {
    bucket.entries.get(key).map_or(0, |entry| entry.version)
}

fn bytes_of(key: &str, value: &[u8]) -> u64 {
    (key.len() + value.len()) as u64
}

#[async_trait]
impl KvStore for MemoryStore {
    async fn get(&self, scope: &KvScope, key: &str) -> StoreResult<Option<KvEntry>> {
        Ok(self.read(scope.org, |tenant| tenant.kv.get(&name(scope)).and_then(|bucket| bucket.entries.get(key)).cloned()))
    }

    async fn put(&self, scope: &KvScope, key: &str, value: Vec<u8>, expected: Option<u64>) -> StoreResult<u64> {
        check_kv_key(key)?;
        check_kv_value(&value)?;
        self.write(scope.org, |tenant: &mut Tenant| {
            let bucket = tenant.kv.entry(name(scope)).or_default();
            let stored = version_of(bucket, key);
            check_kv_version(key, expected, stored)?;
            let others = bucket.entries.iter().filter(|(other, _)| other.as_str() != key);
            let (keys, bytes) =
                others.fold((1, bytes_of(key, &value)), |(keys, bytes), (other, entry)| (keys + 1, bytes + bytes_of(other, &entry.value)));
            check_kv_bucket(scope, keys, bytes)?;
            let version = next_kv_version(stored, bucket.floor);
            bucket.entries.insert(key.to_owned(), KvEntry { value, version });
            Ok(version)
        })
    }

    async fn remove(&self, scope: &KvScope, key: &str, expected: Option<u64>) -> StoreResult<()> {
        self.write(scope.org, |tenant| {
            let bucket = tenant.kv.entry(name(scope)).or_default();
            check_kv_version(key, expected, version_of(bucket, key))?;
            if let Some(removed) = bucket.entries.remove(key) {
                bucket.floor = bucket.floor.max(removed.version);
            }
            Ok(())
        })
    }

    async fn keys(&self, scope: &KvScope, prefix: &str, after: Option<&str>, limit: u32) -> StoreResult<Vec<String>> {
        // The later of prefix and `after` is where the walk begins; it ends with the prefix.
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        Ok(self.read(scope.org, |tenant| {
            let Some(bucket) = tenant.kv.get(&name(scope)) else { return Vec::new() };
            let from_start = bucket.entries.range::<str, _>((start, Bound::Unbounded)).map(|(key, _)| key);
            from_start.take_while(|key| key.starts_with(prefix)).take(limit as usize).cloned().collect()
        }))
    }
}
