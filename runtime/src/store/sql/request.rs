//! Requests that must have one effect.

use async_trait::async_trait;
use uuid::Uuid;

use super::error::store_error;
use super::row::{Stored, key};
use super::{Lock, Store};
use crate::id::OrgId;
use crate::store::{NewRequest, Note, RememberedRequest, RequestStore, StoreError, StoreResult};

#[async_trait]
impl RequestStore for Store {
    async fn remember_request(&self, org: OrgId, request: NewRequest) -> StoreResult<RememberedRequest> {
        let mut writer = self.db.writer(Lock::Request(org, &request.route, &request.key)).await;
        let mut tx = Note::apart(writer.begin()).await?;
        sqlx::query("DELETE FROM requests WHERE org_id = $1 AND arrived_at < $2")
            .bind(key(org.uuid()))
            .bind(request.forget_before.as_microsecond())
            .execute(&mut *tx)
            .await
            .map_err(store_error)?;
        // Selecting from orgs inserts nothing, instead of failing, if the org does not exist.
        let inserted = sqlx::query(concat!(
            "INSERT INTO requests (org_id, route, request_key, fingerprint, id, arrived_at) ",
            "SELECT id, $2, $3, $4, $5, $6 FROM orgs WHERE id = $1 ",
            "ON CONFLICT (org_id, route, request_key) DO NOTHING"
        ))
        .bind(key(org.uuid()))
        .bind(&request.route)
        .bind(&request.key)
        .bind(&request.fingerprint[..])
        .bind(key(request.id))
        .bind(request.now.as_microsecond())
        .execute(&mut *tx)
        .await
        .map_err(store_error)?;
        let row = sqlx::query("SELECT request_key, fingerprint, id FROM requests WHERE org_id = $1 AND route = $2 AND request_key = $3")
            .bind(key(org.uuid()))
            .bind(&request.route)
            .bind(&request.key)
            .fetch_optional(&mut *tx)
            .await
            .map_err(store_error)?;
        let row = row.ok_or_else(|| StoreError::NotFound { what: "org", id: org.to_string() })?;
        let row = Stored::new(&row, "requests", &["request_key"]);
        let fingerprint: Vec<u8> = row.required("fingerprint")?;
        let remembered = RememberedRequest {
            id: row.id("id", |id: Uuid| id)?,
            fingerprint: fingerprint.try_into().map_err(|_| row.corrupt("fingerprint", "it does not have 32 bytes"))?,
            first: inserted.rows_affected() > 0,
        };
        tx.commit().await.map_err(store_error)?;
        Ok(remembered)
    }
}
