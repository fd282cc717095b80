//! From the contract's description of a connection provider to the runtime's.

use serde_json::json;
use url::Url;

use crate::component::{
    ComponentDescription, ConnectionDescription, ConnectionMethodDescription, CredentialPlace, HttpPermission, OAuthDescription,
    Permissions,
};
use crate::connection::{ConnectionFormField, ConnectionFormSchema, FieldType};
use crate::sandbox::bindings::exports::everwit::connection::meta as wit;

pub(super) use crate::connection::host_of;

/// A description from a guest. All problems at once.
///
/// # Errors
/// One sentence for each word that this host does not know.
pub(in crate::sandbox) fn description(from: wit::Description) -> Result<ComponentDescription, Vec<String>> {
    let mut problems = Vec::new();
    let method = match from.method {
        wit::Method::Form(form) => ConnectionMethodDescription::ApiKey(form_schema(form, &mut problems)),
        wit::Method::Oauth(oauth) => ConnectionMethodDescription::OAuth(OAuthDescription {
            authorize_url: oauth.authorize_url,
            token_url: oauth.token_url,
            client_id: oauth.client_id,
            scopes: oauth.scopes,
            authorize_parameters: oauth.authorize_parameters,
        }),
        wit::Method::Other(_) => return Err(vec!["method: this host knows form and oauth only".to_owned()]),
    };
    if !problems.is_empty() {
        return Err(problems);
    }
    let place = |from: wit::CredentialPlace| CredentialPlace { name: from.name, title: String::new(), place: from.place, required: false };
    let connection = ConnectionDescription {
        icon: from.icon,
        origin: from.origin,
        method,
        credentials: from.credentials.into_iter().map(place).collect(),
    };
    Ok(ComponentDescription {
        id: from.id,
        title: from.title,
        version: from.version,
        summary: from.summary,
        instructions: None,
        config_schema: json!({}),
        tools: Vec::new(),
        driver: None,
        dependencies: Vec::new(),
        features: Vec::new(),
        permissions: permissions(&connection),
        connection: Some(connection),
        extra: from.extra,
    })
}

/// What a tenant agrees to: where credentials of its users go. It follows from what is declared.
fn permissions(connection: &ConnectionDescription) -> Permissions {
    let host = |url: &str, methods: &[&str], reason: &str| {
        let host = host_of(&Url::parse(url).ok()?);
        let methods = methods.iter().map(|&method| method.to_owned()).collect();
        Some(HttpPermission { host, methods, path_prefix: None, reason: reason.to_owned() })
    };
    let mut http = Vec::new();
    http.extend(host(&connection.origin, &["GET", "POST"], "to try credentials out"));
    if let ConnectionMethodDescription::OAuth(oauth) = &connection.method {
        http.extend(host(&oauth.token_url, &["POST"], "to exchange codes and refresh tokens"));
    }
    Permissions { http, ..Permissions::default() }
}

fn form_schema(from: wit::Form, problems: &mut Vec<String>) -> ConnectionFormSchema {
    let fields = from.fields.into_iter().map(|field| {
        let field_type = match field.field_type.as_str() {
            "password" => FieldType::Password,
            "text" => FieldType::Text,
            "url" => FieldType::Url,
            other => {
                let shown: String = other.chars().take(64).collect();
                problems.push(format!("the field {:?} has the type {shown:?}; there are password, text and url", field.name));
                FieldType::Password
            }
        };
        let (placeholder, help_text) = (field.placeholder, field.help);
        ConnectionFormField { name: field.name, label: field.label, field_type, required: field.required, placeholder, help_text }
    });
    ConnectionFormSchema { fields: fields.collect(), instructions_markdown: from.instructions }
}
