//! Providers, which are accounts at model vendors, and the models that they have.

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::driver::{DriverId, ProviderMetadata, ResolvedModel};
use crate::id::{ModelId, OrgId, ProviderId};
use crate::secret::{Cipher, Place, Sealed, SecretError};

/// Whether the models of a provider can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ProviderStatus {
    /// They can.
    Active,
    /// They cannot; turns that want one of them fail with an explanation.
    Disabled,
}

/// A configured account at a model vendor. Its credentials are sealed: only a [`Cipher`] with the
/// installation's key opens them, see [`Credentials::open`]. Of the base URL, which can hold some as
/// well, its `Debug` shows the origin.
#[derive(Clone, PartialEq)]
pub struct Provider {
    /// Id.
    pub id: ProviderId,
    /// Name for people, unique in the org: 1 to 64 bytes.
    pub name: String,
    /// The driver that speaks to it; it need not be registered.
    pub provider_type: DriverId,
    /// Base URL without a slash at its end; none means the driver's own.
    pub base_url: Option<String>,
    /// Whether its models can be used.
    pub status: ProviderStatus,
    /// The API key.
    pub api_key: Option<Sealed>,
    /// Further credentials: [`ProviderMetadata`] as JSON.
    pub provider_metadata: Option<Sealed>,
    /// Grows by one with each change; the resource's ETag.
    pub version: u64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// Where the org knows a model from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ModelSource {
    /// Somebody of the org added it.
    Manual,
    /// The provider listed it.
    Discovered,
    /// The platform seeded it.
    Predefined,
}

/// A model at a provider.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Id.
    pub id: ModelId,
    /// The provider that has it.
    pub provider_id: ProviderId,
    /// Name as the vendor spells it, unique at the provider: 1 to 256 bytes.
    pub model_id: String,
    /// Name for people.
    pub display_name: String,
    /// What it can do, in the words of whoever added it, for example "vision".
    pub capabilities: Vec<String>,
    /// What is known of it: limits, prices, modalities. Free-form.
    pub profile: Map<String, Value>,
    /// Whether it can be used; turns that want a disabled one fail with an explanation.
    pub enabled: bool,
    /// Whether lists show it first.
    pub is_favorite: bool,
    /// Whether it is the model of sessions that name none; at most one of an org is.
    pub is_default: bool,
    /// Where the org knows it from.
    pub source: ModelSource,
    /// Whether the provider's list had it once and has it no more.
    pub stale: bool,
    /// Grows by one with each change; the resource's ETag.
    pub version: u64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// The credentials of a provider in the clear. Its `Debug` shows none.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// API key.
    pub api_key: Option<SecretString>,
    /// Further credentials.
    pub metadata: Option<ProviderMetadata>,
}

/// [`ProviderMetadata`] as it is sealed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MetadataText {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    account_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    extra: Option<Value>,
}

impl Credentials {
    /// Opens the credentials of a provider.
    ///
    /// # Errors
    /// If the master key is missing, or a value was changed or moved.
    pub async fn open(cipher: &Cipher, org: OrgId, provider: &Provider) -> Result<Self, SecretError> {
        let open = async |sealed: &Option<Sealed>, place: Place<'static>| match sealed {
            Some(sealed) => cipher.open(sealed, &place).await.map(Some),
            None => Ok(None),
        };
        let metadata = match open(&provider.provider_metadata, metadata_place(org, provider.id)).await? {
            Some(text) => Some(parse_metadata(&text).ok_or_else(|| broken(&provider.provider_metadata))?),
            None => None,
        };
        Ok(Self { api_key: open(&provider.api_key, api_key_place(org, provider.id)).await?, metadata })
    }
}

impl Provider {
    /// Seals an API key into it; none clears it.
    ///
    /// # Errors
    /// If the system gives no randomness.
    pub async fn set_api_key(&mut self, cipher: &Cipher, org: OrgId, api_key: Option<&SecretString>) -> Result<(), SecretError> {
        self.api_key = match api_key {
            Some(key) => Some(cipher.seal(key, &api_key_place(org, self.id)).await?),
            None => None,
        };
        Ok(())
    }

    /// Seals further credentials into it; none, and those without any value, clear them.
    ///
    /// # Errors
    /// If the system gives no randomness.
    pub async fn set_metadata(&mut self, cipher: &Cipher, org: OrgId, metadata: Option<&ProviderMetadata>) -> Result<(), SecretError> {
        let says_something =
            |metadata: &&ProviderMetadata| metadata.refresh_token.is_some() || metadata.account_id.is_some() || metadata.extra.is_some();
        let place = metadata_place(org, self.id);
        self.provider_metadata = match metadata.filter(says_something) {
            Some(metadata) => Some(cipher.seal(&metadata_text(metadata), &place).await?),
            None => None,
        };
        Ok(())
    }

    /// Seals its credentials again with the current master key; says whether any of them was
    /// sealed with another one.
    ///
    /// # Errors
    /// If a credential does not open.
    pub async fn reseal(&mut self, cipher: &Cipher, org: OrgId) -> Result<bool, SecretError> {
        let mut changed = false;
        for (sealed, place) in
            [(&mut self.api_key, api_key_place(org, self.id)), (&mut self.provider_metadata, metadata_place(org, self.id))]
        {
            if let Some(old) = sealed
                && !cipher.is_current(old)?
            {
                *old = cipher.seal(&cipher.open(old, &place).await?, &place).await?;
                changed = true;
            }
        }
        Ok(changed)
    }

    /// What is needed to call a model of it.
    ///
    /// # Errors
    /// If its credentials do not open.
    pub async fn resolve(&self, cipher: &Cipher, org: OrgId, model: &str) -> Result<ResolvedModel, SecretError> {
        let credentials = Credentials::open(cipher, org, self).await?;
        Ok(ResolvedModel {
            model: model.to_owned(),
            provider_type: self.provider_type.clone(),
            api_key: credentials.api_key,
            base_url: self.base_url.clone(),
            provider_metadata: credentials.metadata,
        })
    }
}

fn api_key_place(org: OrgId, id: ProviderId) -> Place<'static> {
    Place { org, field: "provider.api_key", row: id.uuid() }
}

fn metadata_place(org: OrgId, id: ProviderId) -> Place<'static> {
    Place { org, field: "provider.metadata", row: id.uuid() }
}

fn metadata_text(metadata: &ProviderMetadata) -> SecretString {
    let refresh_token = metadata.refresh_token.as_ref().map(|token| token.expose_secret().to_owned());
    let text = MetadataText { refresh_token, account_id: metadata.account_id.clone(), extra: metadata.extra.clone() };
    serde_json::to_string(&text).expect("metadata has only string keys").into()
}

fn parse_metadata(text: &SecretString) -> Option<ProviderMetadata> {
    let text: MetadataText = serde_json::from_str(text.expose_secret()).ok()?;
    Some(ProviderMetadata { refresh_token: text.refresh_token.map(Into::into), account_id: text.account_id, extra: text.extra })
}

fn broken(sealed: &Option<Sealed>) -> SecretError {
    SecretError::Broken { key_id: sealed.as_ref().map(|sealed| sealed.key_id().to_owned()).unwrap_or_default() }
}
