//! Small durable values: the only way to remember something between calls.
//!
//! A bucket belongs to one org and this component, and must be asked for in
//! [`crate::capability!`] under `permissions: { kv: [..] }`.

use core::fmt;
use std::collections::VecDeque;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::everwit::kv::store as wit;
use crate::{Failure, Result, host};

/// Keys that one request lists.
const PAGE_KEYS: u32 = 256;

/// A bucket. Cheap to make; whether it is granted shows at the first use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    name: String,
}

/// A stored value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<T = Vec<u8>> {
    /// The value.
    pub value: T,
    /// Grows by one with each write, from 1.
    pub version: u64,
}

/// What has to be true of an entry for a write or a removal to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Nothing.
    Any,
    /// It does not exist.
    Absent,
    /// It has this version: nobody changed it since it was read.
    Version(u64),
}

/// Why an operation did not happen. With `?` it becomes the tool's failure.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The bucket is not granted; the text says what to grant.
    Denied(String),
    /// The key is over 512 bytes or the value over 256 KiB.
    TooLarge,
    /// The bucket is full (1,024 keys or 16 MiB).
    Quota,
    /// The entry is not as expected.
    Conflict,
    /// Anything else.
    Other(String),
}

/// The keys of a bucket, in byte order; fetched in pages as they are needed.
#[derive(Debug)]
pub struct Keys<'a> {
    bucket: &'a Bucket,
    prefix: String,
    page: VecDeque<String>,
    after: Option<String>,
    done: bool,
}

/// The bucket of this name.
pub fn bucket(name: impl Into<String>) -> Bucket {
    Bucket { name: name.into() }
}

impl Bucket {
    /// Reads one key; `None` if it is absent.
    ///
    /// # Errors
    /// A [`Fault`].
    pub fn get(&self, key: &str) -> Result<Option<Entry>, Fault> {
        let entry = host::kv::get(&self.name, key)?;
        Ok(entry.map(|entry| Entry { value: entry.value, version: entry.version }))
    }

    /// Reads one key that [`Bucket::put_json`] has written.
    ///
    /// # Errors
    /// A [`Fault`]; and code "invalid_entry" if the value is no JSON that fits `T`.
    pub fn get_json<T: DeserializeOwned>(&self, key: &str) -> Result<Option<Entry<T>>> {
        let Some(entry) = self.get(key)? else {
            return Ok(None);
        };
        let value = serde_json::from_slice(&entry.value)
            .map_err(|error| Failure::internal("invalid_entry", format!("stored value of `{key}` does not fit: {error}")))?;
        Ok(Some(Entry { value, version: entry.version }))
    }

    /// Writes one key if it is as expected, and returns its new version.
    ///
    /// # Errors
    /// A [`Fault`].
    pub fn put(&self, key: &str, value: impl AsRef<[u8]>, expect: Expect) -> Result<u64, Fault> {
        Ok(host::kv::put(&self.name, key, value.as_ref(), expect.into_wit())?)
    }

    /// Writes one value as JSON, as [`Bucket::put`] does.
    ///
    /// # Errors
    /// A [`Fault`]; and kind "internal" if the value has no JSON form.
    pub fn put_json<T: Serialize + ?Sized>(&self, key: &str, value: &T, expect: Expect) -> Result<u64> {
        Ok(self.put(key, serde_json::to_vec(value)?, expect)?)
    }

    /// Removes one key if it is as expected. That it is absent already is a fault only if a
    /// version was expected.
    ///
    /// # Errors
    /// A [`Fault`].
    pub fn remove(&self, key: &str, expect: Expect) -> Result<(), Fault> {
        Ok(host::kv::remove(&self.name, key, expect.into_wit())?)
    }

    /// The keys that start with `prefix`, in byte order.
    pub fn keys(&self, prefix: impl Into<String>) -> Keys<'_> {
        Keys { bucket: self, prefix: prefix.into(), page: VecDeque::new(), after: None, done: false }
    }
}

impl Iterator for Keys<'_> {
    type Item = Result<String, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.page.is_empty() && !self.done {
            let after = self.after.as_deref();
            match host::kv::keys(&self.bucket.name, &self.prefix, after, PAGE_KEYS) {
                Ok(keys) => {
                    self.done = keys.len() < PAGE_KEYS as usize;
                    self.after = keys.last().cloned();
                    self.page = keys.into();
                }
                Err(fault) => {
                    self.done = true;
                    return Some(Err(fault.into()));
                }
            }
        }
        self.page.pop_front().map(Ok)
    }
}

impl Expect {
    fn into_wit(self) -> Option<u64> {
        match self {
            Expect::Any => None,
            Expect::Absent => Some(0),
            Expect::Version(version) => Some(version),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Denied(text) | Fault::Other(text) => text,
            Fault::TooLarge => "a key is limited to 512 bytes and a value to 256 KiB",
            Fault::Quota => "the bucket is full: 1,024 keys or 16 MiB",
            Fault::Conflict => "somebody else changed the entry meanwhile",
        })
    }
}

impl From<wit::Fault> for Fault {
    fn from(fault: wit::Fault) -> Self {
        match fault {
            wit::Fault::Denied(text) => Fault::Denied(text),
            wit::Fault::TooLarge => Fault::TooLarge,
            wit::Fault::Quota => Fault::Quota,
            wit::Fault::Conflict => Fault::Conflict,
            wit::Fault::Other(text) => Fault::Other(text),
        }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        let message = fault.to_string();
        match fault {
            Fault::Denied(_) => Failure::denied("kv_denied", message),
            Fault::TooLarge => Failure::internal("kv_too_large", message),
            Fault::Quota => Failure::internal("kv_quota", message),
            Fault::Conflict => Failure::conflict("kv_conflict", message).retryable(true),
            Fault::Other(_) => Failure::internal("kv_fault", message),
        }
    }
}
