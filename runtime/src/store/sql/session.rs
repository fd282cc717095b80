//! Sessions. Their status follows from their turns, and when they were last updated from their last
//! event or the last change of the row.

use async_trait::async_trait;

use super::dialect::DEFER_FOREIGN_KEYS;
use super::error::{store_error, taken};
use super::event::insert_events;
use super::read::{list, unmet};
use super::row::{Stored, integer, json, key};
use super::{DbRow, Lock, Store};
use crate::event::{Event, NewEvent};
use crate::id::{AgentId, HarnessId, ModelId, OrgId, SessionId};
use crate::session::Session;
use crate::store::rules::{check_deletion, check_events};
use crate::store::{KvScope, Listing, Page, RuntimeSessionStore, StoreError, StoreResult};

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT id, harness_id, agent_id, title, system_prompt, capabilities, locale, max_iterations, tags, ",
            "version, created_at, initial_files, model_id, tools, owner, ",
            "coalesce((SELECT CASE WHEN parked = FALSE THEN 'active' WHEN paused = TRUE THEN 'paused' ELSE 'waiting_for_tool_results' END FROM turns",
            indexed_by!("turns_open"),
            " WHERE org_id = sessions.org_id AND session_id = sessions.id AND outcome IS NULL ORDER BY input_sequence LIMIT 1), ",
            "CASE WHEN EXISTS (SELECT 1 FROM turns",
            indexed_by!("turns_of_session"),
            " WHERE org_id = sessions.org_id AND session_id = sessions.id) THEN 'idle' ELSE 'started' END) AS status, ",
            larger!(
                "updated_at",
                "coalesce((SELECT ts FROM events WHERE org_id = sessions.org_id AND session_id = sessions.id AND sequence > 1 \
                 ORDER BY sequence DESC LIMIT 1), updated_at)"
            ),
            " AS updated_at FROM sessions ",
            $tail
        )
    };
}

fn session(row: &DbRow) -> StoreResult<Session> {
    let row = Stored::new(row, "sessions", &["id"]);
    Ok(Session {
        id: row.id("id", SessionId::from_uuid)?,
        harness_id: row.id("harness_id", HarnessId::from_uuid)?,
        agent_id: row.optional_id("agent_id", AgentId::from_uuid)?,
        title: row.optional("title")?,
        status: row.word("status")?,
        system_prompt: row.optional("system_prompt")?,
        capabilities: row.json("capabilities")?,
        locale: row.optional("locale")?,
        max_iterations: row.optional_number("max_iterations")?,
        initial_files: row.json("initial_files")?,
        tags: row.json("tags")?,
        version: row.number("version")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
        model_id: row.optional_id("model_id", ModelId::from_uuid)?,
        tools: row.json("tools")?,
        owner: row.optional("owner")?,
    })
}

#[async_trait]
impl RuntimeSessionStore for Store {
    async fn add_session(&self, org: OrgId, session: Session, started: NewEvent) -> StoreResult<Event> {
        check_events(std::slice::from_ref(&started))?;
        let mut writer = self.db.writer(Lock::Session(org, session.id)).await;
        let mut tx = writer.begin().await?;
        sqlx::query(concat!(
            "INSERT INTO sessions (org_id, id, harness_id, agent_id, title, system_prompt, capabilities, locale, ",
            "max_iterations, tags, version, created_at, updated_at, initial_files, model_id, tools, owner) ",
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)"
        ))
        .bind(key(org.uuid()))
        .bind(key(session.id.uuid()))
        .bind(key(session.harness_id.uuid()))
        .bind(session.agent_id.map(|id| key(id.uuid())))
        .bind(&session.title)
        .bind(&session.system_prompt)
        .bind(json(&session.capabilities)?)
        .bind(&session.locale)
        .bind(session.max_iterations.map(i64::from))
        .bind(json(&session.tags)?)
        .bind(integer(session.version)?)
        .bind(session.created_at.as_microsecond())
        .bind(session.updated_at.as_microsecond())
        .bind(json(&session.initial_files)?)
        .bind(session.model_id.map(|id| key(id.uuid())))
        .bind(json(&session.tools)?)
        .bind(&session.owner)
        .execute(&mut *tx)
        .await
        .map_err(|error| taken(error, "session", &[("sessions.id", &session.id)]))?;
        let mut stored = insert_events(&mut tx, org, session.id, 0, vec![started]).await?;
        tx.commit().await.map_err(store_error)?;
        Ok(stored.remove(0))
    }

    async fn get_session(&self, org: OrgId, id: SessionId) -> StoreResult<Option<Session>> {
        let row = sqlx::query(select!("WHERE org_id = $1 AND id = $2"))
            .bind(key(org.uuid()))
            .bind(key(id.uuid()))
            .fetch_optional(&mut *self.db.reader().await?)
            .await
            .map_err(store_error)?;
        row.as_ref().map(self::session).transpose()
    }

    async fn update_session(&self, org: OrgId, session: Session) -> StoreResult<()> {
        let mut writer = self.db.writer(Lock::Session(org, session.id)).await;
        let mut tx = writer.begin().await?;
        let updated = sqlx::query(concat!(
            "UPDATE sessions SET harness_id = $3, agent_id = $4, title = $5, system_prompt = $6, capabilities = $7, locale = $8, ",
            "max_iterations = $9, tags = $10, version = $11, created_at = $12, updated_at = $13, initial_files = $14, ",
            "model_id = $15, tools = $16, owner = $17 ",
            "WHERE org_id = $1 AND id = $2 AND version = $11 - 1"
        ))
        .bind(key(org.uuid()))
        .bind(key(session.id.uuid()))
        .bind(key(session.harness_id.uuid()))
        .bind(session.agent_id.map(|id| key(id.uuid())))
        .bind(&session.title)
        .bind(&session.system_prompt)
        .bind(json(&session.capabilities)?)
        .bind(&session.locale)
        .bind(session.max_iterations.map(i64::from))
        .bind(json(&session.tags)?)
        .bind(integer(session.version)?)
        .bind(session.created_at.as_microsecond())
        .bind(session.updated_at.as_microsecond())
        .bind(json(&session.initial_files)?)
        .bind(session.model_id.map(|id| key(id.uuid())))
        .bind(json(&session.tools)?)
        .bind(&session.owner)
        .execute(&mut *tx)
        .await
        .map_err(store_error)?;
        if updated.rows_affected() == 0 {
            let exists = "SELECT EXISTS (SELECT 1 FROM sessions WHERE org_id = $1 AND id = $2)";
            return Err(unmet(&mut tx, exists, org, session.id.uuid(), "session", session.id.to_string()).await);
        }
        tx.commit().await.map_err(store_error)
    }

    async fn delete_session(&self, org: OrgId, id: SessionId, expected: Option<u64>) -> StoreResult<()> {
        let mut writer = self.db.writer(Lock::Session(org, id)).await;
        let mut tx = writer.begin().await?;
        let row = sqlx::query(concat!(
            "SELECT id, version, (SELECT count(*) FROM turns",
            indexed_by!("turns_open"),
            " WHERE org_id = $1 AND session_id = $2 AND outcome IS NULL) AS open_turns FROM sessions WHERE org_id = $1 AND id = $2"
        ))
        .bind(key(org.uuid()))
        .bind(key(id.uuid()))
        .fetch_optional(&mut *tx)
        .await
        .map_err(store_error)?
        .ok_or_else(|| StoreError::NotFound { what: "session", id: id.to_string() })?;
        let row = Stored::new(&row, "sessions", &["id"]);
        check_deletion(id, expected, row.number("version")?, row.number("open_turns")?)?;
        // The trigger lets events go only if their session is gone already, so that the foreign
        // keys of events can be checked only at the end.
        sqlx::query(DEFER_FOREIGN_KEYS).execute(&mut *tx).await.map_err(store_error)?;
        for statement in [
            "DELETE FROM sessions WHERE org_id = $1 AND id = $2",
            concat!("DELETE FROM turns", indexed_by!("turns_of_session"), " WHERE org_id = $1 AND session_id = $2"),
            "DELETE FROM events WHERE org_id = $1 AND session_id = $2",
            "DELETE FROM session_files WHERE org_id = $1 AND session_id = $2",
            "DELETE FROM session_secrets WHERE org_id = $1 AND session_id = $2",
        ] {
            sqlx::query(statement).bind(key(org.uuid())).bind(key(id.uuid())).execute(&mut *tx).await.map_err(store_error)?;
        }
        let scope = KvScope::of_session(org, id);
        // The floors go too: the id of a session never comes back.
        for statement in [
            "DELETE FROM kv WHERE org_id = $1 AND component = $2 AND bucket = $3",
            "DELETE FROM kv_floors WHERE org_id = $1 AND component = $2 AND bucket = $3",
        ] {
            let delete = sqlx::query(statement).bind(key(org.uuid())).bind(&scope.component).bind(&scope.bucket);
            delete.execute(&mut *tx).await.map_err(store_error)?;
        }
        tx.commit().await.map_err(store_error)
    }

    async fn list_sessions(&self, org: OrgId, page: Page) -> StoreResult<Listing<Session>> {
        let count = "SELECT count(*) FROM sessions WHERE org_id = $1";
        let rows = select!("WHERE org_id = $1 ORDER BY position LIMIT $2 OFFSET $3");
        list(&self.db, org, page, (count, rows), session).await
    }
}
