//! Secrets that the org stores for its components. Values come in and never go out: a component gets a
//! placeholder, which the host replaces in its place on its host.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use everwit_runtime::Error;
use everwit_runtime::limits::MAX_SESSION_SECRET_BYTES;
use everwit_runtime::mutation::off;
use everwit_runtime::secret::OrgSecret;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::App;
use super::check::Checks;
use super::extract::{JsonBody, Query};
use super::page::{List, PageParams};
use crate::auth::Caller;
use crate::problem::{Finding, Problem};

/// Longest name of a secret, in bytes.
const MAX_NAME_BYTES: usize = 64;

/// A new secret.
#[derive(Deserialize, ToSchema)]
#[schema(as = CreateSecretRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateSecret {
    /// Name: `[a-z][a-z0-9_-]*`. A grant binds it as `secret:NAME`.
    #[schema(example = "tracker-token")]
    name: String,
    /// Value: 1 byte or more, no control characters.
    #[schema(value_type = String, example = "…")]
    value: SecretString,
}

/// A new value of a secret.
#[derive(Deserialize, ToSchema)]
#[schema(as = ReplaceSecretRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplaceSecret {
    /// Value: 1 byte or more, no control characters.
    #[schema(value_type = String, example = "…")]
    value: SecretString,
}

/// A secret without its value.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Secret)]
pub(crate) struct SecretBody {
    /// Name.
    name: String,
    /// When it was added.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When its value was last replaced.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl From<OrgSecret> for SecretBody {
    fn from(secret: OrgSecret) -> Self {
        let OrgSecret { name, created_at, updated_at, .. } = secret;
        Self { name, created_at, updated_at }
    }
}

/// List the secrets of the org
///
/// By name, and never with their values.
#[utoipa::path(
    get,
    path = "/secrets",
    tag = "secrets",
    params(PageParams),
    responses((status = 200, body = List<SecretBody>)),
)]
pub(crate) async fn list_org_secrets(
    State(app): State<App>,
    caller: Caller,
    Query(page): Query<PageParams>,
) -> Result<Json<List<SecretBody>>, Problem> {
    let page = page.into();
    let listing = app.stores.secret_store.list_secrets(caller.org, page).await?;
    Ok(Json(List::new(listing, page, Into::into)))
}

/// Add a secret
///
/// It is encrypted before it is stored, and is never shown again. Components get it under the name that
/// a grant binds it to: `{"grant": {"secrets": {"tracker": "secret:tracker-token"}}}`. With `basic:`, `hmac-sha256:` or
/// `aws-sigv4:REGION/SERVICE:` in place of `secret:` the host makes a credential or a signature of it.
#[utoipa::path(
    post,
    path = "/secrets",
    tag = "secrets",
    request_body = CreateSecret,
    responses((status = 201, body = SecretBody), (status = 409, description = "The org has a secret of that name")),
)]
pub(crate) async fn create_secret(
    State(app): State<App>,
    caller: Caller,
    JsonBody(request): JsonBody<CreateSecret>,
) -> Result<(StatusCode, Json<SecretBody>), Problem> {
    let mut checks = Checks::default();
    if !is_name(&request.name) {
        let detail = format!("the name of a secret is [a-z][a-z0-9_-]* with at most {MAX_NAME_BYTES} bytes");
        checks.add(Finding::at("/name", "invalid_name", detail));
    }
    check_value(&mut checks, &request.value);
    checks.finish()?;
    let sealed = OrgSecret::seal(&app.stores.cipher, caller.org, &request.name, &request.value, app.moments.now()).await;
    let secret = sealed.map_err(Error::from)?;
    app.stores.secret_store.add_secret(caller.org, secret.clone()).await?;
    Ok((StatusCode::CREATED, Json(secret.into())))
}

/// Replace the value of a secret
///
/// Calls that begin from now on get the new value.
#[utoipa::path(
    put,
    path = "/secrets/{secret}",
    tag = "secrets",
    params(("secret" = String, Path, description = "Name")),
    request_body = ReplaceSecret,
    responses((status = 200, body = SecretBody)),
)]
pub(crate) async fn replace_secret(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    JsonBody(request): JsonBody<ReplaceSecret>,
) -> Result<Json<SecretBody>, Problem> {
    let store = &app.stores.secret_store;
    let known = store.get_secret(caller.org, &name).await?.ok_or_else(|| Problem::not_found("secret", &name))?;
    let mut checks = Checks::default();
    check_value(&mut checks, &request.value);
    checks.finish()?;
    let sealed = OrgSecret::seal(&app.stores.cipher, caller.org, &name, &request.value, app.moments.now()).await;
    let secret = OrgSecret { created_at: known.created_at, ..sealed.map_err(Error::from)? };
    if !store.replace_secret(caller.org, secret.clone()).await? {
        return Err(Problem::not_found("secret", &name));
    }
    Ok(Json(secret.into()))
}

/// Delete a secret
///
/// Calls of components that it is bound to fail from now on, and say so.
#[utoipa::path(
    delete,
    path = "/secrets/{secret}",
    tag = "secrets",
    params(("secret" = String, Path, description = "Name")),
    responses((status = 204, description = "It is deleted")),
)]
pub(crate) async fn delete_secret(State(app): State<App>, caller: Caller, Path(name): Path<String>) -> Result<StatusCode, Problem> {
    let removed = app.stores.secret_store.remove_secret(caller.org, &name).await?;
    if removed { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::not_found("secret", &name)) }
}

fn check_value(checks: &mut Checks, value: &SecretString) {
    let value = value.expose_secret();
    let too_long = value.len() > MAX_SESSION_SECRET_BYTES && !off("server.secret_bytes");
    if value.is_empty() || too_long || value.chars().any(char::is_control) {
        let detail = format!("the value of a secret has 1 to {MAX_SESSION_SECRET_BYTES} bytes and no control characters");
        checks.add(Finding::at("/value", "invalid_value", detail));
    }
}

fn is_name(name: &str) -> bool {
    let usual = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-');
    name.len() <= MAX_NAME_BYTES && name.starts_with(|first: char| first.is_ascii_lowercase()) && name.bytes().all(usual)
}
