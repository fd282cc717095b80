//! Key-value data of components.

use async_trait::async_trait;

use super::error::store_error;
use super::row::{Stored, integer, key as id};
use super::{DbConnection, Lock, Store};
use crate::store::rules::{check_kv_bucket, check_kv_key, check_kv_value, check_kv_version, next_kv_version};
use crate::store::{KvEntry, KvScope, KvStore, StoreResult};

/// A key within its bucket, before a write.
struct Before {
    /// Version of the key, 0 if absent.
    version: u64,
    /// Highest version that a removed key of the bucket had.
    floor: u64,
    /// Bytes of the key and its value, 0 if absent.
    size: u64,
    /// Keys of the bucket.
    keys: u64,
    /// Bytes of the bucket.
    bytes: u64,
}

async fn before(connection: &mut DbConnection, scope: &KvScope, key: &str) -> StoreResult<Before> {
    // An aggregate without GROUP BY returns one row even for an empty bucket. The named index
    // holds all that it needs, so that no value is read; without it the statement fails.
    let row = sqlx::query(concat!(
        "SELECT $3 AS bucket, count(*) AS keys, CAST(coalesce(sum(size), 0) AS BIGINT) AS bytes, ",
        "coalesce((SELECT version FROM kv WHERE org_id = $1 AND component = $2 AND bucket = $3 AND key = $4), 0) AS version, ",
        "coalesce((SELECT size FROM kv WHERE org_id = $1 AND component = $2 AND bucket = $3 AND key = $4), 0) AS size, ",
        "coalesce((SELECT version FROM kv_floors WHERE org_id = $1 AND component = $2 AND bucket = $3), 0) AS floor ",
        "FROM kv",
        indexed_by!("kv_size"),
        " WHERE org_id = $1 AND component = $2 AND bucket = $3"
    ))
    .bind(id(scope.org.uuid()))
    .bind(&scope.component)
    .bind(&scope.bucket)
    .bind(key.as_bytes())
    .fetch_one(connection)
    .await
    .map_err(store_error)?;
    let row = Stored::new(&row, "kv", &["bucket"]);
    Ok(Before {
        version: row.number("version")?,
        floor: row.number("floor")?,
        size: row.number("size")?,
        keys: row.number("keys")?,
        bytes: row.number("bytes")?,
    })
}

/// The first key in byte order that is behind all keys with a prefix; none if nothing is.
/// The bytes of UTF-8 end below 0xff, so the last one can always be raised.
fn end_of(prefix: &str) -> Option<Vec<u8>> {
    let mut end = prefix.as_bytes().to_vec();
    *end.last_mut()? += 1;
    Some(end)
}

#[async_trait]
impl KvStore for Store {
    async fn get(&self, scope: &KvScope, key: &str) -> StoreResult<Option<KvEntry>> {
        let row = sqlx::query(concat!(
            "SELECT bucket, key, value, version FROM kv ",
            "WHERE org_id = $1 AND component = $2 AND bucket = $3 AND key = $4"
        ))
        .bind(id(scope.org.uuid()))
        .bind(&scope.component)
        .bind(&scope.bucket)
        .bind(key.as_bytes())
        .fetch_optional(&mut *self.db.reader().await?)
        .await
        .map_err(store_error)?;
        let Some(row) = row else { return Ok(None) };
        let row = Stored::new(&row, "kv", &["bucket", "key"]);
        Ok(Some(KvEntry { value: row.required("value")?, version: row.number("version")? }))
    }

    async fn put(&self, scope: &KvScope, key: &str, value: Vec<u8>, expected: Option<u64>) -> StoreResult<u64> {
        check_kv_key(key)?;
        check_kv_value(&value)?;
        let mut writer = self.db.writer(Lock::Bucket(scope)).await;
        let mut tx = writer.begin().await?;
        let before = before(&mut tx, scope, key).await?;
        check_kv_version(key, expected, before.version)?;
        let keys = before.keys + u64::from(before.version == 0);
        let bytes = before.bytes.saturating_sub(before.size) + (key.len() + value.len()) as u64;
        check_kv_bucket(scope, keys, bytes)?;
        let version = next_kv_version(before.version, before.floor);
        sqlx::query(concat!(
            "INSERT INTO kv (org_id, component, bucket, key, value, version, size) ",
            "VALUES ($1, $2, $3, $4, $5, $6, length($4) + length($5)) ON CONFLICT (org_id, component, bucket, key) ",
            "DO UPDATE SET value = excluded.value, version = excluded.version, size = excluded.size"
        ))
        .bind(id(scope.org.uuid()))
        .bind(&scope.component)
        .bind(&scope.bucket)
        .bind(key.as_bytes())
        .bind(value)
        .bind(integer(version)?)
        .execute(&mut *tx)
        .await
        .map_err(store_error)?;
        tx.commit().await.map_err(store_error)?;
        Ok(version)
    }

    async fn remove(&self, scope: &KvScope, key: &str, expected: Option<u64>) -> StoreResult<()> {
        let mut writer = self.db.writer(Lock::Bucket(scope)).await;
        let mut tx = writer.begin().await?;
        let version = before(&mut tx, scope, key).await?.version;
        check_kv_version(key, expected, version)?;
        if version == 0 {
            return Ok(());
        }
        sqlx::query(concat!(
            "INSERT INTO kv_floors (org_id, component, bucket, version) VALUES ($1, $2, $3, $4) ",
            "ON CONFLICT (org_id, component, bucket) DO UPDATE ",
            "SET version = CASE WHEN excluded.version > kv_floors.version THEN excluded.version ELSE kv_floors.version END"
        ))
        .bind(id(scope.org.uuid()))
        .bind(&scope.component)
        .bind(&scope.bucket)
        .bind(integer(version)?)
        .execute(&mut *tx)
        .await
        .map_err(store_error)?;
        sqlx::query("DELETE FROM kv WHERE org_id = $1 AND component = $2 AND bucket = $3 AND key = $4")
            .bind(id(scope.org.uuid()))
            .bind(&scope.component)
            .bind(&scope.bucket)
            .bind(key.as_bytes())
            .execute(&mut *tx)
            .await
            .map_err(store_error)?;
        tx.commit().await.map_err(store_error)
    }

    async fn keys(&self, scope: &KvScope, prefix: &str, after: Option<&str>, limit: u32) -> StoreResult<Vec<String>> {
        // A null bound is no bound. The prefix is a range of bytes rather than a pattern, so
        // that no character in it has a meaning and the primary key answers it.
        let rows = sqlx::query(concat!(
            "SELECT bucket, key FROM kv WHERE org_id = $1 AND component = $2 AND bucket = $3 ",
            "AND key >= $4 AND ($5 IS NULL OR key < $5) AND ($6 IS NULL OR key > $6) ORDER BY key LIMIT $7"
        ))
        .bind(id(scope.org.uuid()))
        .bind(&scope.component)
        .bind(&scope.bucket)
        .bind(prefix.as_bytes())
        .bind(end_of(prefix))
        .bind(after.map(str::as_bytes))
        .bind(i64::from(limit))
        .fetch_all(&mut *self.db.reader().await?)
        .await
        .map_err(store_error)?;
        let text = |row| {
            let row = Stored::new(row, "kv", &["bucket", "key"]);
            String::from_utf8(row.required("key")?).map_err(|error| row.corrupt("key", error))
        };
        rows.iter().map(text).collect()
    }
}
