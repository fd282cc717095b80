//! Connections of users and authorizations on their way; secrets of sessions are next door.

use async_trait::async_trait;
use jiff::Timestamp;

use super::error::{store_error, taken};
use super::row::{Stored, Word, integer, json, key};
use super::session_secret as secrets;
use super::{DbQuery, DbRow, Lock, Store};
use crate::connection::{Authorization, Connection, ConnectionStatus, ConnectionType, SessionSecret};
use crate::id::{OrgId, SessionId};
use crate::store::rules::{check_connections, kept_authorizations};
use crate::store::{ConnectionStore, SecretChanges, StoreError, StoreResult};

macro_rules! select_connection {
    ($tail:literal) => {
        concat!(
            "SELECT org_id, subject, provider, connection_type, status, provider_username, provider_metadata, scopes, credential, ",
            "expires_at, version, connected_at, updated_at FROM connections ",
            $tail
        )
    };
}

impl Word for ConnectionType {
    const ALL: &'static [Self] = &[Self::OAuth, Self::ApiKey];

    fn word(&self) -> &'static str {
        match self {
            Self::OAuth => "oauth",
            Self::ApiKey => "api_key",
        }
    }
}

impl Word for ConnectionStatus {
    const ALL: &'static [Self] = &[Self::Active, Self::Expired];

    fn word(&self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
        }
    }
}

fn connection(row: &DbRow) -> StoreResult<Connection> {
    let row = Stored::new(row, "connections", &["subject", "provider"]);
    Ok(Connection {
        subject: row.required("subject")?,
        provider: row.required("provider")?,
        connection_type: row.word("connection_type")?,
        status: row.word("status")?,
        provider_username: row.optional("provider_username")?,
        provider_metadata: row.json("provider_metadata")?,
        scopes: row.json("scopes")?,
        credential: row.json("credential")?,
        expires_at: row.optional_time("expires_at")?,
        version: row.number("version")?,
        connected_at: row.time("connected_at")?,
        updated_at: row.time("updated_at")?,
    })
}

fn authorization(row: &DbRow) -> StoreResult<Authorization> {
    let row = Stored::new(row, "connection_authorizations", &["provider"]);
    let hash = |column| {
        let bytes: Vec<u8> = row.required(column)?;
        bytes.try_into().map_err(|_| row.corrupt(column, "it does not have 32 bytes"))
    };
    Ok(Authorization {
        state_hash: hash("state_hash")?,
        browser_hash: hash("browser_hash")?,
        subject: row.required("subject")?,
        provider: row.required("provider")?,
        verifier: row.json("verifier")?,
        redirect_uri: row.required("redirect_uri")?,
        return_to: row.optional("return_to")?,
        expires_at: row.time("expires_at")?,
    })
}

/// Binds every column but the version: the org as `$1`, then in the order of the statements below.
fn bind<'q>(query: DbQuery<'q>, org: OrgId, connection: &'q Connection) -> StoreResult<DbQuery<'q>> {
    Ok(query
        .bind(key(org.uuid()))
        .bind(&connection.subject)
        .bind(&connection.provider)
        .bind(connection.connection_type.word())
        .bind(connection.status.word())
        .bind(&connection.provider_username)
        .bind(json(&connection.provider_metadata)?)
        .bind(json(&connection.scopes)?)
        .bind(json(&connection.credential)?)
        .bind(connection.expires_at.map(Timestamp::as_microsecond))
        .bind(connection.connected_at.as_microsecond())
        .bind(connection.updated_at.as_microsecond()))
}

#[async_trait]
impl ConnectionStore for Store {
    async fn put_connection(&self, org: OrgId, connection: Connection) -> StoreResult<u64> {
        let mut writer = self.db.writer(Lock::Connections(org)).await;
        let mut tx = writer.begin().await?;
        let put = sqlx::query(concat!(
            "INSERT INTO connections (org_id, subject, provider, connection_type, status, provider_username, provider_metadata, ",
            "scopes, credential, expires_at, connected_at, updated_at, version) ",
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 1) ON CONFLICT (org_id, subject, provider) DO UPDATE SET ",
            "connection_type = excluded.connection_type, status = excluded.status, provider_username = excluded.provider_username, ",
            "provider_metadata = excluded.provider_metadata, scopes = excluded.scopes, credential = excluded.credential, ",
            "expires_at = excluded.expires_at, connected_at = excluded.connected_at, updated_at = excluded.updated_at, ",
            "version = connections.version + 1"
        ));
        bind(put, org, &connection)?.execute(&mut *tx).await.map_err(store_error)?;
        let row = sqlx::query(concat!(
            "SELECT subject, provider, version, (SELECT count(*) FROM connections WHERE org_id = $1 AND subject = $2) AS connections ",
            "FROM connections WHERE org_id = $1 AND subject = $2 AND provider = $3"
        ))
        .bind(key(org.uuid()))
        .bind(&connection.subject)
        .bind(&connection.provider)
        .fetch_one(&mut *tx)
        .await
        .map_err(store_error)?;
        let row = Stored::new(&row, "connections", &["subject", "provider"]);
        check_connections(row.number("connections")?)?;
        let version = row.number("version")?;
        tx.commit().await.map_err(store_error)?;
        Ok(version)
    }

    async fn update_connection(&self, org: OrgId, connection: Connection) -> StoreResult<()> {
        let mut writer = self.db.writer(Lock::Connections(org)).await;
        let mut tx = writer.begin().await?;
        let update = sqlx::query(concat!(
            "UPDATE connections SET connection_type = $4, status = $5, provider_username = $6, provider_metadata = $7, scopes = $8, ",
            "credential = $9, expires_at = $10, connected_at = $11, updated_at = $12, version = $13 ",
            "WHERE org_id = $1 AND subject = $2 AND provider = $3 AND version = $13 - 1"
        ));
        let update = bind(update, org, &connection)?.bind(integer(connection.version)?);
        if update.execute(&mut *tx).await.map_err(store_error)?.rows_affected() == 0 {
            let id = connection.provider.clone();
            let exists = "SELECT EXISTS (SELECT 1 FROM connections WHERE org_id = $1 AND subject = $2 AND provider = $3)";
            let exists: bool = sqlx::query_scalar(exists)
                .bind(key(org.uuid()))
                .bind(&connection.subject)
                .bind(&connection.provider)
                .fetch_one(&mut *tx)
                .await
                .map_err(store_error)?;
            return Err(if exists {
                StoreError::Stale { what: "connection", id }
            } else {
                StoreError::NotFound { what: "connection", id }
            });
        }
        tx.commit().await.map_err(store_error)
    }

    async fn get_connection(&self, org: OrgId, subject: &str, provider: &str) -> StoreResult<Option<Connection>> {
        let row = sqlx::query(select_connection!("WHERE org_id = $1 AND subject = $2 AND provider = $3"))
            .bind(key(org.uuid()))
            .bind(subject)
            .bind(provider)
            .fetch_optional(&mut *self.db.reader().await?)
            .await
            .map_err(store_error)?;
        row.as_ref().map(connection).transpose()
    }

    async fn list_connections(&self, org: OrgId, subject: &str) -> StoreResult<Vec<Connection>> {
        let rows = sqlx::query(select_connection!("WHERE org_id = $1 AND subject = $2 ORDER BY provider"))
            .bind(key(org.uuid()))
            .bind(subject)
            .fetch_all(&mut *self.db.reader().await?)
            .await
            .map_err(store_error)?;
        rows.iter().map(connection).collect()
    }

    async fn remove_connection(&self, org: OrgId, subject: &str, provider: &str) -> StoreResult<bool> {
        let mut writer = self.db.writer(Lock::Connections(org)).await;
        let mut tx = writer.begin().await?;
        let removed = sqlx::query("DELETE FROM connections WHERE org_id = $1 AND subject = $2 AND provider = $3")
            .bind(key(org.uuid()))
            .bind(subject)
            .bind(provider)
            .execute(&mut *tx)
            .await
            .map_err(store_error)?;
        tx.commit().await.map_err(store_error)?;
        Ok(removed.rows_affected() > 0)
    }

    async fn add_authorization(&self, org: OrgId, authorization: Authorization, now: Timestamp) -> StoreResult<()> {
        let mut writer = self.db.writer(Lock::Connections(org)).await;
        let mut tx = writer.begin().await?;
        sqlx::query("DELETE FROM connection_authorizations WHERE org_id = $1 AND expires_at <= $2")
            .bind(key(org.uuid()))
            .bind(now.as_microsecond())
            .execute(&mut *tx)
            .await
            .map_err(store_error)?;
        sqlx::query(concat!(
            "INSERT INTO connection_authorizations (org_id, state_hash, browser_hash, subject, provider, verifier, redirect_uri, ",
            "return_to, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
        ))
        .bind(key(org.uuid()))
        .bind(&authorization.state_hash[..])
        .bind(&authorization.browser_hash[..])
        .bind(&authorization.subject)
        .bind(&authorization.provider)
        .bind(json(&authorization.verifier)?)
        .bind(&authorization.redirect_uri)
        .bind(&authorization.return_to)
        .bind(authorization.expires_at.as_microsecond())
        .execute(&mut *tx)
        .await
        .map_err(|error| taken(error, "authorization", &[("connection_authorizations.state_hash", &authorization.provider)]))?;
        sqlx::query(concat!(
            "DELETE FROM connection_authorizations WHERE org_id = $1 AND subject = $2 AND position NOT IN ",
            "(SELECT position FROM connection_authorizations WHERE org_id = $1 AND subject = $2 ORDER BY position DESC LIMIT $3)"
        ))
        .bind(key(org.uuid()))
        .bind(&authorization.subject)
        .bind(integer(kept_authorizations() as u64)?)
        .execute(&mut *tx)
        .await
        .map_err(store_error)?;
        tx.commit().await.map_err(store_error)
    }

    async fn take_authorization(&self, org: OrgId, state_hash: &[u8; 32]) -> StoreResult<Option<Authorization>> {
        let mut writer = self.db.writer(Lock::Connections(org)).await;
        let mut tx = writer.begin().await?;
        let row = sqlx::query(concat!(
            "DELETE FROM connection_authorizations WHERE org_id = $1 AND state_hash = $2 ",
            "RETURNING state_hash, browser_hash, subject, provider, verifier, redirect_uri, return_to, expires_at"
        ))
        .bind(key(org.uuid()))
        .bind(&state_hash[..])
        .fetch_optional(&mut *tx)
        .await
        .map_err(store_error)?;
        let taken = row.as_ref().map(authorization).transpose()?;
        tx.commit().await.map_err(store_error)?;
        Ok(taken)
    }

    async fn change_session_secrets(&self, org: OrgId, session: SessionId, changes: SecretChanges) -> StoreResult<u64> {
        secrets::change(&self.db, org, session, changes).await
    }

    async fn get_session_secret(&self, org: OrgId, session: SessionId, name: &str) -> StoreResult<Option<SessionSecret>> {
        secrets::get(&self.db, org, session, name).await
    }

    async fn list_session_secrets(&self, org: OrgId, session: SessionId) -> StoreResult<Vec<String>> {
        secrets::list(&self.db, org, session).await
    }

    async fn sealed_connections(&self, after: Option<(OrgId, String, String)>, limit: u32) -> StoreResult<Vec<(OrgId, Connection)>> {
        let (org, subject, provider) = after.map_or_else(Default::default, |(org, subject, provider)| (key(org.uuid()), subject, provider));
        let rows =
            sqlx::query(select_connection!("WHERE (org_id, subject, provider) > ($1, $2, $3) ORDER BY org_id, subject, provider LIMIT $4"))
                .bind(org)
                .bind(subject)
                .bind(provider)
                .bind(i64::from(limit))
                .fetch_all(&mut *self.db.reader().await?)
                .await
                .map_err(store_error)?;
        let read = |row: &DbRow| Ok((Stored::new(row, "connections", &["subject"]).id("org_id", OrgId::from_uuid)?, connection(row)?));
        rows.iter().map(read).collect()
    }

    async fn sealed_session_secrets(
        &self,
        after: Option<(OrgId, SessionId, String)>,
        limit: u32,
    ) -> StoreResult<Vec<(OrgId, SessionSecret)>> {
        secrets::sealed(&self.db, after, limit).await
    }

    async fn swap_session_secret(&self, org: OrgId, old: &SessionSecret, new: SessionSecret) -> StoreResult<bool> {
        secrets::swap(&self.db, org, old, new).await
    }
}
