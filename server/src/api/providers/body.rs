//! Providers as they are sent and answered. Credentials come in and never go out.

use everwit_runtime::driver::{DriverId, ProviderMetadata};
use everwit_runtime::id::ProviderId;
use everwit_runtime::provider::{Provider, ProviderStatus};
use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::api::check::Unsupported;
use crate::api::extract::{given, present};

/// A new provider.
#[derive(Deserialize, ToSchema)]
#[schema(as = CreateProviderRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateProvider {
    /// Name for people, unique in the org: 1 to 64 bytes.
    #[schema(example = "OpenAI, team account")]
    pub(super) name: String,
    /// Id of the driver that speaks to it, lower-cased; it need not be registered yet.
    #[schema(value_type = String, example = "openai")]
    pub(super) provider_type: DriverId,
    /// Base URL; the driver's own if absent.
    #[schema(example = "https://api.example.com/v1")]
    pub(super) base_url: Option<String>,
    /// API key; write-only.
    #[schema(value_type = Option<String>, write_only)]
    pub(super) api_key: Option<SecretString>,
    /// Further credentials; write-only.
    #[schema(write_only)]
    pub(super) provider_metadata: Option<MetadataInput>,
    /// Whether its models can be used.
    pub(super) status: Option<ProviderStatus>,
    #[serde(default)]
    #[schema(ignore)]
    pub(super) credentials: Unsupported,
    #[serde(default)]
    #[schema(ignore)]
    pub(super) trace: Unsupported,
}

/// Credentials beside the API key, for drivers that authenticate otherwise.
#[derive(Deserialize, ToSchema)]
#[schema(as = ProviderMetadata)]
#[serde(deny_unknown_fields)]
pub(crate) struct MetadataInput {
    /// OAuth refresh token.
    #[schema(value_type = Option<String>)]
    refresh_token: Option<SecretString>,
    /// Account or organization id at the vendor.
    account_id: Option<String>,
    /// Vendor-specific values.
    #[schema(value_type = Option<Object>)]
    extra: Option<Map<String, Value>>,
}

impl From<MetadataInput> for ProviderMetadata {
    fn from(input: MetadataInput) -> Self {
        Self { refresh_token: input.refresh_token, account_id: input.account_id, extra: input.extra.map(Value::Object) }
    }
}

/// What to change of a provider: absent fields stay, null clears. Credentials do not follow a
/// provider to another driver or base URL: whoever changes these sends the credentials again, or
/// null.
#[derive(Deserialize, ToSchema)]
#[schema(as = UpdateProviderRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateProvider {
    /// Name for people.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = String, required = false)]
    pub(super) name: Option<String>,
    /// Id of the driver.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = String, required = false)]
    pub(super) provider_type: Option<DriverId>,
    /// Base URL.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    pub(super) base_url: Option<Option<String>>,
    /// API key; write-only.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, write_only)]
    pub(super) api_key: Option<Option<SecretString>>,
    /// Further credentials, all of them; write-only.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<MetadataInput>, write_only)]
    pub(super) provider_metadata: Option<Option<MetadataInput>>,
    /// Whether its models can be used.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = ProviderStatus, required = false)]
    pub(super) status: Option<ProviderStatus>,
}

/// A provider.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Provider)]
pub(crate) struct ProviderBody {
    /// Id.
    id: ProviderId,
    /// Name for people.
    name: String,
    /// Id of its driver.
    #[schema(value_type = String)]
    provider_type: DriverId,
    /// Whether this server has that driver; without it, turns with its models fail.
    driver_registered: bool,
    /// Base URL; the driver's own if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    base_url: Option<String>,
    /// Whether it has an API key.
    api_key_set: bool,
    /// Whether it has further credentials.
    provider_metadata_set: bool,
    /// Whether its models can be used.
    status: ProviderStatus,
    /// When it was created.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl ProviderBody {
    pub(super) fn new(driver_registered: bool, provider: Provider) -> Self {
        Self {
            id: provider.id,
            name: provider.name,
            driver_registered,
            provider_type: provider.provider_type,
            base_url: provider.base_url,
            api_key_set: provider.api_key.is_some(),
            provider_metadata_set: provider.provider_metadata.is_some(),
            status: provider.status,
            created_at: provider.created_at,
            updated_at: provider.updated_at,
        }
    }
}
