//! Harnesses.

use async_trait::async_trait;

use super::error::{store_error, taken};
use super::read::{list, unmet};
use super::row::{Stored, Word, integer, json, key};
use super::{DbQuery, DbRow, Lock, Store};
use crate::harness::Harness;
use crate::id::{HarnessId, ModelId, OrgId};
use crate::store::{Listing, Page, RuntimeHarnessStore, StoreError, StoreResult};

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT id, name, display_name, description, system_prompt, parent_harness_id, capabilities, tags, ",
            "is_built_in, status, version, created_at, updated_at, initial_files, default_model_id FROM harnesses ",
            $tail
        )
    };
}

fn harness(row: &DbRow) -> StoreResult<Harness> {
    let row = Stored::new(row, "harnesses", &["id"]);
    Ok(Harness {
        id: row.id("id", HarnessId::from_uuid)?,
        name: row.required("name")?,
        display_name: row.optional("display_name")?,
        description: row.optional("description")?,
        system_prompt: row.optional("system_prompt")?,
        parent_harness_id: row.optional_id("parent_harness_id", HarnessId::from_uuid)?,
        capabilities: row.json("capabilities")?,
        initial_files: row.json("initial_files")?,
        tags: row.json("tags")?,
        is_built_in: row.flag("is_built_in")?,
        status: row.word("status")?,
        version: row.number("version")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
        default_model_id: row.optional_id("default_model_id", ModelId::from_uuid)?,
    })
}

/// Binds every column: the org as `$1`, then in the order of the statements below.
fn bind<'q>(query: DbQuery<'q>, org: OrgId, harness: &'q Harness) -> StoreResult<DbQuery<'q>> {
    let query = query
        .bind(key(org.uuid()))
        .bind(key(harness.id.uuid()))
        .bind(&harness.name)
        .bind(&harness.display_name)
        .bind(&harness.description)
        .bind(&harness.system_prompt)
        .bind(harness.parent_harness_id.map(|id| key(id.uuid())))
        .bind(json(&harness.capabilities)?)
        .bind(json(&harness.tags)?)
        .bind(harness.is_built_in)
        .bind(harness.status.word())
        .bind(integer(harness.version)?)
        .bind(harness.created_at.as_microsecond())
        .bind(harness.updated_at.as_microsecond())
        .bind(json(&harness.initial_files)?)
        .bind(harness.default_model_id.map(|id| key(id.uuid())));
    Ok(query)
}

fn name_or_id_taken(error: sqlx::Error, harness: &Harness) -> StoreError {
    taken(error, "harness", &[("harnesses.name", &harness.name), ("harnesses.id", &harness.id)])
}

#[async_trait]
impl RuntimeHarnessStore for Store {
    async fn add_harness(&self, org: OrgId, harness: Harness) -> StoreResult<()> {
        let insert = sqlx::query(concat!(
            "INSERT INTO harnesses (org_id, id, name, display_name, description, system_prompt, ",
            "parent_harness_id, capabilities, tags, is_built_in, status, version, created_at, updated_at, initial_files, default_model_id) VALUES ",
            "($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
        ));
        let mut writer = self.db.writer(Lock::Org(org)).await;
        let mut tx = writer.begin().await?;
        bind(insert, org, &harness)?.execute(&mut *tx).await.map_err(|error| name_or_id_taken(error, &harness))?;
        tx.commit().await.map_err(store_error)
    }

    async fn get_harness(&self, org: OrgId, id: HarnessId) -> StoreResult<Option<Harness>> {
        let row = sqlx::query(select!("WHERE org_id = $1 AND id = $2"))
            .bind(key(org.uuid()))
            .bind(key(id.uuid()))
            .fetch_optional(&mut *self.db.reader().await?)
            .await
            .map_err(store_error)?;
        row.as_ref().map(harness).transpose()
    }

    async fn find_harness(&self, org: OrgId, name: &str) -> StoreResult<Option<Harness>> {
        let row = sqlx::query(select!("WHERE org_id = $1 AND name = $2"))
            .bind(key(org.uuid()))
            .bind(name)
            .fetch_optional(&mut *self.db.reader().await?)
            .await
            .map_err(store_error)?;
        row.as_ref().map(harness).transpose()
    }

    async fn update_harness(&self, org: OrgId, harness: Harness) -> StoreResult<()> {
        let update = sqlx::query(concat!(
            "UPDATE harnesses SET name = $3, display_name = $4, description = $5, system_prompt = $6, ",
            "parent_harness_id = $7, capabilities = $8, tags = $9, is_built_in = $10, status = $11, version = ",
            "$12, created_at = $13, updated_at = $14, initial_files = $15, default_model_id = $16 WHERE org_id = $1 AND id = $2 AND version = $12 - 1",
        ));
        let mut writer = self.db.writer(Lock::Org(org)).await;
        let mut tx = writer.begin().await?;
        let updated = bind(update, org, &harness)?.execute(&mut *tx).await.map_err(|error| name_or_id_taken(error, &harness))?;
        if updated.rows_affected() == 0 {
            let exists = "SELECT EXISTS (SELECT 1 FROM harnesses WHERE org_id = $1 AND id = $2)";
            return Err(unmet(&mut tx, exists, org, harness.id.uuid(), "harness", harness.id.to_string()).await);
        }
        tx.commit().await.map_err(store_error)
    }

    async fn list_harnesses(&self, org: OrgId, page: Page) -> StoreResult<Listing<Harness>> {
        let count = "SELECT count(*) FROM harnesses WHERE org_id = $1";
        let rows = select!("WHERE org_id = $1 ORDER BY position LIMIT $2 OFFSET $3");
        list(&self.db, org, page, (count, rows), harness).await
    }
}
