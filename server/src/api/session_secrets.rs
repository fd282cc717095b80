//! Secrets of sessions: values that tools of one session use, in place of their user's
//! connections. They come in and never go out.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use everwit_runtime::Error;
use everwit_runtime::connection::SessionSecret;
use everwit_runtime::limits::MAX_SESSION_SECRET_BYTES;
use everwit_runtime::mutation::off;
use everwit_runtime::store::SecretChanges;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::check::{Checks, shown};
use super::connections::wake_session;
use super::extract::JsonBody;
use super::{App, resolve};
use crate::auth::Caller;
use crate::problem::{Finding, Problem};

/// Longest name of a secret, in bytes.
const MAX_SECRET_NAME_BYTES: usize = 64;

/// Secrets of a session.
#[derive(Deserialize, ToSchema)]
#[schema(as = SetSessionSecretsRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetSecrets {
    /// Value by name, null removes; names are `[A-Z][A-Z0-9_]*`. `<PROVIDER>_API_KEY` goes before
    /// the user's connection with that provider.
    #[schema(value_type = Object, example = json!({ "ISSUES_API_KEY": "…" }))]
    secrets: BTreeMap<String, Option<SecretString>>,
}

/// The names of a session's secrets.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SecretList {
    /// In order.
    data: Vec<SecretName>,
    /// How many there are.
    total: u64,
}

/// A secret without its value.
#[derive(Debug, Serialize, ToSchema)]
struct SecretName {
    /// Name.
    name: String,
}

/// List the secrets of a session
#[utoipa::path(
    get,
    path = "/sessions/{session_id}/storage/secrets",
    tag = "session-storage",
    params(("session_id" = String, Path, description = "Id")),
    responses((status = 200, body = SecretList)),
)]
pub(crate) async fn list_secrets(State(app): State<App>, caller: Caller, Path(session): Path<String>) -> Result<Json<SecretList>, Problem> {
    let session = resolve::session(&app, caller.org, &session).await?.id;
    let names = app.stores.connection_store.list_session_secrets(caller.org, session).await?;
    Ok(Json(SecretList { total: names.len() as u64, data: names.into_iter().map(|name| SecretName { name }).collect() }))
}

/// Set secrets of a session
///
/// All of them or none; others stay. They are encrypted before they are stored, and are never shown
/// again. A turn that waits for one of them goes on.
#[utoipa::path(
    put,
    path = "/sessions/{session_id}/storage/secrets",
    tag = "session-storage",
    params(("session_id" = String, Path, description = "Id")),
    request_body = SetSecrets,
    responses((status = 200, body = SecretList)),
)]
pub(crate) async fn set_secrets(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
    JsonBody(request): JsonBody<SetSecrets>,
) -> Result<Json<SecretList>, Problem> {
    let session = resolve::session(&app, caller.org, &reference).await?.id;
    request.check()?;
    let mut changes = SecretChanges::default();
    for (name, value) in request.secrets {
        match value {
            Some(value) => {
                let sealed = SessionSecret::seal(&app.stores.cipher, caller.org, session, &name, &value).await;
                changes.put.push(sealed.map_err(Error::from)?);
            }
            None => changes.remove.push(name),
        }
    }
    app.stores.connection_store.change_session_secrets(caller.org, session, changes).await?;
    wake_session(&app, caller.org, session).await?;
    list_secrets(State(app), caller, Path(reference)).await
}

impl SetSecrets {
    fn check(&self) -> Result<(), Problem> {
        let mut checks = Checks::default();
        for (name, value) in &self.secrets {
            let pointer = format!("/secrets/{}", shown(name));
            if !is_name(name) {
                let detail = format!("the name of a secret is [A-Z][A-Z0-9_]* with at most {MAX_SECRET_NAME_BYTES} bytes");
                checks.add(Finding::at(&pointer, "invalid_name", detail));
            }
            let Some(value) = value else { continue };
            let value = value.expose_secret();
            let too_long = value.len() > MAX_SESSION_SECRET_BYTES && !off("server.secret_bytes");
            if value.is_empty() || too_long || value.chars().any(char::is_control) {
                let detail = format!("the value of a secret has 1 to {MAX_SESSION_SECRET_BYTES} bytes and no control characters");
                checks.add(Finding::at(&pointer, "invalid_value", detail));
            }
        }
        checks.finish()
    }
}

fn is_name(name: &str) -> bool {
    let usual = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    name.len() <= MAX_SECRET_NAME_BYTES && name.bytes().next().is_some_and(|first| first.is_ascii_uppercase()) && name.bytes().all(usual)
}
