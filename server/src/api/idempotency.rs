//! The `Idempotency-Key` header: a request that is sent again has no second effect.
//!
//! What is remembered is the id of the thing that the first request makes, before it is made.
//! A repetition makes the same thing, or finds it made; no answer has to be stored, and a
//! process that dies in between leaves nothing half done.

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use everwit_runtime::id::OrgId;
use everwit_runtime::mutation::off;
use everwit_runtime::store::NewRequest;
use jiff::SignedDuration;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::App;
use super::extract::{JSON, MAX_JSON_BODY_BYTES, parse_json, read_body, require_media_type};
use crate::problem::Problem;

/// How long a key is remembered.
const MEMORY: SignedDuration = SignedDuration::from_hours(24);
/// Longest key, in bytes.
const MAX_KEY_BYTES: usize = 255;
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// A JSON body, missing or null if the route allows that, with what makes it repeatable.
pub(crate) struct Once<T> {
    /// The body.
    pub(crate) body: T,
    /// The key, if there is one.
    pub(crate) key: Repeatable,
}

/// What tells a request from its repetition.
pub(crate) struct Repeatable {
    key: Option<String>,
    route: String,
    fingerprint: [u8; 32],
}

/// The id of the thing to make, and whether an earlier request was to make it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claimed {
    /// Id of the thing.
    pub(crate) id: Uuid,
    /// Whether the request is a repetition.
    pub(crate) repeated: bool,
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Once<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let bytes = read_body(body, MAX_JSON_BODY_BYTES).await?;
        let key = key_of(&parts.headers)?;
        let route = format!("{} {}", parts.method, parts.uri.path());
        let fingerprint = Sha256::digest(&bytes).into();
        let body = if bytes.is_empty() && !parts.headers.contains_key(axum::http::header::CONTENT_TYPE) {
            parse_json(b"null")?
        } else {
            require_media_type(&parts.headers, &[JSON])?;
            parse_json(&bytes)?
        };
        Ok(Self { body, key: Repeatable { key, route, fingerprint } })
    }
}

/// The key of a request.
///
/// # Errors
/// 400 if it is no key.
pub(crate) fn key_of(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let key = value.to_str().unwrap_or_default();
    if key.is_empty() || key.len() > MAX_KEY_BYTES && !off("server.idempotency_key_bytes") {
        let detail = format!("Idempotency-Key must be 1 to {MAX_KEY_BYTES} characters of ASCII, for example a UUID");
        return Err(Problem::bad_request("invalid_header", detail));
    }
    Ok(Some(key.to_owned()))
}

impl Repeatable {
    /// The id for what the request makes: a new one, or that of the request which it repeats.
    ///
    /// # Errors
    /// 422 if the key was used for something else; those of the store.
    pub(crate) async fn claim(self, app: &App, org: OrgId) -> Result<Claimed, Problem> {
        let id = app.moments.uuid();
        let Some(key) = self.key else { return Ok(Claimed { id, repeated: false }) };
        let now = app.moments.now();
        let forget_before = now.checked_sub(MEMORY).unwrap_or(now);
        let request = NewRequest { route: self.route, key, fingerprint: self.fingerprint, id, now, forget_before };
        let known = app.stores.request_store.remember_request(org, request).await?;
        if known.fingerprint != self.fingerprint {
            let detail = "the Idempotency-Key was used for a request with another body; use a new key";
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", detail));
        }
        Ok(Claimed { id: known.id, repeated: !known.first })
    }
}

/// A response that says whether it answers a repetition.
pub(crate) struct Replayed<R>(pub(crate) bool, pub(crate) R);

impl<R: IntoResponse> IntoResponse for Replayed<R> {
    fn into_response(self) -> Response {
        let mut response = self.1.into_response();
        if self.0 {
            response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}
