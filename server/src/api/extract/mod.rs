//! What handlers take from a request: JSON bodies, query parameters, preconditions, the caller.
//! Refusals name the field, the rule and the fix.

mod precondition;
mod query;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use everwit_runtime::mutation::off;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;

use crate::api::middleware::Gate;
use crate::auth::Caller;
use crate::problem::{Finding, Problem};
pub(crate) use precondition::{IfMatch, IfNoneMatch, Tagged};
pub(crate) use query::{FromParams, MAX_INTEGER, Params, Query};

/// Largest JSON body in bytes: a system prompt or a message of 1 MiB, escaped.
pub(crate) const MAX_JSON_BODY_BYTES: usize = 4 << 20;

/// The media type of JSON.
pub(crate) const JSON: &str = "application/json";

/// A JSON body. Unknown fields, wrong types and missing fields are 422 with a pointer; text that
/// is no JSON is 400.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let bytes = read_typed_body(&parts.headers, body, &[JSON], MAX_JSON_BODY_BYTES).await?;
        parse_json(&bytes).map(Self)
    }
}

/// A JSON body that may be null or missing altogether.
pub(crate) struct OptionalJsonBody<T>(pub(crate) Option<T>);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for OptionalJsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let bytes = read_body(body, MAX_JSON_BODY_BYTES).await?;
        if bytes.is_empty() {
            return Ok(Self(None));
        }
        require_media_type(&parts.headers, &[JSON])?;
        parse_json(&bytes).map(Self)
    }
}

/// 415 unless the body is plain bytes of one of these media types; parameters are ignored.
pub(crate) fn require_media_type(headers: &HeaderMap, accepted: &[&str]) -> Result<(), Problem> {
    let refuse = |detail: String| Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail));
    if let Some(encoding) = headers.get(CONTENT_ENCODING)
        && encoding != "identity"
    {
        return refuse("the body must not be compressed; leave Content-Encoding out".to_owned());
    }
    if accepted.iter().any(|media_type| has_media_type(headers, media_type)) {
        return Ok(());
    }
    let given: String = media_type_of(headers).chars().take(80).collect();
    refuse(format!("the Content-Type is {given:?}; it must be {}", accepted.join(" or ")))
}

/// Whether the body is said to have this media type.
pub(crate) fn has_media_type(headers: &HeaderMap, media_type: &str) -> bool {
    media_type_of(headers).eq_ignore_ascii_case(media_type)
}

fn media_type_of(headers: &HeaderMap) -> &str {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    given.split(';').next().unwrap_or_default().trim()
}

/// Bytes of a refused body that are still received. A client that is busy sending would otherwise
/// find the connection closed instead of the answer that says why.
const MAX_DISCARDED_BYTES: usize = 8 << 20;

/// The whole body, if it has one of these media types; 415 or 413 otherwise.
pub(crate) async fn read_typed_body(headers: &HeaderMap, body: Body, accepted: &[&str], limit: usize) -> Result<Bytes, Problem> {
    match require_media_type(headers, accepted) {
        Ok(()) => read_body(body, limit).await,
        Err(problem) => {
            discard(body).await;
            Err(problem)
        }
    }
}

/// The whole body; 413 if it exceeds `limit`, of which the rest is not kept.
pub(crate) async fn read_body(mut body: Body, limit: usize) -> Result<Bytes, Problem> {
    let most = if off("server.body_bytes") { usize::MAX } else { limit };
    match Limited::new(&mut body, most).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.downcast_ref::<LengthLimitError>().is_some() => {
            discard(body).await;
            Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", format!("the request body is larger than {limit} bytes")))
        }
        Err(_) => Err(Problem::bad_request("body_incomplete", "the request body broke off or came too slowly")),
    }
}

/// Receives what a client still sends, within bounds. What goes wrong here ends the connection,
/// which is no worse than not to have tried.
async fn discard(body: Body) {
    let mut rest = Limited::new(body, MAX_DISCARDED_BYTES);
    while let Some(Ok(_)) = rest.frame().await {}
}

/// A JSON text as a value of a type.
///
/// # Errors
/// 400 if it is no JSON, 422 with a pointer if it is another value.
pub(crate) fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // A list would be taken for an object whose members come in order.
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        return Err(Problem::invalid(vec![Finding::at("", "invalid_value", "the body is a list; it must be an object")]));
    }
    let mut source = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut source).map_err(|error| {
        let pointer = pointer_of(error.path());
        let inner = error.into_inner();
        match inner.classify() {
            serde_json::error::Category::Data => Problem::invalid(vec![data_finding(pointer, &inner)]),
            _ => not_json(&inner),
        }
    })?;
    source.end().map_err(|error| not_json(&error))?;
    Ok(value)
}

/// What serde says about a value, without the position in the text: the pointer says where.
fn data_finding(pointer: String, error: &serde_json::Error) -> Finding {
    let text = error.to_string();
    let detail = text.rsplit_once(" at line ").map_or(text.as_str(), |(detail, _)| detail);
    let code = match detail {
        _ if detail.starts_with("unknown field") => "unknown_field",
        _ if detail.starts_with("missing field") => "missing_field",
        _ => "invalid_value",
    };
    Finding::at(pointer, code, detail)
}

fn not_json(error: &serde_json::Error) -> Problem {
    Problem::bad_request("invalid_json", format!("the request body is not JSON: {error}"))
}

fn pointer_of(path: &serde_path_to_error::Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        let token = match segment {
            Segment::Seq { index } => index.to_string(),
            Segment::Map { key } => key.clone(),
            Segment::Enum { variant } => variant.clone(),
            Segment::Unknown => continue,
        };
        pointer.push('/');
        pointer.push_str(&token.replace('~', "~0").replace('/', "~1"));
    }
    pointer
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    /// Reads what the authorization layer of the route found out; a custom route without one has
    /// it found out here.
    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        if let Some(caller) = parts.extensions.get::<Self>() {
            return Ok(caller.clone());
        }
        let gate = parts.extensions.get::<Gate>().cloned();
        gate.ok_or_else(|| Problem::internal("a route that needs a caller is not served by this server"))?.admit(parts).await
    }
}

/// Keeps "absent" and "null" apart in a merge patch: absent is unchanged, null clears.
pub(crate) fn present<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: serde::Deserialize<'de>,
{
    serde::Deserialize::deserialize(deserializer).map(Some)
}

/// For fields of a merge patch that cannot be cleared: absent is unchanged, null is refused.
pub(crate) fn given<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: serde::Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Item {
        #[expect(dead_code, reason = "only its type matters")]
        name: String,
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Order {
        #[expect(dead_code, reason = "only its type matters")]
        items: Vec<Item>,
    }

    #[test]
    fn a_wrong_body_is_refused_with_a_pointer() {
        let refusal = |text: &str| format!("{:?}", parse_json::<Order>(text.as_bytes()).unwrap_err());
        assert!(refusal(r#"{"items":[{"name":1}]}"#).contains("/items/0/name"));
        assert!(refusal(r#"{"items":[{"name":"a","x~/":1}]}"#).contains("/items/0/x~0~1"));
        assert!(refusal(r#"{"items":[]} x"#).contains("invalid_json"));
        assert!(refusal(r#"{"items""#).contains("invalid_json"));
    }
}
