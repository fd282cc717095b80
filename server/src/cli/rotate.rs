//! `everwit db rotate-keys`: encrypts all stored credentials with the current master key.

use everwit_runtime::connection::Connection;
use everwit_runtime::id::{OrgId, ProviderId};
use everwit_runtime::provider::Provider;
use everwit_runtime::secret::Cipher;
use everwit_runtime::store::{ConnectionStore, RuntimeProviderStore, SecretStore, StoreError};

use super::output::{Failure, note, print};
use crate::data_dir::DataDir;
use crate::database::{COMMAND_CONNECTIONS, Database, DatabaseConfig};
use crate::encryption::{EncryptionArgs, KeySource, MasterKeys};

/// Rows of one step of a rotation.
const ROWS_PER_STEP: u32 = 100;
/// How often a row is read again because somebody changed it at the same time.
const MAX_RACES: u32 = 10;

/// See `everwit db rotate-keys`.
pub(super) async fn rotate_keys(dir: &DataDir, config: &DatabaseConfig, encryption: &EncryptionArgs, json: bool) -> Result<(), Failure> {
    let mut keys = MasterKeys::load(encryption, dir)?;
    // A running server would not know the new key of the file.
    let in_file = keys.source() == KeySource::File;
    let _lock = if in_file { Some(dir.lock()?) } else { None };
    if in_file {
        keys.begin_rotation()?;
    }
    let cipher = keys.cipher()?;
    let database = Database::open(dir, config, COMMAND_CONNECTIONS).await?;
    let stores = database.backends();
    let mut done = Progress::default();
    reseal_providers(stores.provider_store.as_ref(), &cipher, &mut done).await?;
    reseal_connections(stores.connection_store.as_ref(), &cipher, &mut done).await?;
    reseal_session_secrets(stores.connection_store.as_ref(), &cipher, &mut done).await?;
    reseal_org_secrets(stores.secret_store.as_ref(), &cipher, &mut done).await?;
    database.close().await?;
    if in_file {
        keys.finish_rotation()?;
    }
    if json {
        return print(&serde_json::json!({ "examined": done.examined, "encrypted_again": done.resealed }).to_string());
    }
    print(&format!("{} rows with credentials, {} of them encrypted again", done.examined, done.resealed))
}

/// How far a rotation is.
#[derive(Debug, Default, Clone, Copy)]
struct Progress {
    examined: u64,
    resealed: u64,
}

impl Progress {
    fn row(&mut self, resealed: bool) {
        self.examined += 1;
        self.resealed += u64::from(resealed);
    }

    fn tell(&self, what: &str) {
        note(&format!("{what}: {} rows examined in all, {} encrypted again", self.examined, self.resealed));
    }
}

async fn reseal_providers(store: &dyn RuntimeProviderStore, cipher: &Cipher, progress: &mut Progress) -> Result<(), Failure> {
    let mut after = None::<(OrgId, ProviderId)>;
    loop {
        let rows = store.sealed_providers(after, ROWS_PER_STEP).await?;
        let Some((org, last)) = rows.last() else { return Ok(()) };
        after = Some((*org, last.id));
        for (org, provider) in rows {
            progress.row(reseal(store, cipher, org, provider).await?);
        }
        progress.tell("providers");
    }
}

async fn reseal_connections(store: &dyn ConnectionStore, cipher: &Cipher, progress: &mut Progress) -> Result<(), Failure> {
    let mut after = None;
    loop {
        let rows = store.sealed_connections(after, ROWS_PER_STEP).await?;
        let Some((org, last)) = rows.last() else { return Ok(()) };
        after = Some((*org, last.subject.clone(), last.provider.clone()));
        for (org, connection) in rows {
            progress.row(reseal_connection(store, cipher, org, connection).await?);
        }
        progress.tell("connections");
    }
}

/// As [`reseal`].
async fn reseal_connection(store: &dyn ConnectionStore, cipher: &Cipher, org: OrgId, connection: Connection) -> Result<bool, Failure> {
    let (subject, provider) = (connection.subject.clone(), connection.provider.clone());
    let mut current = Some(connection);
    for _ in 0..MAX_RACES {
        let Some(mut connection) = current else { return Ok(false) };
        let resealed = connection.reseal(cipher, org).await;
        if !resealed.map_err(|error| Failure::failed(format!("the connection with {provider} of {subject:?} of {org}: {error}")))? {
            return Ok(false);
        }
        connection.version += 1;
        match store.update_connection(org, connection).await {
            Ok(()) => return Ok(true),
            Err(StoreError::Stale { .. } | StoreError::NotFound { .. }) => {
                current = store.get_connection(org, &subject, &provider).await?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(Failure::failed(format!("the connection with {provider} of {subject:?} of {org} is changed all the time; try again")))
}

async fn reseal_session_secrets(store: &dyn ConnectionStore, cipher: &Cipher, progress: &mut Progress) -> Result<(), Failure> {
    let mut after = None;
    loop {
        let rows = store.sealed_session_secrets(after, ROWS_PER_STEP).await?;
        let Some((org, last)) = rows.last() else { return Ok(()) };
        after = Some((*org, last.session, last.name.clone()));
        for (org, old) in rows {
            let mut new = old.clone();
            let failed = |error| Failure::failed(format!("secret {} of {} of {org}: {error}", old.name, old.session));
            // One that was replaced in the meantime has the current key already.
            let resealed = new.reseal(cipher, org).await.map_err(failed)? && store.swap_session_secret(org, &old, new).await?;
            progress.row(resealed);
        }
        progress.tell("session secrets");
    }
}

async fn reseal_org_secrets(store: &dyn SecretStore, cipher: &Cipher, progress: &mut Progress) -> Result<(), Failure> {
    let mut after = None;
    loop {
        let rows = store.sealed_secrets(after, ROWS_PER_STEP).await?;
        let Some((org, last)) = rows.last() else { return Ok(()) };
        after = Some((*org, last.name.clone()));
        for (org, old) in rows {
            let mut new = old.clone();
            let failed = |error| Failure::failed(format!("secret {} of {org}: {error}", old.name));
            // One that was replaced in the meantime has the current key already.
            let resealed = new.reseal(cipher, org).await.map_err(failed)? && store.swap_secret(org, &old, new).await?;
            progress.row(resealed);
        }
        progress.tell("secrets of orgs");
    }
}

/// Encrypts the credentials of one provider again, whatever others do to it at the same time;
/// says whether that was needed.
async fn reseal(store: &dyn RuntimeProviderStore, cipher: &Cipher, org: OrgId, provider: Provider) -> Result<bool, Failure> {
    let id = provider.id;
    let mut current = Some(provider);
    for _ in 0..MAX_RACES {
        let Some(mut provider) = current else { return Ok(false) };
        let resealed = provider.reseal(cipher, org).await.map_err(|error| Failure::failed(format!("{id} of {org}: {error}")))?;
        if !resealed {
            return Ok(false);
        }
        provider.version += 1;
        match store.update_provider(org, provider).await {
            Ok(()) => return Ok(true),
            Err(StoreError::Stale { .. } | StoreError::NotFound { .. }) => current = store.get_provider(org, id).await?,
            Err(error) => return Err(error.into()),
        }
    }
    Err(Failure::failed(format!("{id} of {org} is changed all the time; try again")))
}
