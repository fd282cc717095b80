//! API keys: of members, who make and revoke their own, and of services.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use everwit_runtime::id::{KeyId, MemberId};
use everwit_runtime::store::{ApiKey, Role, Scope};
use jiff::Timestamp;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::App;
use super::check::Checks;
use super::extract::{JsonBody, present};
use super::members::{find, require_authority};
use crate::auth::{Caller, hash_secret, new_secret};
use crate::problem::{Finding, Problem};

/// Longest name of a key, in bytes.
pub(crate) const MAX_KEY_NAME_BYTES: usize = 64;

/// A key without its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApiKey)]
pub(crate) struct KeyBody {
    /// Id.
    id: KeyId,
    /// What it is for.
    name: String,
    /// The most that it may do; a member's role can allow less.
    scope: Scope,
    /// The member whose key it is; absent for keys of services.
    #[serde(skip_serializing_if = "Option::is_none")]
    member_id: Option<MemberId>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<ApiKey> for KeyBody {
    fn from(key: ApiKey) -> Self {
        let ApiKey { id, name, scope, member, created_at, .. } = key;
        Self { id, name, scope, member_id: member, created_at }
    }
}

/// All keys that the caller may see.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApiKeys)]
pub(crate) struct Keys {
    /// The keys, in order of their making.
    data: Vec<KeyBody>,
}

/// A key that was just made.
#[derive(Serialize, ToSchema)]
#[schema(as = NewApiKey)]
pub(crate) struct NewKeyBody {
    #[serde(flatten)]
    made: KeyBody,
    /// The key itself; it is shown this once only.
    key: String,
}

/// A new key.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = CreateApiKeyRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateKey {
    /// What it is for: at most 64 bytes.
    #[serde(default)]
    name: String,
    /// The most that it may do: no more than the caller may, and no more than the member's role allows.
    scope: Scope,
    /// The member whose key it is to be. Absent: the caller, or a service if the caller is one; null: a service.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<MemberId>)]
    member_id: Option<Option<MemberId>>,
}

/// List API keys
///
/// Those of the caller; admins see all of the org.
#[utoipa::path(get, path = "/api-keys", tag = "members", responses((status = 200, body = Keys)))]
pub(crate) async fn list_api_keys(State(app): State<App>, caller: Caller) -> Result<Json<Keys>, Problem> {
    let keys = app.stores.org_store.list_keys(caller.org).await?;
    Ok(Json(Keys { data: keys.into_iter().filter(|key| sees(&caller, key)).map(Into::into).collect() }))
}

/// Make an API key
///
/// A member makes keys of its own. Admins make keys of services, and of members whose role is not above theirs: a new member
/// gets its first one so.
#[utoipa::path(post, path = "/api-keys", tag = "members", request_body = CreateKey, responses((status = 201, body = NewKeyBody)))]
pub(crate) async fn create_api_key(
    State(app): State<App>,
    caller: Caller,
    JsonBody(request): JsonBody<CreateKey>,
) -> Result<(StatusCode, Json<NewKeyBody>), Problem> {
    let CreateKey { name, scope, member_id } = request;
    caller.require(scope)?;
    let own = caller.member.map(|member| member.id);
    let member = member_id.unwrap_or(own);
    if member.is_none() || member != own {
        caller.require(Scope::Admin)?;
    }
    let mut checks = Checks::default();
    if name.len() > MAX_KEY_NAME_BYTES || name.chars().any(char::is_control) {
        let detail = format!("a name has at most {MAX_KEY_NAME_BYTES} bytes, and no control characters");
        checks.add(Finding::at("/name", "invalid_name", detail));
    }
    if let Some(id) = member {
        match app.stores.member_store.get_member(caller.org, id).await? {
            Some(member) => {
                require_authority(&caller, if Some(id) == own { Role::Member } else { member.role })?;
                if scope > member.role.scope() {
                    let detail = format!("a member of the role {} has no such key", member.role.as_str());
                    checks.add(Finding::at("/scope", "beyond_role", detail));
                }
            }
            None => checks.add(Finding::at("/member_id", "unknown", format!("there is no member {id}"))),
        }
    }
    checks.finish()?;
    let secret = new_secret().map_err(|error| Problem::internal(error.to_string()))?;
    let id = KeyId::from_uuid(app.moments.uuid());
    let key = ApiKey { id, org: caller.org, name, scope, member, secret_hash: hash_secret(&secret), created_at: app.moments.now() };
    app.stores.org_store.add_key(key.clone()).await?;
    Ok((StatusCode::CREATED, Json(NewKeyBody { made: key.into(), key: secret.expose_secret().to_owned() })))
}

/// Revoke an API key
///
/// It is refused from the next request on. Members revoke their own; admins those of services, and of members whose role is
/// not above theirs.
#[utoipa::path(
    delete,
    path = "/api-keys/{key_id}",
    tag = "members",
    params(("key_id" = String, Path, description = "Id")),
    responses((status = 204, description = "It is revoked")),
)]
pub(crate) async fn revoke_api_key(State(app): State<App>, caller: Caller, Path(reference): Path<String>) -> Result<StatusCode, Problem> {
    let unknown = || Problem::not_found("API key", &reference);
    let id: KeyId = reference.parse().map_err(|_| unknown())?;
    let keys = app.stores.org_store.list_keys(caller.org).await?;
    let key = keys.into_iter().find(|key| key.id == id && sees(&caller, key)).ok_or_else(unknown)?;
    if !is_own(&caller, &key) {
        match key.member {
            Some(member) => require_authority(&caller, find(&app, caller.org, &member.to_string()).await?.role)?,
            None => caller.require(key.scope)?,
        }
    }
    if app.stores.org_store.remove_key(caller.org, id).await? { Ok(StatusCode::NO_CONTENT) } else { Err(unknown()) }
}

fn is_own(caller: &Caller, key: &ApiKey) -> bool {
    match (caller.member, key.member) {
        (Some(member), Some(whose)) => member.id == whose,
        (None, None) => *caller.subject == *key.id.to_string(),
        _ => false,
    }
}

fn sees(caller: &Caller, key: &ApiKey) -> bool {
    caller.scope >= Scope::Admin || is_own(caller, key)
}
