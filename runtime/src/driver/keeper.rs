//! Keeps refresh tokens that a vendor has replaced.

use std::sync::Arc;

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};

use super::ProviderMetadata;
use crate::error::Error;
use crate::id::{OrgId, ProviderId};
use crate::provider::{Credentials, Provider};
use crate::secret::Cipher;
use crate::store::{RuntimeBackends, RuntimeProviderStore, StoreError};

/// How often an update is tried that others get in the way of.
const MAX_TRIES: u32 = 8;

/// Where the refresh tokens of providers are kept.
#[async_trait]
pub trait TokenKeeper: Send + Sync {
    /// Replaces a provider's refresh token, if it still is the old one. Called once for each new
    /// token; the old one is of no use any more.
    ///
    /// # Errors
    /// If the new one is not kept. The completion goes on; the next process has to sign in again.
    async fn replace(&self, org: OrgId, provider: ProviderId, old: &SecretString, new: &SecretString) -> Result<(), Error>;
}

/// Keeps them where providers are stored, sealed as they were.
pub struct StoredTokens {
    store: Arc<dyn RuntimeProviderStore>,
    cipher: Arc<Cipher>,
}

impl StoredTokens {
    /// A keeper over the stores of a runtime.
    pub fn new(backends: &RuntimeBackends) -> Self {
        Self { store: backends.provider_store.clone(), cipher: backends.cipher.clone() }
    }
}

#[async_trait]
impl TokenKeeper for StoredTokens {
    async fn replace(&self, org: OrgId, provider: ProviderId, old: &SecretString, new: &SecretString) -> Result<(), Error> {
        for _ in 0..MAX_TRIES {
            let Some(stored) = self.store.get_provider(org, provider).await? else { return Ok(()) };
            let metadata = Credentials::open(&self.cipher, org, &stored).await?.metadata.unwrap_or_default();
            let kept = metadata.refresh_token.as_ref().map(|token| token.expose_secret());
            // Somebody has set another token since: theirs is newer.
            if kept != Some(old.expose_secret()) {
                return Ok(());
            }
            let metadata = ProviderMetadata { refresh_token: Some(new.clone()), ..metadata };
            let mut changed = Provider { version: stored.version + 1, ..stored };
            changed.set_metadata(&self.cipher, org, Some(&metadata)).await?;
            match self.store.update_provider(org, changed).await {
                Err(StoreError::Stale { .. }) => {}
                done => return Ok(done?),
            }
        }
        Err(Error::Internal(format!("{provider} was changed {MAX_TRIES} times while its refresh token was being replaced")))
    }
}
