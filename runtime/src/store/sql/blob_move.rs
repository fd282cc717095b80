//! Moving bytes of components that are in the database to where those of new versions are kept.

use jiff::Timestamp;
use uuid::Uuid;

use super::blob::{Arriving, checked};
use super::error::store_error;
use super::row::Stored;
use super::{Lock, Store};
use crate::component::Digest;
use crate::store::rules::check_digest;
use crate::store::{BlobsInside, Note, StoreError, StoreResult};

impl Store {
    /// What is in the database.
    ///
    /// # Errors
    /// `Unavailable` if the database does not answer.
    pub async fn blobs_inside(&self) -> StoreResult<BlobsInside> {
        let row = sqlx::query(concat!(
            "SELECT count(*) AS components, CAST(coalesce(sum(length(bytes)), 0) AS BIGINT) AS size FROM blobs ",
            "WHERE object IS NULL AND length(bytes) > 0"
        ))
        .fetch_one(&mut *self.db.reader().await?)
        .await
        .map_err(store_error)?;
        let row = Stored::new(&row, "blobs", &[]);
        Ok(BlobsInside { components: row.number("components")?, bytes: row.number("size")? })
    }

    /// The first digest behind another one whose bytes are in the database; none if there is none.
    ///
    /// # Errors
    /// `Unavailable` if the database does not answer.
    pub async fn next_blob_inside(&self, after: Option<Digest>) -> StoreResult<Option<Digest>> {
        let row =
            sqlx::query("SELECT digest FROM blobs WHERE digest > $1 AND object IS NULL AND length(bytes) > 0 ORDER BY digest LIMIT 1")
                .bind(after.map(|digest| digest.to_string()).unwrap_or_default())
                .fetch_optional(&mut *self.db.reader().await?)
                .await
                .map_err(store_error)?;
        row.map(|row| Stored::new(&row, "blobs", &["digest"]).parsed("digest")).transpose()
    }

    /// Moves the bytes of a digest to [`Self::with_blobs`]: the database lets go of them once what was written has been read
    /// back and has the digest. `unique` is nobody else's. False if the database has no such bytes, or not any more.
    ///
    /// # Errors
    /// `Corrupt` if the bytes do not have the digest; `Unavailable`, also if what is read back does not. They stay in the
    /// database then.
    pub async fn move_blob(&self, digest: Digest, unique: Uuid, now: Timestamp) -> StoreResult<bool> {
        let Some(blobs) = &self.blobs else {
            return Err(StoreError::Unavailable("there is no place outside of the database to move bytes to".to_owned()));
        };
        // What somebody left behind who was cut off.
        self.sweep(&**blobs, now).await;
        let row = sqlx::query("SELECT digest, bytes, object FROM blobs WHERE digest = $1 AND object IS NULL AND length(bytes) > 0")
            .bind(digest.to_string())
            .fetch_optional(&mut *self.db.reader().await?)
            .await
            .map_err(store_error)?;
        let Some(row) = row else { return Ok(false) };
        let bytes = self.fetch(&Stored::new(&row, "blobs", &["digest"]), digest).await?;
        let arriving = self.write(Lock::Installation, Arriving::new(digest, bytes), (unique, now)).await?;
        let moved = self.let_go(&arriving).await;
        if !matches!(moved, Ok(true)) {
            self.turn_away(&arriving).await;
        }
        moved
    }

    /// Has a row name the object in place of its own bytes, if they are the same.
    async fn let_go(&self, arriving: &Arriving) -> StoreResult<bool> {
        let (Some(blobs), Some(object), digest) = (&self.blobs, arriving.object(), arriving.digest()) else { return Ok(false) };
        let written = blobs.get(object).await?.unwrap_or_default();
        let wrong = |_| StoreError::Unavailable(format!("the object {object} was written, and does not have the bytes of {digest}"));
        checked(written, move |bytes| check_digest(bytes, digest)).await.map_err(wrong)?;
        let mut writer = self.db.writer(Lock::Installation).await;
        let mut tx = Note::apart(writer.begin()).await?;
        let moved = sqlx::query("UPDATE blobs SET bytes = $2, object = $3 WHERE digest = $1 AND object IS NULL AND length(bytes) > 0")
            .bind(digest.to_string())
            .bind(Vec::<u8>::new())
            .bind(object)
            .execute(&mut *tx)
            .await
            .map_err(store_error)?;
        if moved.rows_affected() == 0 {
            return Ok(false);
        }
        arriving.name(&mut tx).await?;
        tx.commit().await.map_err(store_error)?;
        Ok(true)
    }
}
