//! What a driver is made from: credentials and the place to use them.

use secrecy::SecretString;
use serde_json::Value;

use super::DriverId;

/// Credentials beside the API key. Its `Debug` shows no value.
#[derive(Clone, Default)]
pub struct ProviderMetadata {
    /// OAuth refresh token.
    pub refresh_token: Option<SecretString>,
    /// Account or organization id at the vendor.
    pub account_id: Option<String>,
    /// Vendor-specific values; treated as secret.
    pub extra: Option<Value>,
}

/// Everything that a driver is made from, and the only way in for credentials. Its `Debug` shows
/// none.
#[derive(Clone, Default)]
pub struct DriverConfig {
    /// API key.
    pub api_key: Option<SecretString>,
    /// Base URL without a trailing slash.
    pub base_url: Option<String>,
    /// Further credentials.
    pub metadata: Option<ProviderMetadata>,
}

/// A model, resolved to what is needed to call it. Its `Debug` shows no credential.
#[derive(Clone)]
pub struct ResolvedModel {
    /// Model name as the vendor spells it.
    pub model: String,
    /// Driver.
    pub provider_type: DriverId,
    /// API key.
    pub api_key: Option<SecretString>,
    /// Base URL.
    pub base_url: Option<String>,
    /// Further credentials.
    pub provider_metadata: Option<ProviderMetadata>,
}

impl ResolvedModel {
    /// The part of it that the driver is made from.
    pub fn driver_config(&self) -> DriverConfig {
        DriverConfig { api_key: self.api_key.clone(), base_url: self.base_url.clone(), metadata: self.provider_metadata.clone() }
    }
}
