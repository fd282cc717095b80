//! Where bytes of components are kept, if not in the database.

#[cfg(feature = "s3")]
mod s3;

use async_trait::async_trait;
use bytes::Bytes;

use super::StoreResult;

#[cfg(feature = "s3")]
pub use s3::{S3Bucket, S3Config};

/// Bytes of components that are in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobsInside {
    /// How many different ones.
    pub components: u64,
    /// All of them together, in bytes.
    pub bytes: u64,
}

/// A place outside of the database for bytes of components, shared by all processes that use the database. Each object
/// is written once, under a key that nothing else ever has; whether it is the right one is not this
/// trait's business, because whoever reads it knows its digest.
#[async_trait]
pub trait BlobStore: Send + Sync {
    /// Writes an object; it is durable when this returns. `key` has letters, digits, `-`, `.` and `/`.
    ///
    /// # Errors
    /// `Unavailable` if it may not have been written.
    async fn put(&self, key: &str, bytes: Bytes) -> StoreResult<()>;

    /// Reads an object; none if there is none.
    ///
    /// # Errors
    /// `Unavailable` if it cannot be read, or is larger than
    /// [`MAX_COMPONENT_BYTES`](crate::limits::MAX_COMPONENT_BYTES).
    async fn get(&self, key: &str) -> StoreResult<Option<Bytes>>;

    /// Deletes an object; one that is absent is deleted already.
    ///
    /// # Errors
    /// `Unavailable` if it may still be there.
    async fn delete(&self, key: &str) -> StoreResult<()>;

    /// Whether the place is there and lets this process in; changes nothing.
    ///
    /// # Errors
    /// `Unavailable` with what is wrong.
    async fn check(&self) -> StoreResult<()>;
}
