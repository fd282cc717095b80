//! Secrets that orgs store for their components.

use async_trait::async_trait;

use super::error::{store_error, taken};
use super::read::list;
use super::row::{Stored, json, key};
use super::{DbRow, Lock, Store};
use crate::id::OrgId;
use crate::secret::OrgSecret;
use crate::store::rules::check_org_secrets;
use crate::store::{Listing, Page, SecretStore, StoreError, StoreResult};

fn secret(row: &DbRow) -> StoreResult<OrgSecret> {
    let row = Stored::new(row, "org_secrets", &["name"]);
    Ok(OrgSecret {
        name: row.required("name")?,
        value: row.json("value")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
    })
}

#[async_trait]
impl SecretStore for Store {
    async fn add_secret(&self, org: OrgId, secret: OrgSecret) -> StoreResult<()> {
        let mut writer = self.db.writer(Lock::Org(org)).await;
        let mut tx = writer.begin().await?;
        let known: i64 = sqlx::query_scalar("SELECT count(*) FROM org_secrets WHERE org_id = $1 AND name <> $2")
            .bind(key(org.uuid()))
            .bind(&secret.name)
            .fetch_one(&mut *tx)
            .await
            .map_err(store_error)?;
        check_org_secrets(usize::try_from(known).unwrap_or(usize::MAX))?;
        // Selecting from orgs inserts nothing, instead of failing, if the org does not exist.
        let inserted = sqlx::query(concat!(
            "INSERT INTO org_secrets (org_id, name, value, created_at, updated_at) ",
            "SELECT id, $2, $3, $4, $5 FROM orgs WHERE id = $1"
        ))
        .bind(key(org.uuid()))
        .bind(&secret.name)
        .bind(json(&secret.value)?)
        .bind(secret.created_at.as_microsecond())
        .bind(secret.updated_at.as_microsecond())
        .execute(&mut *tx)
        .await
        .map_err(|error| taken(error, "secret", &[("org_secrets.name", &secret.name), ("org_secrets.pkey", &secret.name)]))?;
        if inserted.rows_affected() == 0 {
            return Err(StoreError::NotFound { what: "org", id: org.to_string() });
        }
        tx.commit().await.map_err(store_error)
    }

    async fn replace_secret(&self, org: OrgId, secret: OrgSecret) -> StoreResult<bool> {
        let mut writer = self.db.writer(Lock::Org(org)).await;
        let mut tx = writer.begin().await?;
        let replaced = sqlx::query("UPDATE org_secrets SET value = $3, updated_at = $4 WHERE org_id = $1 AND name = $2")
            .bind(key(org.uuid()))
            .bind(&secret.name)
            .bind(json(&secret.value)?)
            .bind(secret.updated_at.as_microsecond())
            .execute(&mut *tx)
            .await
            .map_err(store_error)?;
        tx.commit().await.map_err(store_error)?;
        Ok(replaced.rows_affected() > 0)
    }

    async fn get_secret(&self, org: OrgId, name: &str) -> StoreResult<Option<OrgSecret>> {
        let row = sqlx::query("SELECT name, value, created_at, updated_at FROM org_secrets WHERE org_id = $1 AND name = $2")
            .bind(key(org.uuid()))
            .bind(name)
            .fetch_optional(&mut *self.db.reader().await?)
            .await
            .map_err(store_error)?;
        row.as_ref().map(secret).transpose()
    }

    async fn list_secrets(&self, org: OrgId, page: Page) -> StoreResult<Listing<OrgSecret>> {
        let count = "SELECT count(*) FROM org_secrets WHERE org_id = $1";
        let rows = "SELECT name, value, created_at, updated_at FROM org_secrets WHERE org_id = $1 ORDER BY name LIMIT $2 OFFSET $3";
        list(&self.db, org, page, (count, rows), secret).await
    }

    async fn remove_secret(&self, org: OrgId, name: &str) -> StoreResult<bool> {
        let mut writer = self.db.writer(Lock::Org(org)).await;
        let mut tx = writer.begin().await?;
        let removed = sqlx::query("DELETE FROM org_secrets WHERE org_id = $1 AND name = $2")
            .bind(key(org.uuid()))
            .bind(name)
            .execute(&mut *tx)
            .await
            .map_err(store_error)?;
        tx.commit().await.map_err(store_error)?;
        Ok(removed.rows_affected() > 0)
    }

    async fn sealed_secrets(&self, after: Option<(OrgId, String)>, limit: u32) -> StoreResult<Vec<(OrgId, OrgSecret)>> {
        let (org, name) = after.map(|(org, name)| (key(org.uuid()), name)).unwrap_or_default();
        let rows = sqlx::query(concat!(
            "SELECT org_id, name, value, created_at, updated_at FROM org_secrets ",
            "WHERE (org_id, name) > ($1, $2) ORDER BY org_id, name LIMIT $3"
        ))
        .bind(org)
        .bind(name)
        .bind(i64::from(limit))
        .fetch_all(&mut *self.db.reader().await?)
        .await
        .map_err(store_error)?;
        let read = |row: &DbRow| Ok((Stored::new(row, "org_secrets", &["name"]).id("org_id", OrgId::from_uuid)?, secret(row)?));
        rows.iter().map(read).collect()
    }

    async fn swap_secret(&self, org: OrgId, old: &OrgSecret, new: OrgSecret) -> StoreResult<bool> {
        let mut writer = self.db.writer(Lock::Org(org)).await;
        let mut tx = writer.begin().await?;
        let swapped = sqlx::query("UPDATE org_secrets SET value = $4 WHERE org_id = $1 AND name = $2 AND value = $3")
            .bind(key(org.uuid()))
            .bind(&old.name)
            .bind(json(&old.value)?)
            .bind(json(&new.value)?)
            .execute(&mut *tx)
            .await
            .map_err(store_error)?;
        tx.commit().await.map_err(store_error)?;
        Ok(swapped.rows_affected() > 0)
    }
}
