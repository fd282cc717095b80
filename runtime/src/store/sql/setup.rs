//! What orgs are set up with.

use async_trait::async_trait;
use uuid::Uuid;

use super::error::store_error;
use super::read::unmet;
use super::row::{Stored, Word, integer, json, key};
use super::{DbConnection, DbRow, Lock, Store};
use crate::id::{AgentId, HarnessId, OrgId, SessionId};
use crate::store::rules::page_limit;
use crate::store::{Listing, Org, OrgSetupStore, Page, Seed, SeedKind, StoreError, StoreResult};

macro_rules! select_org {
    ($($tail:tt)*) => {
        concat!(
            "SELECT id, name, base_harness_id, default_harness_id, default_is_seeded, signatures, max_risk, version, created_at, updated_at FROM orgs ",
            $($tail)*
        )
    };
}

macro_rules! select_seed {
    ($tail:literal) => {
        concat!("SELECT kind, key, resource, digest, archived FROM seeds ", $tail)
    };
}

const DELETE_AGENT: &str = "DELETE FROM agents WHERE org_id = $1 AND id = $2 AND version = $3";
const AGENT_EXISTS: &str = "SELECT EXISTS (SELECT 1 FROM agents WHERE org_id = $1 AND id = $2)";
const DELETE_HARNESS: &str = "DELETE FROM harnesses WHERE org_id = $1 AND id = $2 AND version = $3";
const HARNESS_EXISTS: &str = "SELECT EXISTS (SELECT 1 FROM harnesses WHERE org_id = $1 AND id = $2)";

/// What can refer to an agent, and whether anything does.
const AGENT_USES: &[(&str, &str)] = &[("sessions", "SELECT EXISTS (SELECT 1 FROM sessions WHERE org_id = $1 AND agent_id = $2)")];

/// What can refer to a harness, and whether anything does.
const HARNESS_USES: &[(&str, &str)] = &[
    ("agents", "SELECT EXISTS (SELECT 1 FROM agents WHERE org_id = $1 AND harness_id = $2)"),
    ("harnesses that extend it", "SELECT EXISTS (SELECT 1 FROM harnesses WHERE org_id = $1 AND parent_harness_id = $2)"),
    ("the settings of the org", "SELECT EXISTS (SELECT 1 FROM orgs WHERE id = $1 AND (base_harness_id = $2 OR default_harness_id = $2))"),
    ("sessions", "SELECT EXISTS (SELECT 1 FROM sessions WHERE org_id = $1 AND harness_id = $2)"),
];

impl Word for SeedKind {
    const ALL: &'static [Self] = &[Self::Harness, Self::Agent];

    fn word(&self) -> &'static str {
        match self {
            Self::Harness => "harness",
            Self::Agent => "agent",
        }
    }
}

fn read_org(row: &DbRow) -> StoreResult<Org> {
    let row = Stored::new(row, "orgs", &["id"]);
    Ok(Org {
        id: row.id("id", OrgId::from_uuid)?,
        name: row.required("name")?,
        base_harness_id: row.optional_id("base_harness_id", HarnessId::from_uuid)?,
        default_harness_id: row.optional_id("default_harness_id", HarnessId::from_uuid)?,
        default_is_seeded: row.flag("default_is_seeded")?,
        signatures: row.json("signatures")?,
        max_risk: row.word("max_risk")?,
        version: row.number("version")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
    })
}

fn read_seed(row: &DbRow) -> StoreResult<Seed> {
    let row = Stored::new(row, "seeds", &["kind", "key"]);
    Ok(Seed {
        kind: row.word("kind")?,
        key: row.required("key")?,
        resource: row.id("resource", |id: Uuid| id)?,
        digest: row.parsed("digest")?,
        archived: row.flag("archived")?,
    })
}

async fn require_org(connection: &mut DbConnection, org: OrgId) -> StoreResult<()> {
    let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM orgs WHERE id = $1)")
        .bind(key(org.uuid()))
        .fetch_one(connection)
        .await
        .map_err(store_error)?;
    if exists { Ok(()) } else { Err(missing(org)) }
}

fn missing(org: OrgId) -> StoreError {
    StoreError::NotFound { what: "org", id: org.to_string() }
}

async fn chat_session(connection: &mut DbConnection, org: OrgId, subject: &str) -> StoreResult<Option<SessionId>> {
    let row = sqlx::query("SELECT subject, session_id FROM chat_sessions WHERE org_id = $1 AND subject = $2")
        .bind(key(org.uuid()))
        .bind(subject)
        .fetch_optional(connection)
        .await
        .map_err(store_error)?;
    row.map(|row| Stored::new(&row, "chat_sessions", &["subject"]).id("session_id", SessionId::from_uuid)).transpose()
}

#[async_trait]
impl OrgSetupStore for Store {
    async fn list_orgs(&self, page: Page) -> StoreResult<Listing<Org>> {
        let mut reader = self.db.reader().await?;
        let total: i64 = sqlx::query_scalar("SELECT count(*) FROM orgs").fetch_one(&mut *reader).await.map_err(store_error)?;
        let rows = sqlx::query(select_org!("ORDER BY ", position_of_org!(), " LIMIT $1 OFFSET $2"))
            .bind(i64::from(page_limit(page)))
            .bind(i64::from(page.offset))
            .fetch_all(&mut *reader)
            .await
            .map_err(store_error)?;
        Ok(Listing { items: rows.iter().map(read_org).collect::<StoreResult<_>>()?, total: total.unsigned_abs() })
    }

    async fn get_org(&self, id: OrgId) -> StoreResult<Option<Org>> {
        let row = sqlx::query(select_org!("WHERE id = $1"))
            .bind(key(id.uuid()))
            .fetch_optional(&mut *self.db.reader().await?)
            .await
            .map_err(store_error)?;
        row.as_ref().map(read_org).transpose()
    }

    async fn update_org(&self, changed: Org) -> StoreResult<()> {
        let mut writer = self.db.writer(Lock::Org(changed.id)).await;
        let mut tx = writer.begin().await?;
        let updated = sqlx::query(concat!(
            "UPDATE orgs SET base_harness_id = $2, default_harness_id = $3, default_is_seeded = $4, version = $5, updated_at = $6, ",
            "signatures = $7, max_risk = $8 WHERE id = $1 AND version = $5 - 1"
        ))
        .bind(key(changed.id.uuid()))
        .bind(changed.base_harness_id.map(|id| key(id.uuid())))
        .bind(changed.default_harness_id.map(|id| key(id.uuid())))
        .bind(changed.default_is_seeded)
        .bind(integer(changed.version)?)
        .bind(changed.updated_at.as_microsecond())
        .bind(json(&changed.signatures)?)
        .bind(changed.max_risk.word())
        .execute(&mut *tx)
        .await
        .map_err(store_error)?;
        if updated.rows_affected() == 0 {
            require_org(&mut tx, changed.id).await?;
            return Err(StoreError::Stale { what: "org", id: changed.id.to_string() });
        }
        tx.commit().await.map_err(store_error)
    }

    async fn list_seeds(&self, org: OrgId) -> StoreResult<Vec<Seed>> {
        let rows = sqlx::query(select_seed!("WHERE org_id = $1 ORDER BY kind, key"))
            .bind(key(org.uuid()))
            .fetch_all(&mut *self.db.reader().await?)
            .await
            .map_err(store_error)?;
        let mut seeds: Vec<Seed> = rows.iter().map(read_seed).collect::<StoreResult<_>>()?;
        seeds.sort_by(|a, b| (a.kind, &a.key).cmp(&(b.kind, &b.key)));
        Ok(seeds)
    }

    async fn find_seed(&self, org: OrgId, kind: SeedKind, template: &str) -> StoreResult<Option<Seed>> {
        let row = sqlx::query(select_seed!("WHERE org_id = $1 AND kind = $2 AND key = $3"))
            .bind(key(org.uuid()))
            .bind(kind.word())
            .bind(template)
            .fetch_optional(&mut *self.db.reader().await?)
            .await
            .map_err(store_error)?;
        row.as_ref().map(read_seed).transpose()
    }

    async fn put_seed(&self, org: OrgId, seed: Seed) -> StoreResult<bool> {
        let mut writer = self.db.writer(Lock::Org(org)).await;
        let mut tx = writer.begin().await?;
        require_org(&mut tx, org).await?;
        let removed = sqlx::query("DELETE FROM seeds WHERE org_id = $1 AND kind = $2 AND key = $3")
            .bind(key(org.uuid()))
            .bind(seed.kind.word())
            .bind(&seed.key)
            .execute(&mut *tx)
            .await
            .map_err(store_error)?;
        sqlx::query("INSERT INTO seeds (org_id, kind, key, resource, digest, archived) VALUES ($1, $2, $3, $4, $5, $6)")
            .bind(key(org.uuid()))
            .bind(seed.kind.word())
            .bind(&seed.key)
            .bind(key(seed.resource))
            .bind(seed.digest.to_string())
            .bind(seed.archived)
            .execute(&mut *tx)
            .await
            .map_err(store_error)?;
        tx.commit().await.map_err(store_error)?;
        Ok(removed.rows_affected() == 0)
    }

    async fn is_used(&self, org: OrgId, kind: SeedKind, id: Uuid) -> StoreResult<bool> {
        // Asked only for templates that a platform removed, so that sessions need no index for it.
        let statement = match kind {
            SeedKind::Harness => concat!(
                "SELECT EXISTS (SELECT 1 FROM agents WHERE org_id = $1 AND harness_id = $2 AND status = 'active') ",
                "OR EXISTS (SELECT 1 FROM harnesses WHERE org_id = $1 AND parent_harness_id = $2 AND status = 'active') ",
                "OR EXISTS (SELECT 1 FROM orgs WHERE id = $1 ",
                "AND (base_harness_id = $2 OR default_harness_id = $2 AND default_is_seeded = FALSE)) ",
                "OR EXISTS (SELECT 1 FROM sessions WHERE org_id = $1 AND harness_id = $2)"
            ),
            SeedKind::Agent => "SELECT EXISTS (SELECT 1 FROM sessions WHERE org_id = $1 AND agent_id = $2)",
        };
        let used: bool = sqlx::query_scalar(statement)
            .bind(key(org.uuid()))
            .bind(key(id))
            .fetch_one(&mut *self.db.reader().await?)
            .await
            .map_err(store_error)?;
        Ok(used)
    }

    async fn delete_unused(&self, org: OrgId, kind: SeedKind, id: Uuid, expected: u64) -> StoreResult<()> {
        let (what, text, uses, delete, exists) = match kind {
            SeedKind::Agent => ("agent", AgentId::from_uuid(id).to_string(), AGENT_USES, DELETE_AGENT, AGENT_EXISTS),
            SeedKind::Harness => ("harness", HarnessId::from_uuid(id).to_string(), HARNESS_USES, DELETE_HARNESS, HARNESS_EXISTS),
        };
        let mut writer = self.db.writer(Lock::Org(org)).await;
        let mut tx = writer.begin().await?;
        for (by, statement) in uses {
            let query = sqlx::query_scalar(*statement).bind(key(org.uuid())).bind(key(id));
            let used: bool = query.fetch_one(&mut *tx).await.map_err(store_error)?;
            if used {
                return Err(StoreError::InUse { what, id: text, by });
            }
        }
        let query = sqlx::query(delete).bind(key(org.uuid())).bind(key(id)).bind(integer(expected)?);
        if query.execute(&mut *tx).await.map_err(store_error)?.rows_affected() == 0 {
            return Err(unmet(&mut tx, exists, org, id, what, text).await);
        }
        tx.commit().await.map_err(store_error)
    }

    async fn chat_session(&self, org: OrgId, subject: &str) -> StoreResult<Option<SessionId>> {
        chat_session(&mut *self.db.reader().await?, org, subject).await
    }

    async fn replace_chat_session(&self, org: OrgId, subject: &str, stale: Option<SessionId>, fresh: SessionId) -> StoreResult<SessionId> {
        let mut writer = self.db.writer(Lock::Org(org)).await;
        let mut tx = writer.begin().await?;
        require_org(&mut tx, org).await?;
        match chat_session(&mut tx, org, subject).await? {
            Some(current) if Some(current) != stale => return Ok(current),
            _ => {}
        }
        sqlx::query(concat!(
            "INSERT INTO chat_sessions (org_id, subject, session_id) VALUES ($1, $2, $3) ",
            "ON CONFLICT (org_id, subject) DO UPDATE SET session_id = excluded.session_id"
        ))
        .bind(key(org.uuid()))
        .bind(subject)
        .bind(key(fresh.uuid()))
        .execute(&mut *tx)
        .await
        .map_err(store_error)?;
        tx.commit().await.map_err(store_error)?;
        Ok(fresh)
    }
}
