//! Orgs, their API keys and the secrets of the installation.

use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use sqlx::Row as _;

use super::error::{store_error, taken};
use super::read::list;
use super::row::{Stored, Word, key};
use super::{DbConnection, DbRow, Lock, Store, member as members};
use crate::component::Digest;
use crate::id::{AuditEntryId, KeyId, MemberId, OrgId};
use crate::store::rules::{DEFAULT_ORG_NAME, check_keys};
use crate::store::{ApiKey, AuditEntry, FoundKey, Listing, OrgStore, Page, StoreError, StoreResult};

macro_rules! select_key {
    ($tail:literal) => {
        concat!("SELECT id, org_id, name, scope, member_id, secret_hash, created_at FROM api_keys ", $tail)
    };
}

fn api_key(row: &DbRow) -> StoreResult<ApiKey> {
    let row = Stored::new(row, "api_keys", &["id"]);
    let hash: Vec<u8> = row.required("secret_hash")?;
    Ok(ApiKey {
        id: row.id("id", KeyId::from_uuid)?,
        org: row.id("org_id", OrgId::from_uuid)?,
        name: row.required("name")?,
        scope: row.word("scope")?,
        member: row.optional_id("member_id", MemberId::from_uuid)?,
        secret_hash: hash.try_into().map_err(|_| row.corrupt("secret_hash", "it does not have 32 bytes"))?,
        created_at: row.time("created_at")?,
    })
}

fn audit_entry(row: &DbRow) -> StoreResult<AuditEntry> {
    let row = Stored::new(row, "audit_entries", &["id"]);
    let digest = |column: &'static str| -> StoreResult<Option<Digest>> {
        let text: Option<String> = row.optional(column)?;
        text.map(|text| text.parse().map_err(|error| row.corrupt(column, error))).transpose()
    };
    Ok(AuditEntry {
        id: row.id("id", AuditEntryId::from_uuid)?,
        at: row.time("at")?,
        actor: row.required("actor")?,
        action: row.required("action")?,
        target: row.required("target")?,
        status: row.number("status")?,
        before: digest("before")?,
        after: digest("after")?,
    })
}

async fn org_by_name(connection: &mut DbConnection, name: &str) -> StoreResult<Option<OrgId>> {
    let row = sqlx::query("SELECT id FROM orgs WHERE name = $1").bind(name).fetch_optional(connection).await.map_err(store_error)?;
    row.map(|row| Stored::new(&row, "orgs", &["id"]).id("id", OrgId::from_uuid)).transpose()
}

async fn insert_org(connection: &mut DbConnection, id: OrgId, name: &str, now: Timestamp) -> StoreResult<()> {
    sqlx::query("INSERT INTO orgs (id, name, created_at, updated_at) VALUES ($1, $2, $3, $3)")
        .bind(key(id.uuid()))
        .bind(name)
        .bind(now.as_microsecond())
        .execute(connection)
        .await
        .map_err(|error| taken(error, "org", &[("orgs.name", &name), ("orgs.id", &id)]))?;
    Ok(())
}

pub(super) async fn insert_audit_entry(connection: &mut DbConnection, org: OrgId, entry: &AuditEntry) -> StoreResult<()> {
    let inserted = sqlx::query(concat!(
        "INSERT INTO audit_entries (org_id, id, at, actor, action, target, status, before, after) ",
        "SELECT id, $2, $3, $4, $5, $6, $7, $8, $9 FROM orgs WHERE id = $1"
    ))
    .bind(key(org.uuid()))
    .bind(key(entry.id.uuid()))
    .bind(entry.at.as_microsecond())
    .bind(&entry.actor)
    .bind(&entry.action)
    .bind(&entry.target)
    .bind(i64::from(entry.status))
    .bind(entry.before.map(|digest| digest.to_string()))
    .bind(entry.after.map(|digest| digest.to_string()))
    .execute(connection)
    .await
    .map_err(|error| taken(error, "audit entry", &[("audit_entries.id", &entry.id)]))?;
    if inserted.rows_affected() == 0 {
        return Err(StoreError::NotFound { what: "org", id: org.to_string() });
    }
    Ok(())
}

#[async_trait]
impl OrgStore for Store {
    async fn default_org(&self, id: OrgId, now: Timestamp) -> StoreResult<OrgId> {
        let mut writer = self.db.writer(Lock::Installation).await;
        let mut tx = writer.begin().await?;
        if let Some(known) = org_by_name(&mut tx, DEFAULT_ORG_NAME).await? {
            return Ok(known);
        }
        insert_org(&mut tx, id, DEFAULT_ORG_NAME, now).await?;
        tx.commit().await.map_err(store_error)?;
        Ok(id)
    }

    async fn add_org(&self, id: OrgId, name: &str, now: Timestamp) -> StoreResult<()> {
        let mut writer = self.db.writer(Lock::Installation).await;
        let mut tx = writer.begin().await?;
        insert_org(&mut tx, id, name, now).await?;
        tx.commit().await.map_err(store_error)
    }

    async fn add_key(&self, api_key: ApiKey) -> StoreResult<()> {
        let mut writer = self.db.writer(Lock::Installation).await;
        let mut tx = writer.begin().await?;
        let member = || api_key.member.map(|member| key(member.uuid()));
        let known: i64 = sqlx::query_scalar("SELECT count(*) FROM api_keys WHERE org_id = $1 AND member_id IS NOT DISTINCT FROM $2")
            .bind(key(api_key.org.uuid()))
            .bind(member())
            .fetch_one(&mut *tx)
            .await
            .map_err(store_error)?;
        check_keys(usize::try_from(known).unwrap_or(usize::MAX))?;
        if let Some(member) = api_key.member
            && members::role(&mut tx, api_key.org, member).await?.is_none()
        {
            return Err(StoreError::NotFound { what: "member", id: member.to_string() });
        }
        // Selecting from orgs inserts nothing, instead of failing, if the org does not exist.
        let inserted = sqlx::query(concat!(
            "INSERT INTO api_keys (org_id, id, name, scope, secret_hash, created_at, member_id) ",
            "SELECT id, $2, $3, $4, $5, $6, $7 FROM orgs WHERE id = $1"
        ))
        .bind(key(api_key.org.uuid()))
        .bind(key(api_key.id.uuid()))
        .bind(&api_key.name)
        .bind(api_key.scope.word())
        .bind(&api_key.secret_hash[..])
        .bind(api_key.created_at.as_microsecond())
        .bind(member())
        .execute(&mut *tx)
        .await
        .map_err(|error| taken(error, "API key", &[("api_keys.id", &api_key.id), ("api_keys.secret_hash", &api_key.id)]))?;
        if inserted.rows_affected() == 0 {
            return Err(StoreError::NotFound { what: "org", id: api_key.org.to_string() });
        }
        tx.commit().await.map_err(store_error)
    }

    async fn find_key(&self, secret_hash: &[u8; 32]) -> StoreResult<Option<FoundKey>> {
        let row = sqlx::query(concat!(
            "SELECT k.id, k.org_id, k.name, k.scope, k.member_id, k.secret_hash, k.created_at, m.role FROM api_keys k ",
            "LEFT JOIN members m ON m.org_id = k.org_id AND m.id = k.member_id WHERE k.secret_hash = $1"
        ))
        .bind(&secret_hash[..])
        .fetch_optional(&mut *self.db.reader().await?)
        .await
        .map_err(store_error)?;
        let found = |row: &DbRow| {
            let has_role = Stored::new(row, "members", &["id"]).optional::<String>("role")?.is_some();
            let role = has_role.then(|| Stored::new(row, "members", &["id"]).word("role")).transpose()?;
            Ok(FoundKey { key: api_key(row)?, role })
        };
        row.as_ref().map(found).transpose()
    }

    async fn has_keys(&self) -> StoreResult<bool> {
        let row =
            sqlx::query("SELECT EXISTS (SELECT 1 FROM api_keys)").fetch_one(&mut *self.db.reader().await?).await.map_err(store_error)?;
        row.try_get(0).map_err(store_error)
    }

    async fn list_keys(&self, org: OrgId) -> StoreResult<Vec<ApiKey>> {
        let rows = sqlx::query(select_key!("WHERE org_id = $1 ORDER BY position"))
            .bind(key(org.uuid()))
            .fetch_all(&mut *self.db.reader().await?)
            .await
            .map_err(store_error)?;
        rows.iter().map(api_key).collect()
    }

    async fn remove_key(&self, org: OrgId, id: KeyId) -> StoreResult<bool> {
        let mut writer = self.db.writer(Lock::Installation).await;
        let mut tx = writer.begin().await?;
        let removed = sqlx::query("DELETE FROM api_keys WHERE org_id = $1 AND id = $2")
            .bind(key(org.uuid()))
            .bind(key(id.uuid()))
            .execute(&mut *tx)
            .await
            .map_err(store_error)?;
        tx.commit().await.map_err(store_error)?;
        Ok(removed.rows_affected() > 0)
    }

    async fn add_audit_entry(&self, org: OrgId, entry: AuditEntry) -> StoreResult<()> {
        let mut writer = self.db.writer(Lock::Org(org)).await;
        let mut tx = writer.begin().await?;
        insert_audit_entry(&mut tx, org, &entry).await?;
        tx.commit().await.map_err(store_error)
    }

    async fn list_audit_entries(&self, org: OrgId, page: Page) -> StoreResult<Listing<AuditEntry>> {
        let count = "SELECT count(*) FROM audit_entries WHERE org_id = $1";
        let rows = concat!(
            "SELECT id, at, actor, action, target, status, before, after FROM audit_entries WHERE org_id = $1 ",
            "ORDER BY position DESC LIMIT $2 OFFSET $3"
        );
        list(&self.db, org, page, (count, rows), audit_entry).await
    }

    async fn installation_secret(&self, name: &str, value: SecretString) -> StoreResult<SecretString> {
        let mut writer = self.db.writer(Lock::Installation).await;
        let mut tx = writer.begin().await?;
        sqlx::query("INSERT INTO installation_secrets (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING")
            .bind(name)
            .bind(value.expose_secret())
            .execute(&mut *tx)
            .await
            .map_err(store_error)?;
        let row = sqlx::query("SELECT name, value FROM installation_secrets WHERE name = $1")
            .bind(name)
            .fetch_one(&mut *tx)
            .await
            .map_err(store_error)?;
        tx.commit().await.map_err(store_error)?;
        Ok(SecretString::from(Stored::new(&row, "installation_secrets", &["name"]).required::<String>("value")?))
    }
}
