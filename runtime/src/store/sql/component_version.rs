//! What becomes of a version after its upload: it is agreed to, pointed to, archived, loses its bytes, and
//! comes back.

use jiff::Timestamp;

use super::error::store_error;
use super::row::{Stored, json, key};
use super::{DbConnection, DbRow, blob};
use crate::component::{Component, ComponentVersion, Digest};
use crate::id::{ComponentId, OrgId};
use crate::store::{Activation, Collected, StoreError, StoreResult};

/// The turns of org `$1` that have not ended, and the event with which each of them started.
macro_rules! open_turns {
    ($condition:literal) => {
        concat!(
            "SELECT 1 FROM turns WHERE turns.org_id = $1 AND turns.outcome IS NULL AND ",
            $condition,
            " (SELECT 1 FROM events WHERE events.org_id = turns.org_id AND events.session_id = turns.session_id ",
            "AND events.sequence >= turns.input_sequence AND events.turn_id = turns.id AND events.data LIKE '{\"type\":\"turn.started\"%'"
        )
    };
}

fn missing(id: ComponentId, number: u32) -> StoreError {
    StoreError::NotFound { what: "component version", id: format!("{id}/{number}") }
}

/// Writes what was agreed to, and that the version is not archived any more.
pub(super) async fn grant(
    connection: &mut DbConnection,
    org: OrgId,
    (id, number): (ComponentId, u32),
    activation: &Activation,
    is_pointed_to: bool,
) -> StoreResult<()> {
    let granted = sqlx::query(concat!(
        "UPDATE component_versions SET granted = $4, budget = $5, granted_at = $6, archived_at = NULL, ",
        "activated_at = CASE WHEN $7 THEN activated_at ELSE $6 END ",
        "WHERE org_id = $1 AND component_id = $2 AND version = $3 AND stored_at IS NOT NULL"
    ))
    .bind(key(org.uuid()))
    .bind(key(id.uuid()))
    .bind(i64::from(number))
    .bind(json(&activation.grant)?)
    .bind(json(&activation.budget)?)
    .bind(activation.now.as_microsecond())
    .bind(is_pointed_to)
    .execute(connection)
    .await
    .map_err(store_error)?;
    if granted.rows_affected() == 0 { Err(missing(id, number)) } else { Ok(()) }
}

/// Writes which versions a component points to.
pub(super) async fn point(connection: &mut DbConnection, org: OrgId, component: &Component) -> StoreResult<()> {
    sqlx::query(concat!(
        "UPDATE components SET active_version = $3, channels = $4, archived_at = $5, updated_at = $6 ",
        "WHERE org_id = $1 AND id = $2"
    ))
    .bind(key(org.uuid()))
    .bind(key(component.id.uuid()))
    .bind(component.active_version.map(i64::from))
    .bind(json(&component.channels)?)
    .bind(component.archived_at.map(Timestamp::as_microsecond))
    .bind(component.updated_at.as_microsecond())
    .execute(connection)
    .await
    .map_err(store_error)?;
    Ok(())
}

/// Archives a version; one that is archived already keeps its time.
pub(super) async fn archive(
    connection: &mut DbConnection,
    org: OrgId,
    (id, number): (ComponentId, u32),
    now: Timestamp,
) -> StoreResult<DbRow> {
    let row = sqlx::query(concat!(
        "UPDATE component_versions SET archived_at = coalesce(archived_at, $4) WHERE org_id = $1 AND component_id = $2 AND version = $3 ",
        "RETURNING component_id, version, digest, size, description, imports, signature, granted, budget, created_at, activated_at, ",
        "granted_at, archived_at, stored_at"
    ))
    .bind(key(org.uuid()))
    .bind(key(id.uuid()))
    .bind(i64::from(number))
    .bind(now.as_microsecond())
    .fetch_optional(connection)
    .await
    .map_err(store_error)?;
    row.ok_or_else(|| missing(id, number))
}

/// Brings a version back whose bytes came again.
pub(super) async fn bring_back(
    connection: &mut DbConnection,
    org: OrgId,
    version: &mut ComponentVersion,
    (signature, now): (Option<String>, Timestamp),
) -> StoreResult<()> {
    version.archived_at = None;
    version.signature = signature.or_else(|| version.signature.take());
    let stored_at = *version.stored_at.get_or_insert(now);
    sqlx::query(concat!(
        "UPDATE component_versions SET archived_at = NULL, stored_at = $4, signature = $5 ",
        "WHERE org_id = $1 AND component_id = $2 AND version = $3"
    ))
    .bind(key(org.uuid()))
    .bind(key(version.component_id.uuid()))
    .bind(i64::from(version.version))
    .bind(stored_at.as_microsecond())
    .bind(&version.signature)
    .execute(connection)
    .await
    .map_err(store_error)?;
    Ok(())
}

/// See [`ComponentStore::is_stored`](crate::store::ComponentStore::is_stored).
pub(super) async fn is_stored(connection: &mut DbConnection, digest: Digest) -> StoreResult<bool> {
    sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM component_versions WHERE digest = $1 AND stored_at IS NOT NULL)")
        .bind(digest.to_string())
        .fetch_one(connection)
        .await
        .map_err(store_error)
}

/// See [`ComponentStore::collect`](crate::store::ComponentStore::collect).
pub(super) async fn collect(connection: &mut DbConnection, org: OrgId, before: Timestamp, limit: u32) -> StoreResult<Collected> {
    let mut collected = Collected::default();
    // In this order: a turn that is claimed after this statement finds archived versions archived.
    let undecided = sqlx::query(concat!(open_turns!("turns.fence > 0 AND NOT EXISTS"), ") LIMIT 1"));
    if undecided.bind(key(org.uuid())).fetch_optional(&mut *connection).await.map_err(store_error)?.is_some() {
        return Ok(collected);
    }
    for due in due(connection, org, before, limit).await? {
        delete_bytes(connection, org, &due).await?;
        collected.versions += 1;
        collected.bytes += due.size;
    }
    Ok(collected)
}

/// A version whose bytes nobody needs.
struct Due {
    id: ComponentId,
    number: u32,
    digest: Digest,
    size: u64,
}

async fn due(connection: &mut DbConnection, org: OrgId, before: Timestamp, limit: u32) -> StoreResult<Vec<Due>> {
    let rows = sqlx::query(concat!(
        "SELECT it.component_id, it.version, it.digest, it.size FROM component_versions AS it ",
        "JOIN components AS owner ON owner.org_id = it.org_id AND owner.id = it.component_id ",
        "WHERE it.org_id = $1 AND it.stored_at <= $2 AND (it.archived_at <= $2 OR owner.archived_at <= $2) AND NOT EXISTS (",
        open_turns!("EXISTS"),
        " AND events.data LIKE '%' || it.digest || '%')) ORDER BY owner.position, it.version LIMIT $3"
    ))
    .bind(key(org.uuid()))
    .bind(before.as_microsecond())
    .bind(i64::from(limit))
    .fetch_all(connection)
    .await
    .map_err(store_error)?;
    let read = |row: &DbRow| {
        let row = Stored::new(row, "component_versions", &["component_id", "version"]);
        Ok(Due {
            id: row.id("component_id", ComponentId::from_uuid)?,
            number: row.number("version")?,
            digest: row.parsed("digest")?,
            size: row.number("size")?,
        })
    };
    let mut due: Vec<Due> = rows.iter().map(read).collect::<StoreResult<_>>()?;
    // Everybody locks bytes in the same order.
    due.sort_by_key(|due| due.digest.to_string());
    Ok(due)
}

/// Takes the bytes from a version, and deletes them if no other version of any org has them.
async fn delete_bytes(connection: &mut DbConnection, org: OrgId, due: &Due) -> StoreResult<()> {
    sqlx::query("UPDATE component_versions SET stored_at = NULL WHERE org_id = $1 AND component_id = $2 AND version = $3")
        .bind(key(org.uuid()))
        .bind(key(due.id.uuid()))
        .bind(i64::from(due.number))
        .execute(&mut *connection)
        .await
        .map_err(store_error)?;
    blob::delete(connection, due.digest).await
}
