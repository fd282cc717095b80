//! What a component says about itself; the JSON form of `everwit:capability/describe`, of
//! `everwit:driver/meta` and of `everwit:connection/meta`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::connection::ConnectionFormSchema;

/// What a component implements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ComponentKind {
    /// Tools and prompt contributions.
    Capability,
    /// A model driver.
    Driver,
    /// A connection provider.
    ConnectionProvider,
}

impl ComponentKind {
    /// Its text form.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Capability => "capability",
            Self::Driver => "driver",
            Self::ConnectionProvider => "connection-provider",
        }
    }
}

/// The description of a component. As canonical JSON it is the component's custom section
/// `everwit:description`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct ComponentDescription {
    /// Id of the capability, driver or connection provider: `[a-z0-9]+(-[a-z0-9]+)*`, at most 64 bytes.
    pub id: String,
    /// Human-readable name.
    pub title: String,
    /// The author's semantic version.
    pub version: String,
    /// What it is for.
    pub summary: String,
    /// Addition to the system prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// JSON Schema of the configuration, or of the options of a driver's requests; `{}` accepts
    /// anything.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub config_schema: Value,
    /// Its tools; only capabilities have any.
    #[serde(default)]
    pub tools: Vec<ToolDescription>,
    /// What only drivers have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<DriverDescription>,
    /// What only connection providers have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<ConnectionDescription>,
    /// Ids of capabilities that it needs beside it.
    #[serde(default)]
    pub dependencies: Vec<String>,
    /// Flags for user interfaces.
    #[serde(default)]
    pub features: Vec<String>,
    /// What it asks for.
    #[serde(default)]
    pub permissions: Permissions,
    /// Values that this version of the contract does not name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extra: Vec<(String, String)>,
}

impl ComponentDescription {
    /// What the component implements.
    pub fn kind(&self) -> ComponentKind {
        match (&self.driver, &self.connection) {
            (Some(_), _) => ComponentKind::Driver,
            (None, Some(_)) => ComponentKind::ConnectionProvider,
            (None, None) => ComponentKind::Capability,
        }
    }
}

/// What a model driver says beyond what every component says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct DriverDescription {
    /// Credentials that the host puts into requests, and where.
    #[serde(default)]
    pub credentials: Vec<CredentialPlace>,
    /// Base URL if a provider configures none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_base_url: Option<String>,
    /// Models known without asking.
    #[serde(default)]
    pub models: Vec<DriverModel>,
}

/// What a connection provider says beyond what every component says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ConnectionDescription {
    /// Word for an icon.
    #[serde(default)]
    pub icon: String,
    /// Where credentials may be sent: scheme, host and perhaps a port.
    pub origin: String,
    /// How accounts are connected.
    pub method: ConnectionMethodDescription,
    /// What of a credential the host puts into the request, and where.
    #[serde(default)]
    pub credentials: Vec<CredentialPlace>,
}

/// How accounts are connected, as a component says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ConnectionMethodDescription {
    /// The user fills in a form.
    ApiKey(ConnectionFormSchema),
    /// The third party asks the user.
    #[serde(rename = "oauth")]
    OAuth(OAuthDescription),
}

/// OAuth 2 with an authorization code and PKCE, as a public client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct OAuthDescription {
    /// Where the user's browser is sent.
    pub authorize_url: String,
    /// Where codes and refresh tokens are exchanged.
    pub token_url: String,
    /// Id of the client at the third party.
    pub client_id: String,
    /// What the user is asked to allow.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Further parameters of the authorization URL.
    #[serde(default)]
    pub authorize_parameters: Vec<(String, String)>,
}

/// Names of the credentials that a provider can have.
pub const CREDENTIALS: [&str; 3] = ["api-key", "refresh-token", "account-id"];

/// A credential of a provider or of a connection, and a place in which the host puts it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CredentialPlace {
    /// Of a provider: "api-key", "refresh-token" or "account-id"; of a connection: "token", or the
    /// name of another field of its form.
    pub name: String,
    /// Human-readable title.
    #[serde(default)]
    pub title: String,
    /// `header:<name>`, `query:<name>` or `body`.
    pub place: String,
    /// Whether a driver cannot work without it.
    #[serde(default)]
    pub required: bool,
}

/// A model that a driver knows, or that a vendor lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct DriverModel {
    /// Model name as the vendor spells it.
    pub id: String,
    /// Human-readable name.
    #[serde(default)]
    pub title: String,
    /// Context window in tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_tokens: Option<u64>,
    /// Largest output in tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// "tools", "images", "reasoning", "structured-output"; open vocabulary.
    #[serde(default)]
    pub features: Vec<String>,
    /// Values that this version of the contract does not name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extra: Vec<(String, String)>,
}

/// One tool of a capability.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct ToolDescription {
    /// Name within the capability: `[a-z][a-z0-9_]*`, at most 64 bytes.
    pub name: String,
    /// Short human-readable name.
    pub title: String,
    /// What it does and when to use it.
    pub description: String,
    /// JSON Schema of the arguments object.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub input_schema: Value,
    /// JSON Schema of the structured result, if promised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub output_schema: Option<Value>,
    /// What it may do to the world.
    #[serde(default)]
    pub effects: Effects,
    /// Values that this version of the contract does not name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extra: Vec<(String, String)>,
}

/// What a tool may do to the world. Nothing set means: effects that must not be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Effects {
    /// Changes nothing outside the call.
    pub read_only: bool,
    /// May remove what cannot be brought back.
    pub destructive: bool,
    /// A repetition with the same idempotency key has no further effect.
    pub idempotent: bool,
    /// Reaches beyond the agent's own data.
    pub open_world: bool,
}

impl Effects {
    /// Whether a call whose outcome is unknown may be executed again.
    pub fn repeatable(self) -> bool {
        self.read_only || self.idempotent
    }

    /// Whether a tool that calls one with `other` effects still is what it says.
    pub fn cover(self, other: Self) -> bool {
        if self.read_only {
            return other.read_only && !other.destructive;
        }
        (self.destructive || !other.destructive) && (!self.idempotent || other.repeatable())
    }

    /// What a tool is declared, in a sentence.
    pub fn words(self) -> String {
        let named = [(self.read_only, "read-only"), (self.destructive, "destructive"), (self.idempotent, "idempotent")];
        let words: Vec<&str> = named.into_iter().filter_map(|(set, word)| set.then_some(word)).collect();
        if words.is_empty() { "with effects that must not be repeated".to_owned() } else { words.join(" and ") }
    }
}

/// Everything that a component asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Permissions {
    /// HTTP hosts.
    pub http: Vec<HttpPermission>,
    /// Secrets by name.
    pub secrets: Vec<SecretPermission>,
    /// Access to session files: "none", "read" or "write".
    pub files: FileAccess,
    /// Key-value buckets.
    pub kv: Vec<String>,
    /// Tools of other capabilities.
    pub tools: Vec<String>,
    /// Values that this version of the contract does not name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extra: Vec<(String, String)>,
}

impl Permissions {
    /// Whether it asks for nothing at all.
    pub fn is_empty(&self) -> bool {
        self == &Self::default()
    }
}

/// Access to session files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum FileAccess {
    /// None.
    #[default]
    None,
    /// Reading.
    Read,
    /// Reading and writing.
    Write,
}

/// HTTP access to one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct HttpPermission {
    /// Exact lower-case host, or `*.example.com` for its subdomains, with an optional `:port`.
    pub host: String,
    /// Methods in upper case; empty means GET and HEAD.
    #[serde(default)]
    pub methods: Vec<String>,
    /// Only paths that start with this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_prefix: Option<String>,
    /// Why it is needed.
    #[serde(default)]
    pub reason: String,
}

/// A secret that a tenant binds by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SecretPermission {
    /// Name under which the component opens it.
    pub name: String,
    /// Human-readable title.
    #[serde(default)]
    pub title: String,
    /// The only host on which it may be used.
    pub host: String,
    /// `header:<name>` or `query:<name>`.
    pub place: String,
    /// Whether the component cannot work without it.
    #[serde(default)]
    pub required: bool,
}
