//! Agents.

use async_trait::async_trait;

use super::error::{store_error, taken};
use super::read::{list, unmet};
use super::row::{Stored, Word, integer, json, key};
use super::{DbQuery, DbRow, Lock, Store};
use crate::agent::Agent;
use crate::id::{AgentId, HarnessId, ModelId, OrgId};
use crate::store::{Listing, Page, RuntimeAgentStore, StoreError, StoreResult};

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT id, name, display_name, description, system_prompt, harness_id, capabilities, max_iterations, ",
            "tags, status, version, created_at, updated_at, initial_files, default_model_id, tools FROM agents ",
            $tail
        )
    };
}

fn agent(row: &DbRow) -> StoreResult<Agent> {
    let row = Stored::new(row, "agents", &["id"]);
    Ok(Agent {
        id: row.id("id", AgentId::from_uuid)?,
        name: row.required("name")?,
        display_name: row.optional("display_name")?,
        description: row.optional("description")?,
        system_prompt: row.required("system_prompt")?,
        harness_id: row.id("harness_id", HarnessId::from_uuid)?,
        capabilities: row.json("capabilities")?,
        max_iterations: row.optional_number("max_iterations")?,
        initial_files: row.json("initial_files")?,
        tags: row.json("tags")?,
        status: row.word("status")?,
        version: row.number("version")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
        default_model_id: row.optional_id("default_model_id", ModelId::from_uuid)?,
        tools: row.json("tools")?,
    })
}

/// Binds every column: the org as `$1`, then in the order of the statements below.
fn bind<'q>(query: DbQuery<'q>, org: OrgId, agent: &'q Agent) -> StoreResult<DbQuery<'q>> {
    let query = query
        .bind(key(org.uuid()))
        .bind(key(agent.id.uuid()))
        .bind(&agent.name)
        .bind(&agent.display_name)
        .bind(&agent.description)
        .bind(&agent.system_prompt)
        .bind(key(agent.harness_id.uuid()))
        .bind(json(&agent.capabilities)?)
        .bind(agent.max_iterations.map(i64::from))
        .bind(json(&agent.tags)?)
        .bind(agent.status.word())
        .bind(integer(agent.version)?)
        .bind(agent.created_at.as_microsecond())
        .bind(agent.updated_at.as_microsecond())
        .bind(json(&agent.initial_files)?)
        .bind(agent.default_model_id.map(|id| key(id.uuid())))
        .bind(json(&agent.tools)?);
    Ok(query)
}

fn name_or_id_taken(error: sqlx::Error, agent: &Agent) -> StoreError {
    taken(error, "agent", &[("agents.name", &agent.name), ("agents.id", &agent.id)])
}

#[async_trait]
impl RuntimeAgentStore for Store {
    async fn add_agent(&self, org: OrgId, agent: Agent) -> StoreResult<()> {
        let insert = sqlx::query(concat!(
            "INSERT INTO agents (org_id, id, name, display_name, description, system_prompt, harness_id, ",
            "capabilities, max_iterations, tags, status, version, created_at, updated_at, initial_files, default_model_id, tools) ",
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
        ));
        let mut writer = self.db.writer(Lock::Org(org)).await;
        let mut tx = writer.begin().await?;
        bind(insert, org, &agent)?.execute(&mut *tx).await.map_err(|error| name_or_id_taken(error, &agent))?;
        tx.commit().await.map_err(store_error)
    }

    async fn get_agent(&self, org: OrgId, id: AgentId) -> StoreResult<Option<Agent>> {
        let row = sqlx::query(select!("WHERE org_id = $1 AND id = $2"))
            .bind(key(org.uuid()))
            .bind(key(id.uuid()))
            .fetch_optional(&mut *self.db.reader().await?)
            .await
            .map_err(store_error)?;
        row.as_ref().map(agent).transpose()
    }

    async fn find_agent(&self, org: OrgId, name: &str) -> StoreResult<Option<Agent>> {
        let row = sqlx::query(select!("WHERE org_id = $1 AND name = $2"))
            .bind(key(org.uuid()))
            .bind(name)
            .fetch_optional(&mut *self.db.reader().await?)
            .await
            .map_err(store_error)?;
        row.as_ref().map(agent).transpose()
    }

    async fn update_agent(&self, org: OrgId, agent: Agent) -> StoreResult<()> {
        let update = sqlx::query(concat!(
            "UPDATE agents SET name = $3, display_name = $4, description = $5, system_prompt = $6, harness_id = ",
            "$7, capabilities = $8, max_iterations = $9, tags = $10, status = $11, version = $12, created_at = ",
            "$13, updated_at = $14, initial_files = $15, default_model_id = $16, tools = $17 ",
            "WHERE org_id = $1 AND id = $2 AND version = $12 - 1",
        ));
        let mut writer = self.db.writer(Lock::Org(org)).await;
        let mut tx = writer.begin().await?;
        let updated = bind(update, org, &agent)?.execute(&mut *tx).await.map_err(|error| name_or_id_taken(error, &agent))?;
        if updated.rows_affected() == 0 {
            let exists = "SELECT EXISTS (SELECT 1 FROM agents WHERE org_id = $1 AND id = $2)";
            return Err(unmet(&mut tx, exists, org, agent.id.uuid(), "agent", agent.id.to_string()).await);
        }
        tx.commit().await.map_err(store_error)
    }

    async fn list_agents(&self, org: OrgId, page: Page) -> StoreResult<Listing<Agent>> {
        let count = "SELECT count(*) FROM agents WHERE org_id = $1";
        let rows = select!("WHERE org_id = $1 ORDER BY position LIMIT $2 OFFSET $3");
        list(&self.db, org, page, (count, rows), agent).await
    }
}
