//! Requests: as a caller asks, and as checked against a grant.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderMap, USER_AGENT};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, header};
use http_body_util::Full;
use url::{Host, Url};

use super::{EgressError, ReuseKey, Timeouts, headers};
use crate::component::{Grant, HttpRequestParts};
use crate::mutation::off;

/// Length of a URL, in bytes.
pub const MAX_URL_BYTES: usize = 8 << 10;
/// Of a URL in messages and log lines, in bytes.
const SHOWN_URL_BYTES: usize = 200;

/// `CONNECT` and `TRACE` are for proxies and for debugging them.
const METHODS: [Method; 7] = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];

/// Sent if the caller names no user agent.
const OWN_USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("everwit/", env!("CARGO_PKG_VERSION")));

/// A request as a caller asks for it. Its `Debug` shows no URL, value or body.
#[derive(Clone, Default)]
pub struct EgressRequest {
    /// Method in any case.
    pub method: String,
    /// Absolute http or https URL without user information, at most [`MAX_URL_BYTES`].
    pub url: String,
    /// Header fields in order, names in any case.
    pub headers: Vec<(String, String)>,
    /// The body; empty means none.
    pub body: Bytes,
    /// Time for the whole request, body of the response included; within the call's own. If set,
    /// the gateway's limit for the first byte does not apply.
    pub timeout: Option<Duration>,
    /// How long to wait for what, instead of the gateway's own. For callers on the host, such as
    /// streams of models that think for long.
    pub timeouts: Option<Timeouts>,
    /// Lets the request use an idle connection of an earlier one with the same key, and leave its
    /// own behind. None means a connection for this request alone.
    pub reuse: Option<ReuseKey>,
}

impl fmt::Debug for EgressRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EgressRequest")
            .field("method", &self.method)
            .field("headers", &self.headers.len())
            .field("body", &self.body.len())
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// A request that its grant allows. Whoever holds secrets puts them in here, knowing from the
/// parsed URL where they go; method, scheme, host, port and path cannot be changed any more.
pub struct CheckedRequest {
    url: Url,
    port: u16,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
    pub(super) timeout: Option<Duration>,
    pub(super) timeouts: Option<Timeouts>,
    pub(super) reuse: Option<ReuseKey>,
}

impl fmt::Debug for CheckedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckedRequest").field("method", &self.method).field("url", &self.shown_url()).finish_non_exhaustive()
    }
}

impl CheckedRequest {
    /// Parses a request and asks its grant. Pure: no name is resolved.
    ///
    /// # Errors
    /// `invalid`, `limit` or `denied`.
    pub(super) fn new(grant: &Grant, request: EgressRequest) -> Result<Self, EgressError> {
        let method = parse_method(&request.method)?;
        let (url, port) = parse_url(&request.url)?;
        grant.allows_request(&HttpRequestParts {
            method: method.as_str(),
            host: url.host_str().unwrap_or_default(),
            port,
            // A host without a port is a grant for HTTPS: plain HTTP has to be asked for.
            default_port: url.scheme() == "https" && port == 443,
            path: url.path(),
        })?;
        let headers = headers::check(&request.headers)?;
        let EgressRequest { body, timeout, timeouts, reuse, .. } = request;
        Ok(Self { url, port, method, headers, body, timeout, timeouts, reuse })
    }

    /// Whether it goes over TLS.
    pub fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// The method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The host, lower case; an IPv6 address in brackets.
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What `Host` says: the host, and the port if it is not the scheme's own.
    pub fn authority(&self) -> &str {
        &self.url[url::Position::BeforeHost..url::Position::AfterPort]
    }

    /// The path, starting with a slash.
    pub fn path(&self) -> &str {
        self.url.path()
    }

    /// The header fields that will leave, except for those that the gateway sets.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// To put a secret in its place. `Host` and the framing are set after this.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.headers
    }

    /// The query, without its question mark.
    pub fn query(&self) -> Option<&str> {
        self.url.query()
    }

    /// Replaces the query, to put a secret in its place.
    pub fn set_query(&mut self, query: Option<&str>) {
        self.url.set_query(query);
    }

    /// The body.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    pub(super) fn parsed_host(&self) -> Option<Host<&str>> {
        self.url.host()
    }

    /// The URL without its query, cut to a length for messages. The parser has escaped
    /// whatever is not printable ASCII.
    pub(super) fn shown_url(&self) -> &str {
        let text = &self.url[..url::Position::AfterPath];
        text.get(..SHOWN_URL_BYTES).unwrap_or(text)
    }

    /// What goes over the wire: origin form, our `Host`, and no second request on a connection that
    /// is not to be used again.
    pub(super) fn to_http(&self) -> Result<http::Request<Full<Bytes>>, EgressError> {
        let target = &self.url[url::Position::BeforePath..url::Position::AfterQuery];
        let target: PathAndQuery =
            target.parse().map_err(|_| EgressError::invalid("the path or query of the URL has characters that HTTP does not allow"))?;
        let host = HeaderValue::from_str(self.authority()).map_err(|_| EgressError::invalid("the host of the URL is not valid in HTTP"))?;
        let mut request = http::Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = target.into();
        *request.headers_mut() = self.headers.clone();
        let headers = request.headers_mut();
        headers.insert(header::HOST, host);
        for hop_by_hop in [header::CONNECTION, header::CONTENT_LENGTH, header::TRANSFER_ENCODING] {
            headers.remove(hop_by_hop);
        }
        if self.reuse.is_none() {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        headers.entry(USER_AGENT).or_insert(OWN_USER_AGENT);
        Ok(request)
    }
}

/// The one place where the case of a method is settled.
fn parse_method(text: &str) -> Result<Method, EgressError> {
    METHODS
        .into_iter()
        .find(|method| method.as_str().eq_ignore_ascii_case(text))
        .ok_or_else(|| EgressError::invalid("the method is none of GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS"))
}

/// The URL and its port, the scheme's default included.
fn parse_url(text: &str) -> Result<(Url, u16), EgressError> {
    if text.len() > MAX_URL_BYTES && !off("egress.url_bytes") {
        return Err(EgressError::limit(format!("the URL has {} bytes; at most {MAX_URL_BYTES} can be sent", text.len())));
    }
    // The parser drops tabs and newlines wherever they are; a URL that holds one is a mistake or a trick.
    if text.chars().any(|character| character.is_ascii_control() || character == ' ') {
        return Err(EgressError::invalid("the URL has a space or a control character; percent-encode it"));
    }
    let url = Url::parse(text).map_err(|error| EgressError::invalid(format!("the URL cannot be parsed: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(EgressError::invalid("the scheme of the URL is neither http nor https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(EgressError::invalid("the URL has user information; send an authorization header"));
    }
    let port = url.port_or_known_default().filter(|&port| port != 0).ok_or_else(|| EgressError::invalid("the port of the URL is 0"))?;
    Ok((url, port))
}

#[cfg(test)]
mod tests {
    use super::super::EgressErrorKind;
    use super::*;
    use crate::component::HttpPermission;

    fn check(hosts: &[&str], method: &str, url: &str) -> Result<CheckedRequest, EgressErrorKind> {
        let permission = |host: &&str| HttpPermission {
            host: (*host).to_owned(),
            methods: vec!["GET".to_owned(), "POST".to_owned()],
            path_prefix: Some("/v1".to_owned()),
            reason: String::new(),
        };
        let grant = Grant { http: hosts.iter().map(permission).collect(), ..Grant::default() };
        let request = EgressRequest { method: method.to_owned(), url: url.to_owned(), ..EgressRequest::default() };
        CheckedRequest::new(&grant, request).map_err(|error| error.kind)
    }

    #[test]
    fn what_is_no_plain_http_request_is_invalid() {
        for url in [
            "",
            "/v1",
            "a.test/v1",
            "ftp://a.test/v1",
            "file:///v1",
            "data:,x",
            "https://u@a.test/v1",
            "https://u:p@a.test/v1",
            "https://:p@a.test/v1",
            "https://a.test:0/v1",
            "https://a.test:99999/v1",
            "https://a b.test/v1",
            "https://a.test/v1\n",
            "ht\ttps://a.test/v1",
            "https://[fe80::1%25lo]/v1",
            "https://evil%00.test/v1",
            "https:///",
        ] {
            assert_eq!(check(&["a.test"], "GET", url).err(), Some(EgressErrorKind::Invalid), "{url:?}");
        }
        for method in ["", "CONNECT", "TRACE", "GET ", "G\r\nT", "PROPFIND", "ＧＥＴ"] {
            assert_eq!(check(&["a.test"], method, "https://a.test/v1").err(), Some(EgressErrorKind::Invalid), "{method:?}");
        }
        let long = format!("https://a.test/v1/{}", "x".repeat(MAX_URL_BYTES));
        assert_eq!(check(&["a.test"], "GET", &long).err(), Some(EgressErrorKind::Limit));
    }

    #[test]
    fn the_grant_is_asked_about_the_parsed_request() {
        for (method, url, expect) in [
            ("GET", "https://a.test/v1/x?y", true),
            ("get", "HTTPS://A.TEST:443/v1", true),
            ("Post", "https://a.test/v1/./x", true),
            ("DELETE", "https://a.test/v1", false),
            ("GET", "https://a.test/v1/../admin", false),
            ("GET", "https://a.test/v1/%2e%2e/admin", false),
            ("GET", "https://a.test/v1/..%2fadmin", false),
            ("GET", "https://a.test\\@b.test/v1", false),
            ("GET", "https://a.test#@b.test/v1", false),
            ("GET", "https://a.test./v1", false),
            ("GET", "https://a.test:8443/v1", false),
            ("GET", "https://b.test/v1", false),
            ("GET", "http://a.test/v1", false),
            ("GET", "http://a.test:443/v1", true),
            ("GET", "http://plain.test/v1", true),
            ("GET", "https://plain.test/v1", false),
        ] {
            let checked = check(&["a.test", "a.test:443", "plain.test:80"], method, url);
            // `a.test:443` also covers plain HTTP on that port; the scheme is the operator's choice there.
            assert_eq!(checked.is_ok(), expect, "{method} {url}");
        }
    }

    #[test]
    fn nothing_that_may_be_secret_is_shown() {
        let checked = check(&["a.test"], "GET", "https://a.test/v1/x?key=canary#canary").expect("it is allowed");
        assert_eq!(checked.shown_url(), "https://a.test/v1/x");
        assert!(!format!("{checked:?}").contains("canary"));
        let request = EgressRequest { url: "https://a.test/?canary".to_owned(), body: "canary".into(), ..EgressRequest::default() };
        assert!(!format!("{request:?}").contains("canary"));
    }

    #[test]
    fn host_and_framing_are_ours_even_after_secrets_were_put_in() {
        let mut checked = check(&["a.test"], "POST", "https://a.test:443/v1/x?a=b#f").expect("it is allowed");
        for name in ["host", "content-length", "transfer-encoding", "connection"] {
            checked.headers_mut().append(name, HeaderValue::from_static("evil"));
        }
        checked.set_query(Some("a=c"));
        let request = checked.to_http().expect("it can be sent");
        assert_eq!(request.uri(), "/v1/x?a=c");
        let mut headers: Vec<_> = request.headers().iter().map(|(name, value)| format!("{name}: {value:?}")).collect();
        headers.sort();
        assert_eq!(headers[..2], ["connection: \"close\"", "host: \"a.test\""]);
        assert_eq!(headers.len(), 3);
    }
}
