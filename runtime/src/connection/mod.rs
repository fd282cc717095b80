//! Connections: accounts of users at third parties, which tools use on behalf of the user.
//!
//! A [`ConnectionProvider`] says how an account at one third party is connected; [`Connections`]
//! connects, keeps, refreshes and hands out. Credentials are sealed at rest, bound to org, user
//! and provider, and appear in no event, log line or error.
//!
//! Deliberately not here: who the user is. Callers say so, and sessions belong to whoever made
//! them.

mod desk;
mod egress;
mod error;
mod form;
mod generic;
#[cfg_attr(not(feature = "oauth"), expect(dead_code, reason = "nothing is exchanged without the protocol"))]
mod oauth;
mod record;
mod refresh;
mod registry;

use std::sync::LazyLock;

use async_trait::async_trait;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use desk::{Authorized, Connections, MAX_AUTHORIZATION_SECONDS, Pending};
pub use egress::ConnectionEgress;
#[cfg(feature = "sandbox")]
pub(crate) use egress::host_of;
pub use error::ConnectionError;
pub use form::{ConnectionFormField, ConnectionFormSchema, FieldType, FormProblem, TOKEN_FIELD};
#[cfg(feature = "sandbox")]
pub(crate) use generic::MAX_USERNAME_BYTES;
pub use generic::{CredentialCheck, GenericConnectionProvider};
pub use oauth::{ClientAuthentication, OAuthSettings};
pub use record::{Authorization, Connection, ConnectionCredential, ConnectionStatus, SessionSecret};
pub use refresh::Refreshes;
pub use registry::{ConnectionProviderRegistry, ConnectionProviderSource};

use crate::error::Error;
use crate::id::{OrgId, SessionId};

/// Further facts about an account, in bytes as JSON.
pub const MAX_METADATA_BYTES: usize = 4 << 10;

/// How accounts are connected, as a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ConnectionType {
    /// The third party asks the user.
    #[serde(rename = "oauth")]
    OAuth,
    /// The user fills in a form.
    #[serde(rename = "api_key")]
    ApiKey,
}

/// How accounts are connected.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionMethod {
    /// The user fills in a form, of which the field [`TOKEN_FIELD`] is the credential.
    ApiKey(ConnectionFormSchema),
    /// The third party asks the user: OAuth 2 with an authorization code and PKCE.
    #[serde(rename = "oauth")]
    OAuth(Box<OAuthSettings>),
}

/// What a provider found out about an account.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ConnectionValidation {
    /// Name of the account at the third party, for people; at most 256 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_username: Option<String>,
    /// Further facts, none of them secret; at most 4 KiB as JSON.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub provider_metadata: Map<String, Value>,
}

/// Why a provider does not accept credentials. No text may hold any of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValidationError {
    /// The third party refuses them; a sentence for the user.
    #[error("{0}")]
    Refused(String),
    /// It cannot be found out right now; a sentence for the user.
    #[error("{0}")]
    Unavailable(String),
}

static API_KEY_FORM: LazyLock<ConnectionMethod> = LazyLock::new(|| ConnectionMethod::ApiKey(ConnectionFormSchema::api_key("API key")));

/// Says how users connect their accounts at one third party.
#[async_trait]
pub trait ConnectionProvider: Send + Sync {
    /// Id: `[a-z0-9]+([-_][a-z0-9]+)*`, lower case, at most 64 bytes.
    fn id(&self) -> &str;

    /// Name for people.
    fn name(&self) -> &str;

    /// What it is for.
    fn description(&self) -> &str {
        ""
    }

    /// Word for an icon, for user interfaces.
    fn icon(&self) -> &str {
        "plug"
    }

    /// The hosts that credentials may be sent to: exact names in lower case or `*.example.com`,
    /// with an optional `:port`; without one, https on port 443. None may be if there are none.
    fn hosts(&self) -> &[String] {
        &[]
    }

    /// How accounts are connected. Default: a form with an API key.
    fn method(&self) -> &ConnectionMethod {
        &API_KEY_FORM
    }

    /// Finds out whether credentials work. Called before they are stored, and when the user wants
    /// to know. Default: accepts them unseen.
    ///
    /// # Errors
    /// See [`ValidationError`].
    async fn validate(
        &self,
        _egress: &ConnectionEgress<'_>,
        _credential: &ConnectionCredential,
    ) -> Result<ConnectionValidation, ValidationError> {
        Ok(ConnectionValidation::default())
    }
}

impl ConnectionMethod {
    /// Its word.
    pub fn connection_type(&self) -> ConnectionType {
        match self {
            Self::ApiKey(_) => ConnectionType::ApiKey,
            Self::OAuth(_) => ConnectionType::OAuth,
        }
    }
}

/// Name of the session secret that goes before the user's connection: `GITHUB_API_KEY` for a
/// provider `github`.
pub fn session_secret_name(provider: &str) -> String {
    format!("{}_API_KEY", provider.to_uppercase().replace('-', "_"))
}

/// Finds the credentials that tools use on behalf of a session's owner.
#[async_trait]
pub trait UserConnectionResolver: Send + Sync {
    /// The credential for a provider, fresh enough to be used now; none if the user has to
    /// connect first.
    ///
    /// # Errors
    /// Those of the stores; `Unavailable` if a credential that is there cannot be refreshed right
    /// now; `Invalid` if there is no such provider.
    async fn connection(&self, org: OrgId, session: SessionId, provider: &str) -> Result<Option<ConnectionCredential>, Error>;

    /// Hosts that credentials of a provider may be sent to.
    ///
    /// # Errors
    /// As for [`Self::connection`].
    async fn hosts(&self, org: OrgId, provider: &str) -> Result<Vec<String>, Error>;
}

/// A credential that consists of a token alone.
impl From<SecretString> for ConnectionCredential {
    fn from(token: SecretString) -> Self {
        Self { token, fields: Default::default() }
    }
}
