//! What handlers take from a request: JSON bodies, query parameters, preconditions, the caller.
//! Refusals name the field, the rule and the fix.

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use everwit_runtime::store::StoreError;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;

use crate::api::middleware::Gate;
use crate::auth::Caller;
use crate::problem::{Finding, Problem};

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
    match Limited::new(&mut body, limit).collect().await {
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

/// Query parameters as they are taken one by one; what is left over is refused.
pub(crate) struct Params {
    pairs: Vec<(String, String)>,
    findings: Vec<Finding>,
}

/// What a route takes from its query.
pub(crate) trait FromParams: Sized {
    /// Takes the parameters.
    fn from_params(params: &mut Params) -> Self;
}

/// The query of a route; 400 for unknown or malformed parameters.
pub(crate) struct Query<T>(pub(crate) T);

impl<S: Send + Sync, T: FromParams> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        let mut params = Params { pairs: url::form_urlencoded::parse(query.as_bytes()).into_owned().collect(), findings: Vec::new() };
        let value = T::from_params(&mut params);
        params.finish().map(|()| Self(value))
    }
}

impl Params {
    /// A parameter that may appear once.
    pub(crate) fn one<T: std::str::FromStr>(&mut self, name: &str, expected: &str) -> Option<T> {
        let values = self.list(name);
        let refused = match values.as_slice() {
            [] => return None,
            [value] => match value.parse() {
                Ok(value) => return Some(value),
                Err(_) => format!("{name} is {:?}; it must be {expected}", value.chars().take(80).collect::<String>()),
            },
            _ => format!("{name} is given more than once"),
        };
        self.refuse("invalid_parameter", refused);
        None
    }

    /// As [`Self::one`], for a number that has bounds.
    pub(crate) fn number(&mut self, name: &str, least: u64, most: u64) -> Option<u64> {
        let expected = format!("a whole number between {least} and {most}");
        let value = self.one::<u64>(name, &expected)?;
        if (least..=most).contains(&value) {
            return Some(value);
        }
        self.refuse("invalid_parameter", format!("{name} is {value}; it must be {expected}"));
        None
    }

    /// All values of a parameter that may be repeated.
    pub(crate) fn list(&mut self, name: &str) -> Vec<String> {
        let taken = self.pairs.extract_if(.., |(key, _)| key == name);
        taken.map(|(_, value)| value).collect()
    }

    /// Notes what is wrong beyond single parameters.
    pub(crate) fn refuse(&mut self, code: &'static str, detail: String) {
        self.findings.push(Finding { code: code.into(), pointer: None, detail, fix: None });
    }

    /// Passes over what is left, for routes whose callers are not the API's own.
    pub(crate) fn pass_over_rest(&mut self) {
        self.pairs.clear();
    }

    fn finish(mut self) -> Result<(), Problem> {
        for (name, _) in std::mem::take(&mut self.pairs) {
            let shown: String = name.chars().take(80).collect();
            self.refuse("unknown_parameter", format!("there is no query parameter {shown:?} here; /openapi.json lists those there are"));
        }
        if self.findings.is_empty() {
            return Ok(());
        }
        Err(Problem::findings(StatusCode::BAD_REQUEST, "invalid_query", "the query is not acceptable", self.findings))
    }
}

/// The `If-Match` header of a request: which versions of the resource the caller has seen.
#[derive(Debug, Default)]
pub(crate) struct IfMatch(Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get(IF_MATCH) else { return Ok(Self(None)) };
        let text = value.to_str().map_err(|_| Problem::bad_request("invalid_header", "If-Match must be ASCII text"))?;
        Ok(Self(Some(text.to_owned())))
    }
}

impl IfMatch {
    /// 412 unless the resource is in a version that the caller has seen.
    pub(crate) fn check(&self, version: u64) -> Result<(), Problem> {
        let Some(given) = &self.0 else { return Ok(()) };
        let current = etag_text(version);
        if given.split(',').map(str::trim).any(|tag| tag == "*" || tag == current) {
            return Ok(());
        }
        Err(Problem::stale(format!("the resource is at version {current}, not at {given}; read it again")))
    }

    /// The version that a write must meet; none if the caller set no precondition.
    pub(crate) fn expected(&self, checked: u64) -> Option<u64> {
        self.0.is_some().then_some(checked)
    }

    /// The problem for a write that lost a race: 412 if the caller set a precondition.
    pub(crate) fn lost(&self, error: StoreError) -> Problem {
        match &error {
            StoreError::Stale { .. } if self.0.is_some() => Problem::stale(error.to_string()),
            _ => error.into(),
        }
    }
}

/// The `If-None-Match: *` precondition: the resource must not exist yet.
#[derive(Debug)]
pub(crate) struct IfNoneMatch(bool);

impl<S: Send + Sync> FromRequestParts<S> for IfNoneMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        match parts.headers.get(IF_NONE_MATCH) {
            None => Ok(Self(false)),
            Some(value) if value == "*" => Ok(Self(true)),
            Some(_) => Err(Problem::bad_request("invalid_header", "If-None-Match must be * here")),
        }
    }
}

impl IfNoneMatch {
    /// 412 if the resource exists and must not.
    pub(crate) fn check(&self, exists: bool) -> Result<(), Problem> {
        if self.0 && exists {
            return Err(Problem::stale("it exists already, and If-None-Match forbids to replace it"));
        }
        Ok(())
    }
}

fn etag_text(version: u64) -> String {
    format!("\"{version}\"")
}

/// A response with the ETag of a resource's version.
pub(crate) struct Tagged<R>(pub(crate) u64, pub(crate) R);

impl<R: IntoResponse> IntoResponse for Tagged<R> {
    fn into_response(self) -> Response {
        let mut response = self.1.into_response();
        if let Ok(value) = HeaderValue::from_str(&etag_text(self.0)) {
            response.headers_mut().insert(ETAG, value);
        }
        response
    }
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

    struct Page {
        limit: Option<u64>,
        types: Vec<String>,
    }

    impl FromParams for Page {
        fn from_params(params: &mut Params) -> Self {
            Self { limit: params.number("limit", 1, 100), types: params.list("types") }
        }
    }

    async fn query(text: &str) -> Result<Page, Problem> {
        let uri = format!("http://localhost/?{text}");
        let (mut parts, ()) = axum::http::Request::builder().uri(uri).body(()).unwrap().into_parts();
        Query::<Page>::from_request_parts(&mut parts, &()).await.map(|Query(page)| page)
    }

    #[tokio::test]
    async fn a_query_is_typed_repeatable_and_closed() {
        let page = query("types=a&limit=7&types=b%2Ec").await.unwrap();
        assert_eq!((page.limit, page.types), (Some(7), vec!["a".to_owned(), "b.c".to_owned()]));
        for refused in ["limit=0", "limit=101", "limit=x", "limit=1&limit=2", "limt=1"] {
            assert!(query(refused).await.is_err(), "{refused}");
        }
    }

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

    #[test]
    fn a_precondition_holds_for_seen_versions_only() {
        let given = |text: &str| IfMatch(Some(text.to_owned())).check(3).is_ok();
        assert!(IfMatch(None).check(3).is_ok());
        assert!(given("\"3\"") && given("*") && given("\"2\", \"3\""));
        assert!(!given("\"2\"") && !given("W/\"3\"") && !given("3"));
    }
}
