//! Connections of users, authorizations on their way, and secrets of sessions.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;

use super::MemoryStore;
use crate::connection::{Authorization, Connection, SessionSecret};
use crate::id::{OrgId, SessionId};
use crate::store::rules::{check_connections, check_session_secrets, follows, kept_authorizations, whole_micros};
use crate::store::{ConnectionStore, SecretChanges, StoreError, StoreResult};

/// What an org has of it.
#[derive(Default)]
pub(super) struct Connections {
    /// By user and provider.
    connections: BTreeMap<(String, String), Connection>,
    /// In order of arrival.
    authorizations: Vec<Authorization>,
    pub(super) secrets: BTreeMap<(SessionId, String), SessionSecret>,
}

fn key(subject: &str, provider: &str) -> (String, String) {
    (subject.to_owned(), provider.to_owned())
}

fn stored(connection: Connection) -> Connection {
    Connection {
        expires_at: connection.expires_at.map(whole_micros),
        connected_at: whole_micros(connection.connected_at),
        updated_at: whole_micros(connection.updated_at),
        ..connection
    }
}

impl Connections {
    fn put(&mut self, connection: Connection) -> StoreResult<u64> {
        let key = key(&connection.subject, &connection.provider);
        let version = self.connections.get(&key).map_or(0, |before| before.version) + 1;
        let has = self.connections.keys().filter(|(subject, _)| *subject == key.0).count();
        if version == 1 {
            check_connections(has + 1)?;
        }
        self.connections.insert(key, stored(Connection { version, ..connection }));
        Ok(version)
    }

    fn update(&mut self, connection: Connection) -> StoreResult<()> {
        let key = key(&connection.subject, &connection.provider);
        let missing = || StoreError::NotFound { what: "connection", id: connection.provider.clone() };
        let before = self.connections.get_mut(&key).ok_or_else(missing)?;
        if !follows(before.version, connection.version) {
            return Err(StoreError::Stale { what: "connection", id: connection.provider });
        }
        *before = stored(connection);
        Ok(())
    }

    fn add(&mut self, authorization: Authorization, now: Timestamp) -> StoreResult<()> {
        self.authorizations.retain(|other| other.expires_at > now);
        if self.authorizations.iter().any(|other| other.state_hash == authorization.state_hash) {
            return Err(StoreError::Duplicate { what: "authorization", id: authorization.provider });
        }
        let of_user = |other: &Authorization| other.subject == authorization.subject;
        while self.authorizations.iter().filter(|other| of_user(other)).count() >= kept_authorizations() {
            let oldest = self.authorizations.iter().position(of_user).expect("the user has at least one");
            self.authorizations.remove(oldest);
        }
        self.authorizations.push(Authorization { expires_at: whole_micros(authorization.expires_at), ..authorization });
        Ok(())
    }

    fn change_secrets(&mut self, session: SessionId, changes: SecretChanges) -> StoreResult<u64> {
        let SecretChanges { put, remove } = changes;
        let mut after: BTreeMap<String, SessionSecret> =
            self.secrets_of(session).map(|(name, secret)| (name.clone(), secret.clone())).collect();
        for name in &remove {
            after.remove(name);
        }
        let added = put.into_iter().filter_map(|secret| after.insert(secret.name.clone(), secret).is_none().then_some(())).count();
        check_session_secrets(after.len())?;
        self.secrets.retain(|(owner, _), _| *owner != session);
        self.secrets.extend(after.into_iter().map(|(name, secret)| ((session, name), secret)));
        Ok(added as u64)
    }

    fn secrets_of(&self, session: SessionId) -> impl Iterator<Item = (&String, &SessionSecret)> {
        self.secrets.iter().filter(move |((owner, _), _)| *owner == session).map(|((_, name), secret)| (name, secret))
    }
}

#[async_trait]
impl ConnectionStore for MemoryStore {
    async fn put_connection(&self, org: OrgId, connection: Connection) -> StoreResult<u64> {
        self.write(org, |tenant| tenant.connections.put(connection))
    }

    async fn update_connection(&self, org: OrgId, connection: Connection) -> StoreResult<()> {
        self.write(org, |tenant| tenant.connections.update(connection))
    }

    async fn get_connection(&self, org: OrgId, subject: &str, provider: &str) -> StoreResult<Option<Connection>> {
        Ok(self.read(org, |tenant| tenant.connections.connections.get(&key(subject, provider)).cloned()))
    }

    async fn list_connections(&self, org: OrgId, subject: &str) -> StoreResult<Vec<Connection>> {
        let of_user = |connection: &&Connection| connection.subject == subject;
        Ok(self.read(org, |tenant| tenant.connections.connections.values().filter(of_user).cloned().collect()))
    }

    async fn remove_connection(&self, org: OrgId, subject: &str, provider: &str) -> StoreResult<bool> {
        Ok(self.write(org, |tenant| tenant.connections.connections.remove(&key(subject, provider)).is_some()))
    }

    async fn add_authorization(&self, org: OrgId, authorization: Authorization, now: Timestamp) -> StoreResult<()> {
        self.write(org, |tenant| tenant.connections.add(authorization, now))
    }

    async fn take_authorization(&self, org: OrgId, state_hash: &[u8; 32]) -> StoreResult<Option<Authorization>> {
        Ok(self.write(org, |tenant| {
            let authorizations = &mut tenant.connections.authorizations;
            let at = authorizations.iter().position(|authorization| authorization.state_hash == *state_hash)?;
            Some(authorizations.remove(at))
        }))
    }

    async fn change_session_secrets(&self, org: OrgId, session: SessionId, changes: SecretChanges) -> StoreResult<u64> {
        self.write(org, |tenant| {
            if !tenant.sessions.table.contains(session) {
                return Err(StoreError::NotFound { what: "session", id: session.to_string() });
            }
            tenant.connections.change_secrets(session, changes)
        })
    }

    async fn get_session_secret(&self, org: OrgId, session: SessionId, name: &str) -> StoreResult<Option<SessionSecret>> {
        Ok(self.read(org, |tenant| tenant.connections.secrets.get(&(session, name.to_owned())).cloned()))
    }

    async fn list_session_secrets(&self, org: OrgId, session: SessionId) -> StoreResult<Vec<String>> {
        Ok(self.read(org, |tenant| tenant.connections.secrets_of(session).map(|(name, _)| name.clone()).collect()))
    }

    async fn sealed_connections(&self, after: Option<(OrgId, String, String)>, limit: u32) -> StoreResult<Vec<(OrgId, Connection)>> {
        let state = self.lock();
        let all = state.tenants.iter().flat_map(|(&org, tenant)| tenant.connections.connections.values().map(move |found| (org, found)));
        let position = |(org, found): &(OrgId, &Connection)| (*org, found.subject.clone(), found.provider.clone());
        let behind = all.filter(|found| after.as_ref().is_none_or(|after| position(found) > *after));
        Ok(behind.take(limit as usize).map(|(org, found)| (org, found.clone())).collect())
    }

    async fn sealed_session_secrets(
        &self,
        after: Option<(OrgId, SessionId, String)>,
        limit: u32,
    ) -> StoreResult<Vec<(OrgId, SessionSecret)>> {
        let state = self.lock();
        let all = state.tenants.iter().flat_map(|(&org, tenant)| tenant.connections.secrets.values().map(move |found| (org, found)));
        let position = |(org, found): &(OrgId, &SessionSecret)| (*org, found.session, found.name.clone());
        let behind = all.filter(|found| after.as_ref().is_none_or(|after| position(found) > *after));
        Ok(behind.take(limit as usize).map(|(org, found)| (org, found.clone())).collect())
    }

    async fn swap_session_secret(&self, org: OrgId, old: &SessionSecret, new: SessionSecret) -> StoreResult<bool> {
        Ok(self.write(org, |tenant| match tenant.connections.secrets.get_mut(&(old.session, old.name.clone())) {
            Some(stored) if stored == old => {
                *stored = new;
                true
            }
            _ => false,
        }))
    }
}
