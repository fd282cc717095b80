//! Connections as they are sent and answered. Credentials come in and never go out.

use everwit_runtime::connection::{
    Connection, ConnectionFormSchema, ConnectionMethod, ConnectionProvider, ConnectionStatus, ConnectionType,
};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// A connection of the caller.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Connection)]
pub(crate) struct ConnectionBody {
    /// Id of the provider.
    provider: String,
    /// How it was connected.
    connection_type: ConnectionType,
    /// Whether it can be used.
    status: ConnectionStatus,
    /// Name of the account at the third party.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_username: Option<String>,
    /// Further facts about it.
    #[serde(skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object, required = false)]
    provider_metadata: Map<String, Value>,
    /// What the caller allowed, in the third party's words, joined by spaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    scopes: Option<String>,
    /// When the access token ends; it is refreshed before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// When the caller connected.
    #[schema(value_type = String, format = DateTime)]
    connected_at: Timestamp,
}

impl From<Connection> for ConnectionBody {
    fn from(connection: Connection) -> Self {
        Self {
            provider: connection.provider,
            connection_type: connection.connection_type,
            status: connection.status,
            provider_username: connection.provider_username,
            provider_metadata: connection.provider_metadata,
            scopes: (!connection.scopes.is_empty()).then(|| connection.scopes.join(" ")),
            expires_at: connection.expires_at,
            connected_at: connection.connected_at,
        }
    }
}

/// Somebody to connect with.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ConnectionProvider)]
pub(crate) struct ConnectionProviderBody {
    /// Id.
    pub(super) provider_id: String,
    /// Name for people.
    display_name: String,
    /// What it is for.
    description: String,
    /// Word for an icon.
    icon: String,
    /// How accounts are connected.
    connection_type: ConnectionType,
    /// The form to fill in, if accounts are connected with one.
    #[serde(skip_serializing_if = "Option::is_none")]
    form_schema: Option<ConnectionFormSchema>,
    /// Hosts that credentials are sent to.
    hosts: Vec<String>,
}

impl From<&dyn ConnectionProvider> for ConnectionProviderBody {
    fn from(provider: &dyn ConnectionProvider) -> Self {
        let method = provider.method();
        Self {
            provider_id: provider.id().to_owned(),
            display_name: provider.name().to_owned(),
            description: provider.description().to_owned(),
            icon: provider.icon().to_owned(),
            connection_type: method.connection_type(),
            form_schema: match method {
                ConnectionMethod::ApiKey(form) => Some(form.clone()),
                ConnectionMethod::OAuth(_) => None,
            },
            hosts: provider.hosts().to_vec(),
        }
    }
}

/// Whether a connection works.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = VerifyConnectionResponse)]
pub(crate) struct Verified {
    /// Whether it does.
    pub(super) valid: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
}

/// Where to send the caller's browser.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ConnectionAuthorization)]
pub(crate) struct AuthorizationBody {
    /// URL at the third party.
    pub(super) authorization_url: String,
    /// Until when the third party's answer counts.
    #[schema(value_type = String, format = DateTime)]
    pub(super) expires_at: Timestamp,
}
