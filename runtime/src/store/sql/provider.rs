//! Providers and models.

use async_trait::async_trait;
use sqlx::Row as _;
use uuid::Uuid;

use super::error::{store_error, taken};
use super::read::{list, snapshot, unmet};
use super::row::{Stored, Word, integer, json, key};
use super::{DbConnection, DbQuery, DbRow, Lock, Store};
use crate::id::{ModelId, OrgId, ProviderId};
use crate::provider::{Model, Provider};
use crate::store::rules::page_limit;
use crate::store::{Listing, Page, RuntimeProviderStore, Seeded, StoreError, StoreResult};

const PROVIDER_EXISTS: &str = "SELECT EXISTS (SELECT 1 FROM providers WHERE org_id = $1 AND id = $2)";
const MODEL_EXISTS: &str = "SELECT EXISTS (SELECT 1 FROM models WHERE org_id = $1 AND id = $2)";

macro_rules! select_provider {
    ($tail:literal) => {
        concat!(
            "SELECT org_id, id, name, provider_type, base_url, status, api_key, provider_metadata, version, created_at, updated_at ",
            "FROM providers ",
            $tail
        )
    };
}

macro_rules! select_model {
    ($($tail:tt)*) => {
        concat!(
            "SELECT id, provider_id, model_id, display_name, capabilities, profile, enabled, is_favorite, is_default, source, ",
            "stale, version, created_at, updated_at FROM models ",
            $($tail)*
        )
    };
}

fn provider(row: &DbRow) -> StoreResult<Provider> {
    let row = Stored::new(row, "providers", &["id"]);
    Ok(Provider {
        id: row.id("id", ProviderId::from_uuid)?,
        name: row.required("name")?,
        provider_type: row.parsed("provider_type")?,
        base_url: row.optional("base_url")?,
        status: row.word("status")?,
        api_key: row.optional_json("api_key")?,
        provider_metadata: row.optional_json("provider_metadata")?,
        version: row.number("version")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
    })
}

fn model(row: &DbRow) -> StoreResult<Model> {
    let row = Stored::new(row, "models", &["id"]);
    Ok(Model {
        id: row.id("id", ModelId::from_uuid)?,
        provider_id: row.id("provider_id", ProviderId::from_uuid)?,
        model_id: row.required("model_id")?,
        display_name: row.required("display_name")?,
        capabilities: row.json("capabilities")?,
        profile: row.json("profile")?,
        enabled: row.flag("enabled")?,
        is_favorite: row.flag("is_favorite")?,
        is_default: row.flag("is_default")?,
        source: row.word("source")?,
        stale: row.flag("stale")?,
        version: row.number("version")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
    })
}

/// Binds every column: the org as `$1`, then in the order of the statements below.
fn bind_provider<'q>(query: DbQuery<'q>, org: OrgId, provider: &'q Provider) -> StoreResult<DbQuery<'q>> {
    let query = query
        .bind(key(org.uuid()))
        .bind(key(provider.id.uuid()))
        .bind(&provider.name)
        .bind(provider.provider_type.as_str())
        .bind(&provider.base_url)
        .bind(provider.status.word())
        .bind(provider.api_key.as_ref().map(json).transpose()?)
        .bind(provider.provider_metadata.as_ref().map(json).transpose()?)
        .bind(integer(provider.version)?)
        .bind(provider.created_at.as_microsecond())
        .bind(provider.updated_at.as_microsecond());
    Ok(query)
}

/// Binds every column: the org as `$1`, then in the order of the statements below.
fn bind_model<'q>(query: DbQuery<'q>, org: OrgId, model: &'q Model) -> StoreResult<DbQuery<'q>> {
    let query = query
        .bind(key(org.uuid()))
        .bind(key(model.id.uuid()))
        .bind(key(model.provider_id.uuid()))
        .bind(&model.model_id)
        .bind(&model.display_name)
        .bind(json(&model.capabilities)?)
        .bind(json(&model.profile)?)
        .bind(model.enabled)
        .bind(model.is_favorite)
        .bind(model.is_default)
        .bind(model.source.word())
        .bind(integer(model.version)?)
        .bind(model.created_at.as_microsecond())
        .bind(model.updated_at.as_microsecond())
        .bind(model.stale);
    Ok(query)
}

fn provider_refused(error: sqlx::Error, provider: &Provider) -> StoreError {
    taken(error, "provider", &[("providers.name", &provider.name), ("providers.id", &provider.id)])
}

fn model_refused(error: sqlx::Error, model: &Model) -> StoreError {
    if error.as_database_error().is_some_and(|error| error.is_foreign_key_violation()) {
        return StoreError::NotFound { what: "provider", id: model.provider_id.to_string() };
    }
    taken(error, "model", &[("models.model_id", &model.model_id), ("models.id", &model.id)])
}

async fn insert_provider(connection: &mut DbConnection, org: OrgId, provider: &Provider) -> StoreResult<()> {
    let insert = sqlx::query(concat!(
        "INSERT INTO providers (org_id, id, name, provider_type, base_url, status, api_key, provider_metadata, version, ",
        "created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
    ));
    let inserted = bind_provider(insert, org, provider)?.execute(connection).await;
    inserted.map(|_| ()).map_err(|error| provider_refused(error, provider))
}

async fn insert_model(connection: &mut DbConnection, org: OrgId, model: &Model) -> StoreResult<()> {
    make_room_for_default(connection, org, model).await?;
    let insert = sqlx::query(concat!(
        "INSERT INTO models (org_id, id, provider_id, model_id, display_name, capabilities, profile, enabled, is_favorite, ",
        "is_default, source, version, created_at, updated_at, stale) ",
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)"
    ));
    let inserted = bind_model(insert, org, model)?.execute(connection).await;
    inserted.map(|_| ()).map_err(|error| model_refused(error, model))
}

/// Takes the default away from another model if this one is to be it.
async fn make_room_for_default(connection: &mut DbConnection, org: OrgId, model: &Model) -> StoreResult<()> {
    if !model.is_default {
        return Ok(());
    }
    sqlx::query(concat!(
        "UPDATE models SET is_default = FALSE, version = version + 1, updated_at = $3 ",
        "WHERE org_id = $1 AND is_default = ",
        yes!(),
        " AND id <> $2"
    ))
    .bind(key(org.uuid()))
    .bind(key(model.id.uuid()))
    .bind(model.updated_at.as_microsecond())
    .execute(connection)
    .await
    .map_err(store_error)?;
    Ok(())
}

/// The id that a seed has; None if it is claimed for `id` now.
async fn claim_seed(connection: &mut DbConnection, org: OrgId, seed: &str, id: Uuid) -> StoreResult<Option<Uuid>> {
    let known = sqlx::query("SELECT seed, id FROM provider_seeds WHERE org_id = $1 AND seed = $2")
        .bind(key(org.uuid()))
        .bind(seed)
        .fetch_optional(&mut *connection)
        .await
        .map_err(store_error)?;
    if let Some(row) = known {
        return Stored::new(&row, "provider_seeds", &["seed"]).id("id", |id| id).map(Some);
    }
    sqlx::query("INSERT INTO provider_seeds (org_id, seed, id) VALUES ($1, $2, $3)")
        .bind(key(org.uuid()))
        .bind(seed)
        .bind(key(id))
        .execute(connection)
        .await
        .map_err(store_error)?;
    Ok(None)
}

impl Store {
    /// Removes a row if it has a version; `delete` and `exists` have the org as `$1` and the id
    /// as `$2`, `delete` has the version as `$3`.
    async fn remove_versioned(
        &self,
        (delete, exists): (&'static str, &'static str),
        org: OrgId,
        id: Uuid,
        version: u64,
        (what, label): (&'static str, String),
    ) -> StoreResult<()> {
        let mut writer = self.db.writer(Lock::Org(org)).await;
        let mut tx = writer.begin().await?;
        let delete = sqlx::query(delete).bind(key(org.uuid())).bind(key(id)).bind(integer(version)?);
        if delete.execute(&mut *tx).await.map_err(store_error)?.rows_affected() == 0 {
            return Err(unmet(&mut tx, exists, org, id, what, label).await);
        }
        tx.commit().await.map_err(store_error)
    }
}

#[async_trait]
impl RuntimeProviderStore for Store {
    async fn add_provider(&self, org: OrgId, provider: Provider) -> StoreResult<()> {
        let mut writer = self.db.writer(Lock::Org(org)).await;
        let mut tx = writer.begin().await?;
        insert_provider(&mut tx, org, &provider).await?;
        tx.commit().await.map_err(store_error)
    }

    async fn get_provider(&self, org: OrgId, id: ProviderId) -> StoreResult<Option<Provider>> {
        let row = sqlx::query(select_provider!("WHERE org_id = $1 AND id = $2"))
            .bind(key(org.uuid()))
            .bind(key(id.uuid()))
            .fetch_optional(&mut *self.db.reader().await?)
            .await
            .map_err(store_error)?;
        row.as_ref().map(provider).transpose()
    }

    async fn find_provider(&self, org: OrgId, name: &str) -> StoreResult<Option<Provider>> {
        let row = sqlx::query(select_provider!("WHERE org_id = $1 AND name = $2"))
            .bind(key(org.uuid()))
            .bind(name)
            .fetch_optional(&mut *self.db.reader().await?)
            .await
            .map_err(store_error)?;
        row.as_ref().map(provider).transpose()
    }

    async fn update_provider(&self, org: OrgId, provider: Provider) -> StoreResult<()> {
        let update = sqlx::query(concat!(
            "UPDATE providers SET name = $3, provider_type = $4, base_url = $5, status = $6, api_key = $7, provider_metadata = $8, ",
            "version = $9, created_at = $10, updated_at = $11 WHERE org_id = $1 AND id = $2 AND version = $9 - 1"
        ));
        let mut writer = self.db.writer(Lock::Org(org)).await;
        let mut tx = writer.begin().await?;
        let updated = bind_provider(update, org, &provider)?.execute(&mut *tx).await;
        if updated.map_err(|error| provider_refused(error, &provider))?.rows_affected() == 0 {
            let label = provider.id.to_string();
            return Err(unmet(&mut tx, PROVIDER_EXISTS, org, provider.id.uuid(), "provider", label).await);
        }
        tx.commit().await.map_err(store_error)
    }

    async fn remove_provider(&self, org: OrgId, id: ProviderId, version: u64) -> StoreResult<()> {
        let delete = "DELETE FROM providers WHERE org_id = $1 AND id = $2 AND version = $3";
        self.remove_versioned((delete, PROVIDER_EXISTS), org, id.uuid(), version, ("provider", id.to_string())).await
    }

    async fn list_providers(&self, org: OrgId, page: Page) -> StoreResult<Listing<Provider>> {
        let count = "SELECT count(*) FROM providers WHERE org_id = $1";
        let rows = select_provider!("WHERE org_id = $1 ORDER BY position LIMIT $2 OFFSET $3");
        list(&self.db, org, page, (count, rows), provider).await
    }

    async fn add_model(&self, org: OrgId, model: Model) -> StoreResult<()> {
        let mut writer = self.db.writer(Lock::Org(org)).await;
        let mut tx = writer.begin().await?;
        insert_model(&mut tx, org, &model).await?;
        tx.commit().await.map_err(store_error)
    }

    async fn get_model(&self, org: OrgId, id: ModelId) -> StoreResult<Option<Model>> {
        let row = sqlx::query(select_model!("WHERE org_id = $1 AND id = $2"))
            .bind(key(org.uuid()))
            .bind(key(id.uuid()))
            .fetch_optional(&mut *self.db.reader().await?)
            .await
            .map_err(store_error)?;
        row.as_ref().map(model).transpose()
    }

    async fn update_model(&self, org: OrgId, model: Model) -> StoreResult<()> {
        let update = sqlx::query(concat!(
            "UPDATE models SET provider_id = $3, model_id = $4, display_name = $5, capabilities = $6, profile = $7, enabled = $8, ",
            "is_favorite = $9, is_default = $10, source = $11, version = $12, created_at = $13, updated_at = $14, ",
            "stale = $15 WHERE org_id = $1 AND id = $2 AND version = $12 - 1"
        ));
        let mut writer = self.db.writer(Lock::Org(org)).await;
        let mut tx = writer.begin().await?;
        make_room_for_default(&mut tx, org, &model).await?;
        let updated = bind_model(update, org, &model)?.execute(&mut *tx).await;
        if updated.map_err(|error| model_refused(error, &model))?.rows_affected() == 0 {
            return Err(unmet(&mut tx, MODEL_EXISTS, org, model.id.uuid(), "model", model.id.to_string()).await);
        }
        tx.commit().await.map_err(store_error)
    }

    async fn remove_model(&self, org: OrgId, id: ModelId, version: u64) -> StoreResult<()> {
        let delete = "DELETE FROM models WHERE org_id = $1 AND id = $2 AND version = $3";
        self.remove_versioned((delete, MODEL_EXISTS), org, id.uuid(), version, ("model", id.to_string())).await
    }

    async fn list_models(&self, org: OrgId, of: Option<ProviderId>, page: Page) -> StoreResult<Listing<Model>> {
        let Some(of) = of else {
            let count = "SELECT count(*) FROM models WHERE org_id = $1";
            let rows = select_model!("WHERE org_id = $1 ORDER BY position LIMIT $2 OFFSET $3");
            return list(&self.db, org, page, (count, rows), model).await;
        };
        let mut reader = self.db.reader().await?;
        let mut tx = snapshot(&mut reader).await?;
        let total: i64 = sqlx::query("SELECT count(*) FROM models WHERE org_id = $1 AND provider_id = $2")
            .bind(key(org.uuid()))
            .bind(key(of.uuid()))
            .fetch_one(&mut *tx)
            .await
            .and_then(|row| row.try_get(0))
            .map_err(store_error)?;
        let rows = sqlx::query(select_model!("WHERE org_id = $1 AND provider_id = $2 ORDER BY position LIMIT $3 OFFSET $4"))
            .bind(key(org.uuid()))
            .bind(key(of.uuid()))
            .bind(i64::from(page_limit(page)))
            .bind(i64::from(page.offset))
            .fetch_all(&mut *tx)
            .await
            .map_err(store_error)?;
        tx.commit().await.map_err(store_error)?;
        Ok(Listing { items: rows.iter().map(model).collect::<StoreResult<_>>()?, total: total.unsigned_abs() })
    }

    async fn default_model(&self, org: OrgId) -> StoreResult<Option<Model>> {
        let row = sqlx::query(select_model!("WHERE org_id = $1 AND is_default = ", yes!()))
            .bind(key(org.uuid()))
            .fetch_optional(&mut *self.db.reader().await?)
            .await
            .map_err(store_error)?;
        row.as_ref().map(model).transpose()
    }

    async fn seed_provider(&self, org: OrgId, seed: &str, provider: Provider) -> StoreResult<Seeded<ProviderId>> {
        let mut writer = self.db.writer(Lock::Org(org)).await;
        let mut tx = writer.begin().await?;
        if let Some(id) = claim_seed(&mut tx, org, seed, provider.id.uuid()).await? {
            return Ok(Seeded::Before(ProviderId::from_uuid(id)));
        }
        insert_provider(&mut tx, org, &provider).await?;
        tx.commit().await.map_err(store_error)?;
        Ok(Seeded::Added(provider.id))
    }

    async fn seed_model(&self, org: OrgId, seed: &str, model: Model) -> StoreResult<Seeded<ModelId>> {
        let mut writer = self.db.writer(Lock::Org(org)).await;
        let mut tx = writer.begin().await?;
        if let Some(id) = claim_seed(&mut tx, org, seed, model.id.uuid()).await? {
            return Ok(Seeded::Before(ModelId::from_uuid(id)));
        }
        insert_model(&mut tx, org, &model).await?;
        tx.commit().await.map_err(store_error)?;
        Ok(Seeded::Added(model.id))
    }

    async fn sealed_providers(&self, after: Option<(OrgId, ProviderId)>, limit: u32) -> StoreResult<Vec<(OrgId, Provider)>> {
        let rows = sqlx::query(select_provider!(
            "WHERE (api_key IS NOT NULL OR provider_metadata IS NOT NULL) AND ($1 IS NULL OR (org_id, id) > ($1, $2)) \
             ORDER BY org_id, id LIMIT $3"
        ))
        .bind(after.map(|(org, _)| key(org.uuid())))
        .bind(after.map(|(_, id)| key(id.uuid())))
        .bind(i64::from(limit))
        .fetch_all(&mut *self.db.reader().await?)
        .await
        .map_err(store_error)?;
        let of_org = |row| Ok((Stored::new(row, "providers", &["id"]).id("org_id", OrgId::from_uuid)?, provider(row)?));
        rows.iter().map(of_org).collect()
    }
}
