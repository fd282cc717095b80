//! Bytes of components: in the database, or in objects outside of it that rows name.
//!
//! The rows decide. An object has a key of its own from before it is written until after it is deleted: it is loose, then
//! named by one row of `blobs`, then loose again. Whoever dies on the way leaves a loose one behind, which the next
//! uploads delete.

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::error::store_error;
use super::row::Stored;
use super::{DbConnection, Lock, Store};
use crate::component::Digest;
use crate::fail_point::fail_point;
use crate::id::OrgId;
use crate::store::rules::check_digest;
use crate::store::{BlobStore, Note, StoreError, StoreResult};

/// How long somebody may take between beginning to write an object and naming it. Whoever takes longer is refused.
const WRITING: SignedDuration = SignedDuration::from_hours(1);
/// Loose objects that one upload deletes.
const MAX_SWEPT: i64 = 32;

/// Bytes on their way into a row.
pub(super) struct Arriving {
    digest: Digest,
    bytes: Bytes,
    /// The loose object that has them.
    object: Option<String>,
    /// The object of before, which is lost or has other bytes.
    broken: Option<String>,
}

impl Arriving {
    /// Bytes that are to be stored.
    pub(super) fn new(digest: Digest, bytes: Bytes) -> Self {
        Self { digest, bytes, object: None, broken: None }
    }

    pub(super) fn digest(&self) -> Digest {
        self.digest
    }

    /// The loose object that has them, unless they are to be in the database.
    pub(super) fn object(&self) -> Option<&str> {
        self.object.as_deref()
    }

    /// Makes the object one that is not loose, in the transaction that has a row name it.
    pub(super) async fn name(&self, connection: &mut DbConnection) -> StoreResult<()> {
        let Some(object) = &self.object else { return Ok(()) };
        let loose = sqlx::query("DELETE FROM loose_objects WHERE object = $1 AND began_at IS NOT NULL");
        match loose.bind(object).execute(connection).await.map_err(store_error)?.rows_affected() {
            0 => Err(StoreError::Unavailable(format!("the upload took longer than {WRITING:#}; try again"))),
            _ => Ok(()),
        }
    }

    /// In bytes.
    pub(super) fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Whether the bytes have to be stored although a row says that they are.
    pub(super) fn mends(&self) -> bool {
        self.broken.is_some()
    }
}

/// Runs `check` on bytes off the asynchronous threads: hashing a large component takes long.
pub(super) async fn checked(bytes: Bytes, check: impl FnOnce(&[u8]) -> StoreResult<()> + Send + 'static) -> StoreResult<Bytes> {
    let checked = tokio::task::spawn_blocking(move || check(&bytes).map(|()| bytes)).await;
    checked.unwrap_or_else(|error| Err(StoreError::Unavailable(format!("a digest was not computed: {error}"))))
}

/// Names bytes by a row, which locks it: whether or not they were there before, nobody deletes them until the transaction
/// ends. False if they were, and the new object is not needed.
pub(super) async fn insert(connection: &mut DbConnection, arriving: &Arriving) -> StoreResult<bool> {
    let Arriving { digest, bytes, object, broken } = arriving;
    let inside = if object.is_some() { &[][..] } else { bytes.as_ref() };
    // Another org, or another component of this one, may have brought the same bytes. If they were deleted since, the row
    // is empty.
    let named = sqlx::query(concat!(
        "INSERT INTO blobs (digest, bytes, object) VALUES ($1, $2, $3) ",
        "ON CONFLICT (digest) DO UPDATE SET bytes = excluded.bytes, object = excluded.object ",
        "WHERE (length(blobs.bytes) = 0 AND blobs.object IS NULL) OR blobs.object = $4"
    ))
    .bind(digest.to_string())
    .bind(inside)
    .bind(object)
    .bind(broken)
    .execute(&mut *connection)
    .await
    .map_err(store_error)?;
    if named.rows_affected() == 0 {
        return Ok(false);
    }
    arriving.name(connection).await?;
    if let Some(broken) = broken {
        loosen(connection, broken).await?;
    }
    Ok(true)
}

/// Lets an object be deleted that no row names any more.
async fn loosen(connection: &mut DbConnection, object: &str) -> StoreResult<()> {
    let loose = sqlx::query("INSERT INTO loose_objects (object, began_at) VALUES ($1, NULL)");
    loose.bind(object).execute(connection).await.map_err(store_error)?;
    Ok(())
}

/// Deletes bytes that no version has any more. The row stays, empty, because versions refer to it.
pub(super) async fn delete(connection: &mut DbConnection, digest: Digest) -> StoreResult<()> {
    // An upload of the same bytes by another org waits here, or is waited for: the next statements see it.
    let row = sqlx::query(concat!("SELECT digest, object FROM blobs WHERE digest = $1", for_update!()))
        .bind(digest.to_string())
        .fetch_one(&mut *connection)
        .await
        .map_err(store_error)?;
    let object: Option<String> = Stored::new(&row, "blobs", &["digest"]).optional("object")?;
    let emptied = sqlx::query(concat!(
        "UPDATE blobs SET bytes = $2, object = NULL WHERE digest = $1 ",
        "AND NOT EXISTS (SELECT 1 FROM component_versions WHERE digest = $1 AND stored_at IS NOT NULL)"
    ))
    .bind(digest.to_string())
    .bind(Vec::<u8>::new())
    .execute(&mut *connection)
    .await
    .map_err(store_error)?;
    match object.filter(|_| emptied.rows_affected() > 0) {
        Some(object) => loosen(connection, &object).await,
        None => Ok(()),
    }
}

impl Store {
    /// Keeps bytes of new versions outside of the database. Those that are in it stay there, and are found.
    #[must_use]
    pub fn with_blobs(self, blobs: std::sync::Arc<dyn BlobStore>) -> Self {
        Self { blobs: Some(blobs), ..self }
    }

    /// Whether bytes of some version are outside of the database, so that it cannot be used without
    /// [`Self::with_blobs`].
    ///
    /// # Errors
    /// `Unavailable` if the database does not answer.
    pub async fn needs_blobs(&self) -> StoreResult<bool> {
        let row = sqlx::query("SELECT digest FROM blobs WHERE object IS NOT NULL LIMIT 1");
        Ok(row.fetch_optional(&mut *self.db.reader().await?).await.map_err(store_error)?.is_some())
    }

    /// Writes bytes to an object, if they are to be in one and are not yet. `unique` is nobody else's.
    pub(super) async fn arrive(&self, org: OrgId, bytes: Bytes, digest: Digest, (unique, now): (Uuid, Timestamp)) -> StoreResult<Arriving> {
        let mut arriving = Arriving::new(digest, bytes);
        let Some(blobs) = &self.blobs else { return Ok(arriving) };
        self.sweep(&**blobs, now).await;
        match self.held(digest).await? {
            Held::Nowhere => {}
            // If they are deleted from now on, the row takes the bytes themselves.
            Held::Inside => return Ok(arriving),
            Held::Object(object) => match blobs.get(&object).await? {
                Some(stored) if checked(stored.clone(), move |bytes| check_digest(bytes, digest)).await.is_ok() => return Ok(arriving),
                _ => {
                    tracing::error!(%digest, object, "bytes of a component are lost or were changed; they are stored anew");
                    arriving.broken = Some(object);
                }
            },
        }
        self.write(Lock::Org(org), arriving, (unique, now)).await
    }

    /// Writes bytes to a loose object of their own. `unique` is nobody else's.
    pub(super) async fn write(&self, lock: Lock<'_>, mut arriving: Arriving, (unique, now): (Uuid, Timestamp)) -> StoreResult<Arriving> {
        let Some(blobs) = &self.blobs else { return Ok(arriving) };
        let object = format!("{}/{}.wasm", arriving.digest.hex(), unique.simple());
        self.announce(lock, &object, now).await?;
        blobs.put(&object, arriving.bytes.clone()).await?;
        fail_point!(StoreObjectWritten);
        arriving.object = Some(object);
        Ok(arriving)
    }

    /// Deletes what arrived and was not needed. What a transaction has named stays, whatever became known of its end.
    pub(super) async fn turn_away(&self, arriving: &Arriving) {
        let (Some(blobs), Some(object)) = (&self.blobs, &arriving.object) else { return };
        let gone = async { if self.give_up(object).await? { self.remove(&**blobs, object).await } else { Ok(()) } };
        if let Err(error) = gone.await {
            tracing::warn!(%error, object, "an object that nothing names could not be deleted; the next upload tries again");
        }
    }

    /// The bytes behind a row.
    ///
    /// # Errors
    /// `Corrupt` if they are lost or are not those of the digest.
    pub(super) async fn fetch(&self, row: &Stored<'_>, digest: Digest) -> StoreResult<Bytes> {
        let Some(object) = row.optional::<String>("object")? else {
            let broken = row.corrupt("bytes", "they do not have this digest");
            let bytes: Vec<u8> = row.required("bytes")?;
            return checked(bytes.into(), move |bytes| check_digest(bytes, digest).map_err(|_| broken)).await;
        };
        let Some(blobs) = &self.blobs else {
            return Err(StoreError::Unavailable(format!("the bytes of {digest} are in a bucket, and none is configured here")));
        };
        let fix = "put it back from a backup, or upload the component again";
        let (lost, broken) = (
            row.corrupt("object", format!("there is no object {object}; {fix}")),
            row.corrupt("object", format!("the object {object} does not have this digest; {fix}")),
        );
        let bytes = blobs.get(&object).await?.ok_or(lost)?;
        checked(bytes, move |bytes| check_digest(bytes, digest).map_err(|_| broken)).await
    }

    /// Deletes objects that were let go, or that somebody began to write too long ago. What cannot be deleted now is left to
    /// the next upload.
    pub(super) async fn sweep(&self, blobs: &dyn BlobStore, now: Timestamp) {
        let swept = async {
            for object in self.loose(now.checked_sub(WRITING).unwrap_or(Timestamp::MIN)).await? {
                self.remove(blobs, &object).await?;
            }
            StoreResult::Ok(())
        };
        if let Err(error) = swept.await {
            tracing::warn!(%error, "objects that nothing names could not be deleted; the next upload tries again");
        }
    }

    /// Says that an object is about to be written.
    async fn announce(&self, lock: Lock<'_>, object: &str, now: Timestamp) -> StoreResult<()> {
        let mut writer = self.db.writer(lock).await;
        let mut tx = Note::apart(writer.begin()).await?;
        let loose = sqlx::query("INSERT INTO loose_objects (object, began_at) VALUES ($1, $2)");
        loose.bind(object).bind(now.as_microsecond()).execute(&mut *tx).await.map_err(store_error)?;
        tx.commit().await.map_err(store_error)
    }

    /// Lets nobody name an object any more; false if a row names it.
    async fn give_up(&self, object: &str) -> StoreResult<bool> {
        let mut writer = self.db.writer(Lock::Installation).await;
        let mut tx = Note::apart(writer.begin()).await?;
        let loose = sqlx::query("UPDATE loose_objects SET began_at = NULL WHERE object = $1").bind(object);
        let is_loose = loose.execute(&mut *tx).await.map_err(store_error)?.rows_affected() > 0;
        tx.commit().await.map_err(store_error)?;
        Ok(is_loose)
    }

    /// Loose objects to delete: those that nobody may name, and from now on those that were begun up to a time.
    async fn loose(&self, before: Timestamp) -> StoreResult<Vec<String>> {
        let mut writer = self.db.writer(Lock::Installation).await;
        let mut tx = Note::apart(writer.begin()).await?;
        let begun = sqlx::query("UPDATE loose_objects SET began_at = NULL WHERE began_at <= $1");
        begun.bind(before.as_microsecond()).execute(&mut *tx).await.map_err(store_error)?;
        let loose = sqlx::query_scalar("SELECT object FROM loose_objects WHERE began_at IS NULL ORDER BY object LIMIT $1");
        let loose = loose.bind(MAX_SWEPT).fetch_all(&mut *tx).await.map_err(store_error)?;
        tx.commit().await.map_err(store_error)?;
        Ok(loose)
    }

    /// Deletes an object that no row names.
    async fn remove(&self, blobs: &dyn BlobStore, object: &str) -> StoreResult<()> {
        fail_point!(StoreObjectLoose);
        blobs.delete(object).await?;
        let mut writer = self.db.writer(Lock::Installation).await;
        let mut tx = Note::apart(writer.begin()).await?;
        let deleted = sqlx::query("DELETE FROM loose_objects WHERE object = $1").bind(object);
        deleted.execute(&mut *tx).await.map_err(store_error)?;
        tx.commit().await.map_err(store_error)
    }

    async fn held(&self, digest: Digest) -> StoreResult<Held> {
        let row = sqlx::query("SELECT digest, CAST(length(bytes) AS BIGINT) AS size, object FROM blobs WHERE digest = $1")
            .bind(digest.to_string())
            .fetch_optional(&mut *self.db.reader().await?)
            .await
            .map_err(store_error)?;
        let Some(row) = row else { return Ok(Held::Nowhere) };
        let row = Stored::new(&row, "blobs", &["digest"]);
        Ok(match (row.optional("object")?, row.number::<u64>("size")?) {
            (Some(object), _) => Held::Object(object),
            (None, 0) => Held::Nowhere,
            (None, _) => Held::Inside,
        })
    }
}

/// Where bytes are.
enum Held {
    Nowhere,
    Inside,
    Object(String),
}
