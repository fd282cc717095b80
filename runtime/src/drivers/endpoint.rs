//! URLs and credentials of requests.

use secrecy::ExposeSecret;
use serde_json::Value;
use url::Url;

use crate::driver::{CodecRequest, DriverConfig, DriverError, DriverErrorKind, DriverId};

/// A request that carries JSON.
pub(super) struct Endpoint {
    url: Url,
    headers: Vec<(String, String)>,
}

impl Endpoint {
    /// The base URL of a configuration.
    ///
    /// # Errors
    /// `Configuration` if it is none that paths can be added to.
    pub(super) fn new(config: &DriverConfig) -> Result<Self, DriverError> {
        let text = config.base_url.as_deref().ok_or_else(|| configuration("the provider has no base URL"))?;
        let url = Url::parse(text).map_err(|_| configuration("the base URL of the provider is no URL"))?;
        let plain = matches!(url.scheme(), "http" | "https") && url.query().is_none() && url.fragment().is_none();
        if !plain || !url.username().is_empty() || url.password().is_some() {
            return Err(configuration("the base URL of the provider must be http or https, without user, query and fragment"));
        }
        Ok(Self { url, headers: Vec::new() })
    }

    /// The last segment of the path so far; empty if there is none.
    pub(super) fn last_segment(&self) -> &str {
        self.url.path().trim_end_matches('/').rsplit('/').next().unwrap_or_default()
    }

    /// Whether it is a place of this host.
    pub(super) fn is_at(&self, host: &str) -> bool {
        self.url.host_str() == Some(host)
    }

    /// Adds a version to the path, unless the base URL ends in one: people paste both.
    #[must_use]
    pub(super) fn version(self, version: &str) -> Self {
        let has_one = self.last_segment().strip_prefix('v').is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()));
        if has_one { self } else { self.path(&[version]) }
    }

    /// Adds segments to the path; each is escaped, whatever it holds.
    #[must_use]
    pub(super) fn path(mut self, segments: &[&str]) -> Self {
        if let Ok(mut path) = self.url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        self
    }

    /// Sets the query.
    #[must_use]
    pub(super) fn query(mut self, name: &str, value: &str) -> Self {
        self.url.query_pairs_mut().append_pair(name, value);
        self
    }

    /// Adds a header field.
    #[must_use]
    pub(super) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Adds a header field that may be missing.
    #[must_use]
    pub(super) fn optional_header(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.header(name, value),
            None => self,
        }
    }

    /// The request.
    pub(super) fn post(self, body: &Value) -> CodecRequest {
        let mut headers = self.headers;
        headers.push(("content-type".to_owned(), "application/json".to_owned()));
        CodecRequest { method: "POST".to_owned(), url: self.url.into(), headers, body: body.to_string().into() }
    }
}

/// The API key of a configuration, the only place where one is looked for.
///
/// # Errors
/// `Configuration` if there is none, or one that no header field can carry.
pub(super) fn api_key<'c>(config: &'c DriverConfig, driver: &DriverId) -> Result<&'c str, DriverError> {
    let key = config.api_key.as_ref().map(|key| key.expose_secret()).unwrap_or_default();
    if key.trim().is_empty() {
        let message =
            format!("the provider has no API key; the driver {driver} takes it from the provider alone, not from the environment");
        return Err(configuration(message));
    }
    if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(configuration("the API key of the provider has spaces or other characters that no key has"));
    }
    Ok(key)
}

/// A value of the provider's `metadata.extra` that is text.
pub(super) fn extra<'c>(config: &'c DriverConfig, name: &str) -> Option<&'c str> {
    config.metadata.as_ref()?.extra.as_ref()?.get(name)?.as_str().filter(|value| !value.is_empty())
}

pub(super) fn configuration(message: impl Into<String>) -> DriverError {
    DriverError::new(DriverErrorKind::Configuration, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(base_url: &str) -> Result<Endpoint, DriverError> {
        Endpoint::new(&DriverConfig { base_url: Some(base_url.to_owned()), ..DriverConfig::default() })
    }

    #[test]
    fn paths_are_added_and_escaped() {
        let url = |base, segments: &[&str]| endpoint(base).expect("it is a base URL").version("v1").path(segments).post(&Value::Null).url;
        assert_eq!(url("https://a.test", &["x"]), "https://a.test/v1/x");
        assert_eq!(url("https://a.test/v1/", &["x"]), "https://a.test/v1/x");
        assert_eq!(url("https://a.test/v1beta", &["x"]), "https://a.test/v1beta/x");
        assert_eq!(url("https://a.test/proxy", &["a/b?c#d", "../e"]), "https://a.test/proxy/v1/a%2Fb%3Fc%23d/..%2Fe");
        assert_eq!(url("https://a.test", &["arn:aws:x/y"]), "https://a.test/v1/arn:aws:x%2Fy");
    }

    #[test]
    fn a_base_url_is_nothing_more() {
        for wrong in ["", "a.test", "ftp://a.test", "https://u:p@a.test", "https://a.test?key=x", "https://a.test#x"] {
            let kind = endpoint(wrong).err().map(|error| error.kind);
            assert_eq!(kind, Some(DriverErrorKind::Configuration), "{wrong:?}");
        }
    }

    #[test]
    fn keys_come_from_the_configuration_and_are_printable() {
        let kind = |key: Option<&str>| {
            let config = DriverConfig { api_key: key.map(Into::into), ..DriverConfig::default() };
            api_key(&config, &DriverId::OpenAi).map(str::to_owned).map_err(|error| error.kind)
        };
        assert_eq!(kind(Some("sk-1")), Ok("sk-1".to_owned()));
        for wrong in [None, Some(""), Some(" "), Some("a b"), Some("a\nb"), Some("ä")] {
            assert_eq!(kind(wrong), Err(DriverErrorKind::Configuration), "{wrong:?}");
        }
    }
}
