//! Preconditions of writes, and the ETags that they are about.

use axum::extract::FromRequestParts;
use axum::http::HeaderValue;
use axum::http::header::{ETAG, IF_MATCH, IF_NONE_MATCH};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use everwit_runtime::store::StoreError;

use crate::problem::Problem;

/// The `If-Match` header of a request: which versions of the resource the caller has seen.
#[derive(Debug, Default)]
pub(crate) struct IfMatch(Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get(IF_MATCH) else { return Ok(Self(None)) };
        let text = value.to_str().map_err(|_| Problem::bad_request("invalid_header", "If-Match must be ASCII text"))?;
        if text.trim().is_empty() {
            return Err(Problem::bad_request("invalid_header", "If-Match is empty; it must be ETags of the resource, or *"));
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_precondition_holds_for_seen_versions_only() {
        let given = |text: &str| IfMatch(Some(text.to_owned())).check(3).is_ok();
        assert!(IfMatch(None).check(3).is_ok());
        assert!(given("\"3\"") && given("*") && given("\"2\", \"3\""));
        assert!(!given("\"2\"") && !given("W/\"3\"") && !given("3"));
    }
}
