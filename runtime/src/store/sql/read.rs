//! Reading that all aggregates share.

use sqlx::{Connection as _, Transaction};
use uuid::Uuid;

use super::dialect::{SNAPSHOT, key};
use super::error::store_error;
use super::{Database, Db, DbConnection, DbRow};
use crate::id::OrgId;
use crate::store::rules::page_limit;
use crate::store::{Listing, Page, StoreError, StoreResult};

/// A transaction whose reads are all of one moment.
pub(super) async fn snapshot(connection: &mut DbConnection) -> StoreResult<Transaction<'_, Database>> {
    connection.begin_with(SNAPSHOT).await.map_err(store_error)
}

/// A page of what belongs to an org. `count` has the org as `$1`; `rows` has the limit as `$2`
/// and the offset as `$3` besides. The items and their number are of the same moment.
pub(super) async fn list<T>(
    db: &Db,
    org: OrgId,
    page: Page,
    (count, rows): (&'static str, &'static str),
    read: fn(&DbRow) -> StoreResult<T>,
) -> StoreResult<Listing<T>> {
    let mut reader = db.reader().await?;
    let mut tx = snapshot(&mut reader).await?;
    let total: i64 = sqlx::query_scalar(count).bind(key(org.uuid())).fetch_one(&mut *tx).await.map_err(store_error)?;
    let rows = sqlx::query(rows)
        .bind(key(org.uuid()))
        .bind(i64::from(page_limit(page)))
        .bind(i64::from(page.offset))
        .fetch_all(&mut *tx)
        .await
        .map_err(store_error)?;
    tx.commit().await.map_err(store_error)?;
    Ok(Listing { items: rows.iter().map(read).collect::<StoreResult<_>>()?, total: total.unsigned_abs() })
}

/// Why an update by version met no row: the row is absent, or has another version. `exists`
/// tells whether it is there, with the org as `$1` and the id as `$2`.
pub(super) async fn unmet(
    connection: &mut DbConnection,
    exists: &'static str,
    org: OrgId,
    id: Uuid,
    what: &'static str,
    label: String,
) -> StoreError {
    match sqlx::query_scalar(exists).bind(key(org.uuid())).bind(key(id)).fetch_one(connection).await {
        Ok(true) => StoreError::Stale { what, id: label },
        Ok(false) => StoreError::NotFound { what, id: label },
        Err(error) => store_error(error),
    }
}
