//! Errors of the HTTP API: the one map from runtime errors to RFC 9457 problem documents.
//!
//! A [`Problem`] travels as an extension of an empty response; the outermost middleware renders
//! it, because only there the request id is known. What a caller cannot act on says nothing
//! about the inside: its cause goes to the log, under the request id.

use std::borrow::Cow;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use everwit_runtime::store::StoreError;
use everwit_runtime::{Error, ErrorKind};
use serde::Serialize;
use utoipa::ToSchema;

use crate::components::CheckResult;

/// Media type of problem documents.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";
/// What a caller learns about a defect.
const INTERNAL_DETAIL: &str = "the server failed to handle the request; its log has the cause under the request id";
const UNAVAILABLE_DETAIL: &str = "something that the server needs is not available right now; try again";

/// One thing that is wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Finding {
    /// Stable code.
    #[schema(value_type = String, example = "too_long")]
    pub(crate) code: Cow<'static, str>,
    /// JSON Pointer into the request body; absent if it is not about a part of the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "/name")]
    pub(crate) pointer: Option<String>,
    /// What was found, and which rule it breaks.
    pub(crate) detail: String,
    /// How to put it right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fix: Option<String>,
}

impl Finding {
    /// A finding about the part of the body at `pointer`.
    pub(crate) fn at(pointer: impl Into<String>, code: &'static str, detail: impl Into<String>) -> Self {
        Self { code: code.into(), pointer: Some(pointer.into()), detail: detail.into(), fix: None }
    }

    /// Adds how to put it right.
    pub(crate) fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }
}

/// A refused or failed request; as a response it is an RFC 9457 problem document.
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    findings: Vec<Finding>,
    checks: Box<[CheckResult]>,
    retry_after_seconds: Option<u64>,
    cause: Option<Box<str>>,
}

impl Problem {
    /// A problem with a stable code and a sentence for the caller.
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), findings: Vec::new(), checks: Box::default(), retry_after_seconds: None, cause: None }
    }

    /// 400 with a code of its own.
    pub(crate) fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// 404. The sentence is the same for what does not exist and for what belongs to another org.
    pub(crate) fn not_found(what: &str, id: &str) -> Self {
        let shown: String = id.chars().take(100).collect();
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("{what} {shown:?} does not exist"))
    }

    /// 409 with a code of its own.
    pub(crate) fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    /// 412: the resource is not in the version that the caller has seen.
    pub(crate) fn stale(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PRECONDITION_FAILED, "stale", detail)
    }

    /// 422 with everything that is wrong with the body.
    pub(crate) fn invalid(findings: Vec<Finding>) -> Self {
        Self::findings(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body", "the request body is not acceptable", findings)
    }

    /// A problem that lists findings.
    pub(crate) fn findings(status: StatusCode, code: &'static str, what: &str, findings: Vec<Finding>) -> Self {
        let detail = match findings.as_slice() {
            [only] => format!("{what}: {}", only.detail),
            many => format!("{what}: {} problems, see errors", many.len()),
        };
        Self { findings, ..Self::new(status, code, detail) }
    }

    /// Adds the checks that were made of an upload.
    pub(crate) fn checks(self, checks: Vec<CheckResult>) -> Self {
        Self { checks: checks.into(), ..self }
    }

    /// 429 or 503: the same request may succeed after a while.
    pub(crate) fn busy(status: StatusCode, code: &'static str, detail: impl Into<String>, seconds: u64) -> Self {
        Self { retry_after_seconds: Some(seconds), ..Self::new(status, code, detail) }
    }

    /// 500 that tells the caller nothing but the request id.
    pub(crate) fn internal(cause: impl Into<String>) -> Self {
        Self { cause: Some(cause.into().into()), ..Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", INTERNAL_DETAIL) }
    }

    /// What is to be logged about it, if anything.
    pub(crate) fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// The complete response.
    pub(crate) fn render(self, request_id: &str) -> Response {
        let body = ProblemBody {
            problem_type: format!("urn:everwit:problem:{}", self.code),
            title: self.status.canonical_reason().unwrap_or("Error").to_owned(),
            status: self.status.as_u16(),
            code: self.code.to_owned(),
            error: ErrorSummary { code: self.code.to_owned(), message: self.detail.clone() },
            detail: self.detail,
            request_id: request_id.to_owned(),
            errors: self.findings,
            checks: self.checks.into_vec(),
            retry_after_seconds: self.retry_after_seconds,
        };
        let bytes = serde_json::to_vec(&body).expect("a problem has only string keys");
        let mut response = Response::new(Body::from(bytes));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"everwit\""));
        }
        response
    }

    /// The problem for an error response that no handler of ours made, such as a wrong method.
    pub(crate) fn of_bare_response(response: &Response) -> Option<Self> {
        let status = response.status();
        if !status.is_client_error() && !status.is_server_error() {
            return None;
        }
        Some(match status {
            StatusCode::NOT_FOUND => Self::new(status, "no_such_route", "there is no such route; /openapi.json lists all of them"),
            StatusCode::METHOD_NOT_ALLOWED => {
                Self::new(status, "method_not_allowed", "the route does not have this method; the Allow header lists those it has")
            }
            StatusCode::REQUEST_TIMEOUT => Self::new(status, "timeout", "the request body did not arrive in time"),
            other if other.is_client_error() => Self::new(other, "bad_request", "the request is malformed"),
            other => Self::internal(format!("a response of status {other} without a problem")),
        })
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error.kind() {
            ErrorKind::NotFound => Self::new(StatusCode::NOT_FOUND, "not_found", text),
            ErrorKind::Conflict => Self::conflict("conflict", text),
            ErrorKind::Invalid => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", text),
            ErrorKind::Denied => Self::new(StatusCode::FORBIDDEN, "denied", text),
            ErrorKind::Limit => Self::busy(StatusCode::TOO_MANY_REQUESTS, "limit", text, 5),
            ErrorKind::Unavailable => {
                Self { cause: Some(text.into()), ..Self::busy(StatusCode::SERVICE_UNAVAILABLE, "unavailable", UNAVAILABLE_DETAIL, 1) }
            }
            ErrorKind::Internal => Self::internal(text),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Duplicate { .. } => Self::conflict("duplicate", error.to_string()),
            StoreError::Stale { .. } => Self::conflict("stale", error.to_string()),
            StoreError::OtherKind { .. } => Self::conflict("other_kind", error.to_string()),
            StoreError::InUse { .. } => Self::conflict("in_use", error.to_string()),
            StoreError::LastOwner { .. } => Self::conflict("last_owner", error.to_string()),
            StoreError::TurnOpen { .. } => Self::conflict("turn_open", error.to_string()),
            _ => Error::from(error).into(),
        }
    }
}

/// An RFC 9457 problem document.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody {
    /// URN of the problem's kind.
    #[serde(rename = "type")]
    #[schema(example = "urn:everwit:problem:invalid_body")]
    problem_type: String,
    /// Reason phrase of the status.
    title: String,
    /// HTTP status.
    status: u16,
    /// A sentence about this occurrence.
    detail: String,
    /// Stable code, snake case.
    #[schema(example = "invalid_body")]
    code: String,
    /// Id of the request, as in the `X-Request-Id` header and in the server's log.
    request_id: String,
    /// Everything that is wrong, if it can be listed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Finding>,
    /// Every check of an upload that is rejected, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    checks: Vec<CheckResult>,
    /// Seconds after which the same request may succeed.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_seconds: Option<u64>,
    /// The same in short, for clients that know no problem documents.
    error: ErrorSummary,
}

/// Code and sentence of a problem.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorSummary {
    /// Stable code, snake case.
    code: String,
    /// A sentence about this occurrence.
    message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(error: Error, status: u16, code: &str) {
        let problem = Problem::from(error);
        assert_eq!((problem.status.as_u16(), problem.code), (status, code), "{problem:?}");
    }

    #[test]
    fn every_kind_of_error_has_its_status() {
        check(Error::NotFound { what: "agent", id: "x".into() }, 404, "not_found");
        check(Error::Conflict("c".into()), 409, "conflict");
        check(Error::Invalid("i".into()), 422, "invalid");
        check(Error::Limit("l".into()), 429, "limit");
        check(StoreError::Unavailable("disk".into()).into(), 503, "unavailable");
        check(StoreError::Corrupt("row".into()).into(), 500, "internal");
        check(Error::Sandbox("s".into()), 500, "internal");
    }

    #[test]
    fn a_defect_tells_the_caller_nothing_and_the_log_everything() {
        let problem = Problem::from(StoreError::Corrupt("agents.status of agent_1".into()));
        assert_eq!(problem.detail, INTERNAL_DETAIL);
        assert!(problem.cause().is_some_and(|cause| cause.contains("agents.status")));
        let unavailable = Problem::from(StoreError::Unavailable("/var/lib/x.db".into()));
        assert_eq!(unavailable.detail, UNAVAILABLE_DETAIL);
        assert!(unavailable.cause().is_some());
    }

    #[test]
    fn one_finding_is_told_in_the_detail_and_many_are_counted() {
        let one = Problem::invalid(vec![Finding::at("/name", "too_long", "name is too long")]);
        assert!(one.detail.contains("name is too long"));
        let two = Problem::invalid(vec![Finding::at("/a", "x", "a"), Finding::at("/b", "x", "b")]);
        assert!(two.detail.contains("2 problems"));
    }
}
