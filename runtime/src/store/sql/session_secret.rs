//! Secrets of sessions.

use super::Db;
use super::error::store_error;
use super::row::{Stored, json, key};
use super::{DbRow, Lock};
use crate::connection::SessionSecret;
use crate::id::{OrgId, SessionId};
use crate::store::rules::check_session_secrets;
use crate::store::{SecretChanges, StoreError, StoreResult};

fn secret(row: &DbRow) -> StoreResult<SessionSecret> {
    let row = Stored::new(row, "session_secrets", &["session_id", "name"]);
    Ok(SessionSecret { session: row.id("session_id", SessionId::from_uuid)?, name: row.required("name")?, value: row.json("value")? })
}

pub(super) async fn change(db: &Db, org: OrgId, session: SessionId, changes: SecretChanges) -> StoreResult<u64> {
    let mut writer = db.writer(Lock::Session(org, session)).await;
    let mut tx = writer.begin().await?;
    let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM sessions WHERE org_id = $1 AND id = $2)")
        .bind(key(org.uuid()))
        .bind(key(session.uuid()))
        .fetch_one(&mut *tx)
        .await
        .map_err(store_error)?;
    if !exists {
        return Err(StoreError::NotFound { what: "session", id: session.to_string() });
    }
    for name in &changes.remove {
        sqlx::query("DELETE FROM session_secrets WHERE org_id = $1 AND session_id = $2 AND name = $3")
            .bind(key(org.uuid()))
            .bind(key(session.uuid()))
            .bind(name)
            .execute(&mut *tx)
            .await
            .map_err(store_error)?;
    }
    let count = "SELECT count(*) FROM session_secrets WHERE org_id = $1 AND session_id = $2";
    let mut counts = Vec::with_capacity(2);
    for secrets in [&[][..], &changes.put[..]] {
        for secret in secrets {
            sqlx::query(concat!(
                "INSERT INTO session_secrets (org_id, session_id, name, value) VALUES ($1, $2, $3, $4) ",
                "ON CONFLICT (org_id, session_id, name) DO UPDATE SET value = excluded.value"
            ))
            .bind(key(org.uuid()))
            .bind(key(session.uuid()))
            .bind(&secret.name)
            .bind(json(&secret.value)?)
            .execute(&mut *tx)
            .await
            .map_err(store_error)?;
        }
        let count: i64 =
            sqlx::query_scalar(count).bind(key(org.uuid())).bind(key(session.uuid())).fetch_one(&mut *tx).await.map_err(store_error)?;
        counts.push(count.unsigned_abs());
    }
    check_session_secrets(usize::try_from(counts[1]).unwrap_or(usize::MAX))?;
    tx.commit().await.map_err(store_error)?;
    Ok(counts[1] - counts[0])
}

pub(super) async fn get(db: &Db, org: OrgId, session: SessionId, name: &str) -> StoreResult<Option<SessionSecret>> {
    let row = sqlx::query("SELECT session_id, name, value FROM session_secrets WHERE org_id = $1 AND session_id = $2 AND name = $3")
        .bind(key(org.uuid()))
        .bind(key(session.uuid()))
        .bind(name)
        .fetch_optional(&mut *db.reader().await?)
        .await
        .map_err(store_error)?;
    row.as_ref().map(secret).transpose()
}

pub(super) async fn list(db: &Db, org: OrgId, session: SessionId) -> StoreResult<Vec<String>> {
    sqlx::query_scalar("SELECT name FROM session_secrets WHERE org_id = $1 AND session_id = $2 ORDER BY name")
        .bind(key(org.uuid()))
        .bind(key(session.uuid()))
        .fetch_all(&mut *db.reader().await?)
        .await
        .map_err(store_error)
}

pub(super) async fn sealed(db: &Db, after: Option<(OrgId, SessionId, String)>, limit: u32) -> StoreResult<Vec<(OrgId, SessionSecret)>> {
    let after = after.map(|(org, session, name)| (key(org.uuid()), key(session.uuid()), name));
    let (org, session, name) = after.unwrap_or_default();
    let rows = sqlx::query(concat!(
        "SELECT org_id, session_id, name, value FROM session_secrets ",
        "WHERE (org_id, session_id, name) > ($1, $2, $3) ORDER BY org_id, session_id, name LIMIT $4"
    ))
    .bind(org)
    .bind(session)
    .bind(name)
    .bind(i64::from(limit))
    .fetch_all(&mut *db.reader().await?)
    .await
    .map_err(store_error)?;
    let read = |row: &DbRow| Ok((Stored::new(row, "session_secrets", &["name"]).id("org_id", OrgId::from_uuid)?, secret(row)?));
    rows.iter().map(read).collect()
}

pub(super) async fn swap(db: &Db, org: OrgId, old: &SessionSecret, new: SessionSecret) -> StoreResult<bool> {
    let mut writer = db.writer(Lock::Session(org, old.session)).await;
    let mut tx = writer.begin().await?;
    let swapped = sqlx::query("UPDATE session_secrets SET value = $5 WHERE org_id = $1 AND session_id = $2 AND name = $3 AND value = $4")
        .bind(key(org.uuid()))
        .bind(key(old.session.uuid()))
        .bind(&old.name)
        .bind(json(&old.value)?)
        .bind(json(&new.value)?)
        .execute(&mut *tx)
        .await
        .map_err(store_error)?;
    tx.commit().await.map_err(store_error)?;
    Ok(swapped.rows_affected() > 0)
}
