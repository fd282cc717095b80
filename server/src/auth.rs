//! Who calls: API keys, their scopes, the open mode of a loopback server without keys, and what
//! an embedder supplies in place of all that.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use everwit_runtime::id::{MemberId, OrgId};
use everwit_runtime::mutation::off;
use everwit_runtime::store::{FoundKey, OrgStore, Role, Scope};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::problem::Problem;
use crate::random;

/// What every key starts with, so that scanners for leaked secrets find it.
const KEY_PREFIX: &str = "ew_";

/// A new key's secret; shown once, stored as its hash.
///
/// # Errors
/// If the system gives no randomness.
pub(crate) fn new_secret() -> anyhow::Result<SecretString> {
    Ok(format!("{KEY_PREFIX}{}", URL_SAFE_NO_PAD.encode(random::secret_bytes()?)).into())
}

/// What is stored of a secret.
pub(crate) fn hash_secret(secret: &SecretString) -> [u8; 32] {
    Sha256::digest(secret.expose_secret().as_bytes()).into()
}

/// Longest subject of a caller, in bytes.
const MAX_SUBJECT_BYTES: usize = 256;
/// Subject of callers of a server without keys.
const LOCAL_SUBJECT: &str = "local";
/// What everybody on this machine may do while there are no keys.
pub(crate) const LOCAL_SCOPE: Scope = Scope::Operator;

/// Who calls, and what the caller may do. As an argument of a handler it is whoever made the
/// request; a request without valid credentials is refused before the handler runs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Caller {
    /// The org that the caller acts for.
    pub org: OrgId,
    /// What it may do.
    pub scope: Scope,
    /// Who it is within the org: the id of a member, of the key of a service, or what an authenticator says.
    /// 1 to 256 bytes.
    pub subject: Arc<str>,
    /// The member whose key it is; none for services, and for callers of an authenticator.
    pub member: Option<CallingMember>,
}

/// A member of the org who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallingMember {
    /// Who.
    pub id: MemberId,
    /// What the member may do now, whatever the key says.
    pub role: Role,
}

/// Finds out who makes a request, in place of API keys and of the open mode.
#[async_trait]
pub trait Authenticator: Send + Sync {
    /// Who makes the request with this head. An org that is not known yet is made and seeded.
    ///
    /// # Errors
    /// Why nobody can be admitted; the text is shown to whoever sent the request.
    async fn authenticate(&self, request: &Parts) -> Result<Caller, AuthError>;
}

/// Why a request is not admitted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// No credentials, or wrong ones.
    #[error("{0}")]
    Unauthorized(String),
    /// Known, but not allowed here.
    #[error("{0}")]
    Forbidden(String),
    /// It cannot be found out right now.
    #[error("{0}")]
    Unavailable(String),
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Unauthorized(detail) => unauthorized(&detail),
            AuthError::Forbidden(detail) => Self::new(StatusCode::FORBIDDEN, "forbidden", detail),
            AuthError::Unavailable(detail) => Self::busy(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail, 5),
        }
    }
}

/// Decides who calls.
#[derive(Clone)]
pub(crate) enum Auth {
    /// By API keys; without any, callers are admins of `open_to`, and operators.
    Keys {
        /// Where the keys are.
        orgs: Arc<dyn OrgStore>,
        /// Only of servers that listen on a loopback address.
        open_to: Option<OrgId>,
    },
    /// As an embedder says.
    Custom(Arc<dyn Authenticator>),
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keys { open_to, .. } => f.debug_struct("Keys").field("open_to", open_to).finish_non_exhaustive(),
            Self::Custom(_) => f.debug_struct("Custom").finish_non_exhaustive(),
        }
    }
}

impl Auth {
    /// The caller of a request.
    ///
    /// # Errors
    /// 401 without a valid key; 403 for a browser page of another site that tries to use the
    /// open mode; those of the store.
    pub(crate) async fn caller(&self, request: &Parts) -> Result<Caller, Problem> {
        let headers = &request.headers;
        let (orgs, open_to) = match self {
            Self::Keys { orgs, open_to } => (orgs, *open_to),
            Self::Custom(authenticator) => {
                let caller = authenticator.authenticate(request).await?;
                if caller.subject.is_empty() || caller.subject.len() > MAX_SUBJECT_BYTES {
                    let bytes = caller.subject.len();
                    return Err(Problem::internal(format!(
                        "the authenticator gave a subject of {bytes} bytes; 1 to {MAX_SUBJECT_BYTES} are allowed"
                    )));
                }
                return Ok(caller);
            }
        };
        if let Some(org) = open_to
            && !orgs.has_keys().await?
        {
            require_local_origin(headers)?;
            return Ok(Caller::new(org, LOCAL_SCOPE, LOCAL_SUBJECT));
        }
        let secret = presented_key(headers).ok_or_else(|| {
            unauthorized("no API key; send the header \"Authorization: Bearer ew_…\", and make a key with: everwit keys create")
        })?;
        let found = orgs.find_key(&hash_secret(&secret)).await?;
        let found = found.ok_or_else(|| unauthorized("the API key is not valid; it may have been revoked"))?;
        Caller::with_key(&found)
    }
}

impl Caller {
    /// Somebody who acts for an org.
    pub fn new(org: OrgId, scope: Scope, subject: impl Into<Arc<str>>) -> Self {
        Self { org, scope, subject: subject.into(), member: None }
    }

    /// Whoever has the key. A member may do no more than the role allows at this moment.
    fn with_key(found: &FoundKey) -> Result<Self, Problem> {
        let key = &found.key;
        let scope = found.scope().ok_or_else(|| unauthorized("the member whose key it is was removed"))?;
        let member = key.member.zip(found.role).map(|(id, role)| CallingMember { id, role });
        let subject = member.map_or_else(|| key.id.to_string(), |member| member.id.to_string());
        Ok(Self { member, ..Self::new(key.org, scope, subject) })
    }

    /// What the caller counts as among the members: operators as owners, services with a key of scope admin as admins,
    /// and members with a lesser key than their role has as plain members.
    pub(crate) fn authority(&self) -> Role {
        match (self.scope, &self.member) {
            (Scope::Operator, _) => Role::Owner,
            (Scope::Admin, Some(member)) => member.role,
            (Scope::Admin, None) => Role::Admin,
            (Scope::Read | Scope::Write, _) => Role::Member,
        }
    }

    /// Whether the caller may do what needs `needed`.
    ///
    /// # Errors
    /// 403 that says which key is needed.
    pub fn require(&self, needed: Scope) -> Result<(), Problem> {
        if self.scope >= needed || off("server.scopes") {
            return Ok(());
        }
        let (has, needs) = (scope_name(self.scope), scope_name(needed));
        let detail =
            format!("this needs a key of scope {needs}; the key has scope {has}. Make one with: everwit keys create --scope {needs}");
        Err(Problem::new(StatusCode::FORBIDDEN, "insufficient_scope", detail))
    }
}

/// Text form of a scope.
pub(crate) fn scope_name(scope: Scope) -> &'static str {
    match scope {
        Scope::Read => "read",
        Scope::Write => "write",
        Scope::Admin => "admin",
        Scope::Operator => "operator",
    }
}

fn unauthorized(detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
}

/// The token in `Authorization: Bearer <token>`.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<SecretString> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned().into())
}

/// The key in `Authorization: Bearer <key>` or `Authorization: <key>`; none if it cannot be one
/// of ours.
fn presented_key(headers: &HeaderMap) -> Option<SecretString> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?.trim();
    let key = match value.split_once(' ') {
        Some((scheme, key)) if scheme.eq_ignore_ascii_case("bearer") => key.trim(),
        Some(_) => return None,
        None => value,
    };
    key.starts_with(KEY_PREFIX).then(|| key.to_owned().into())
}

/// Without keys anybody who reaches the loopback interface is admin. A web page of another site
/// reaches it through the user's browser: directly, or under a host name of its own that
/// resolves to 127.0.0.1. Both give themselves away by `Origin` or `Host`.
fn require_local_origin(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name| headers.get(name).map(|value: &axum::http::HeaderValue| value.to_str().unwrap_or("?").to_owned());
    let host_is_local = text(HOST).is_none_or(|host| is_loopback_authority(&host));
    let origin_is_local =
        text(ORIGIN).is_none_or(|origin| origin.split_once("://").is_some_and(|(_, authority)| is_loopback_authority(authority)));
    if host_is_local && origin_is_local || off("server.host") {
        return Ok(());
    }
    let detail =
        "a server without API keys answers only requests for localhost, not those of other web sites; make a key with: everwit keys create";
    Err(Problem::new(StatusCode::FORBIDDEN, "foreign_origin", detail))
}

fn is_loopback_authority(authority: &str) -> bool {
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_key_is_43_characters_after_its_prefix_and_never_the_same() {
        let (one, two) = (new_secret().unwrap(), new_secret().unwrap());
        assert_eq!(one.expose_secret().len(), KEY_PREFIX.len() + 43);
        assert_ne!(hash_secret(&one), hash_secret(&two));
    }

    #[test]
    fn a_key_comes_bare_or_as_bearer() {
        let key = |value: &str| presented_key(&headers(&[("authorization", value)])).map(|key| key.expose_secret().to_owned());
        for value in ["ew_abc", "Bearer ew_abc", "bearer  ew_abc "] {
            assert_eq!(key(value).as_deref(), Some("ew_abc"), "{value}");
        }
        for value in ["", "Basic ew_abc", "Bearer", "sk_abc", "Bearer sk_abc"] {
            assert_eq!(key(value), None, "{value}");
        }
    }

    #[test]
    fn open_mode_is_for_local_pages_and_programs_only() {
        for pairs in [
            &[("host", "127.0.0.1:8080")][..],
            &[("host", "localhost:8080"), ("origin", "http://localhost:8080")],
            &[("host", "[::1]:8080"), ("origin", "http://[::1]:3000")],
            &[],
        ] {
            assert!(require_local_origin(&headers(pairs)).is_ok(), "{pairs:?}");
        }
        for pairs in [
            &[("host", "rebound.example:8080")][..],
            &[("host", "127.0.0.1:8080"), ("origin", "https://site.example")],
            &[("host", "localhost:8080"), ("origin", "null")],
            &[("host", "localhost.example")],
        ] {
            assert!(require_local_origin(&headers(pairs)).is_err(), "{pairs:?}");
        }
    }
}
