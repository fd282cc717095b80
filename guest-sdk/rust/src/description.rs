//! What a capability says about itself.

use crate::bindings::everwit::types::{permissions, tools};
use crate::bindings::exports::everwit::capability::describe;
use crate::tool::{Effects, ToolEntry};

/// A capability's description; [`crate::capability!`] makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Id, unique in an org: `[a-z0-9]+(-[a-z0-9]+)*`, at most 64 bytes.
    pub id: String,
    /// Human-readable name, at most 128 bytes.
    pub title: String,
    /// Semantic version of this build.
    pub version: String,
    /// What it is for, in one or two sentences. At most 1 KiB.
    pub summary: String,
    /// Addition to the system prompt of agents that have it. At most 16 KiB.
    pub instructions: Option<String>,
    /// JSON Schema (2020-12) of its configuration; none accepts anything.
    pub config_schema: Option<String>,
    /// Its tools.
    pub tools: Vec<ToolDescription>,
    /// Ids of capabilities that it needs beside it.
    pub dependencies: Vec<String>,
    /// Flags for user interfaces.
    pub features: Vec<String>,
    /// What it asks for.
    pub permissions: Permissions,
}

/// A tool's description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolDescription {
    /// Name within the capability.
    pub name: String,
    /// Short human-readable name.
    pub title: String,
    /// What it does and when to use it, for the model.
    pub description: String,
    /// JSON Schema (2020-12) of the arguments object.
    pub input_schema: String,
    /// JSON Schema (2020-12) of the structured result, if the tool promises one.
    pub output_schema: Option<String>,
    /// Declared effects.
    pub effects: Effects,
}

/// What a capability asks for. Asking is not getting: a tenant grants a subset.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Permissions {
    /// HTTP hosts.
    pub http: Vec<HttpPermission>,
    /// Secrets.
    pub secrets: Vec<SecretPermission>,
    /// Access to the session's files: "none", "read" or "write"; empty means none.
    pub files: String,
    /// Names of key-value buckets, each `[a-z0-9-]{1,64}`.
    pub kv: Vec<String>,
    /// Tools of other capabilities that it calls, as "capability/tool".
    pub tools: Vec<String>,
}

/// HTTP access to one host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HttpPermission {
    /// Host name in lower case, or "*.example.com" for all its subdomains; an optional
    /// ":port" is part of it.
    pub host: String,
    /// Methods in upper case; empty means GET and HEAD.
    pub methods: Vec<String>,
    /// Only URLs whose path starts with this; none means all.
    pub path_prefix: Option<String>,
    /// Why it is needed, for the person who decides.
    pub reason: String,
}

/// A secret that the tenant binds by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SecretPermission {
    /// Name under which [`crate::secrets::open`] finds it, kebab-case.
    pub name: String,
    /// Human-readable title.
    pub title: String,
    /// The only host on which it may be used.
    pub host: String,
    /// Where in the request it goes: `header:<name>` or `query:<name>`.
    pub place: String,
    /// Whether the capability cannot work without it.
    pub required: bool,
}

impl From<&ToolEntry> for ToolDescription {
    fn from(tool: &ToolEntry) -> Self {
        ToolDescription {
            name: tool.name.into(),
            title: tool.title.into(),
            description: tool.description.into(),
            input_schema: (tool.input_schema)(),
            output_schema: (tool.output_schema)(),
            effects: tool.effects,
        }
    }
}

impl From<Description> for describe::Description {
    fn from(description: Description) -> Self {
        describe::Description {
            id: description.id,
            title: description.title,
            version: description.version,
            summary: description.summary,
            instructions: description.instructions,
            config_schema: description.config_schema.unwrap_or_else(|| crate::schema::ANYTHING.into()),
            tools: description.tools.into_iter().map(Into::into).collect(),
            dependencies: description.dependencies,
            features: description.features,
            permissions: description.permissions.into(),
            extra: Vec::new(),
        }
    }
}

impl From<ToolDescription> for tools::Tool {
    fn from(tool: ToolDescription) -> Self {
        tools::Tool {
            name: tool.name,
            title: tool.title,
            description: tool.description,
            input_schema: tool.input_schema,
            output_schema: tool.output_schema,
            effects: tool.effects.into(),
            extra: Vec::new(),
        }
    }
}

impl From<Effects> for tools::Effects {
    fn from(effects: Effects) -> Self {
        let mut flags = tools::Effects::empty();
        flags.set(tools::Effects::READ_ONLY, effects.read_only);
        flags.set(tools::Effects::DESTRUCTIVE, effects.destructive);
        flags.set(tools::Effects::IDEMPOTENT, effects.idempotent);
        flags.set(tools::Effects::OPEN_WORLD, effects.open_world);
        flags
    }
}

impl From<Permissions> for permissions::Permissions {
    fn from(permissions: Permissions) -> Self {
        let files = match permissions.files.as_str() {
            "" => "none".into(),
            _ => permissions.files,
        };
        permissions::Permissions {
            http: permissions.http.into_iter().map(Into::into).collect(),
            secrets: permissions.secrets.into_iter().map(Into::into).collect(),
            files,
            kv: permissions.kv,
            tools: permissions.tools,
            extra: Vec::new(),
        }
    }
}

impl From<HttpPermission> for permissions::HttpPermission {
    fn from(http: HttpPermission) -> Self {
        permissions::HttpPermission { host: http.host, methods: http.methods, path_prefix: http.path_prefix, reason: http.reason }
    }
}

impl From<SecretPermission> for permissions::SecretPermission {
    fn from(secret: SecretPermission) -> Self {
        permissions::SecretPermission {
            name: secret.name,
            title: secret.title,
            host: secret.host,
            place: secret.place,
            required: secret.required,
        }
    }
}
