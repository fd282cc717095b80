//! A bucket of S3, or of what speaks its protocol. Requests leave through a gateway of its own, which reaches the
//! bucket's endpoint and nothing else.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::client::{HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService};
use object_store::list::{PaginatedListOptions, PaginatedListStore as _};
use object_store::path::Path;
use object_store::{BackoffConfig, ClientOptions, ObjectStoreExt as _, RetryConfig};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::Instant;
use url::Url;

use super::BlobStore;
use crate::Error;
use crate::component::{Grant, HttpPermission};
use crate::egress::{EgressError, EgressErrorKind, EgressQuota, EgressRequest, Gateway, GatewayConfig};
use crate::limits::MAX_COMPONENT_BYTES;
use crate::store::{StoreError, StoreResult};

/// Time for one request: 32 MiB at 5 Mbit/s take 54 s.
const REQUEST_TIME: Duration = Duration::from_secs(60);
/// How often a request is repeated that the bucket could not serve.
const RETRIES: usize = 2;
/// After this long it is not repeated any more.
const RETRY_TIME: Duration = Duration::from_secs(90);
/// Pauses before repetitions.
const PAUSES: BackoffConfig = BackoffConfig { init_backoff: Duration::from_millis(100), max_backoff: Duration::from_secs(2), base: 4.0 };
/// Bytes of an answer's body: a component, or a page of a list with one entry.
const MAX_ANSWER_BYTES: u64 = MAX_COMPONENT_BYTES as u64;
/// Letters of an error code in what is shown of a refusal.
const MAX_CODE_LETTERS: usize = 64;
/// Characters of a name of a bucket.
const BUCKET_CHARACTERS: std::ops::RangeInclusive<usize> = 3..=63;
/// Characters of a prefix; keys have at most 1,024, and 110 are this crate's.
const MAX_PREFIX_CHARACTERS: usize = 256;
/// Characters of a region and of an access key's id.
const MAX_NAME_CHARACTERS: usize = 128;

/// Which bucket, and how to get in.
#[derive(Debug, Clone)]
pub struct S3Config {
    /// Name of the bucket, 3 to 63 lower-case letters, digits, dots and hyphens.
    pub bucket: String,
    /// What all keys begin with, without a slash at its end: letters, digits, `-`, `_`, `.` and `/`, at most 256; empty for none.
    pub prefix: String,
    /// Origin of the service, http or https, for example `https://s3.eu-central-1.amazonaws.com`. The bucket is the
    /// first part of the path.
    pub endpoint: Url,
    /// Region that requests are signed for, for example `eu-central-1`.
    pub region: String,
    /// Id of the access key.
    pub access_key_id: String,
    /// The access key's secret. It signs requests, and never leaves.
    pub secret_access_key: SecretString,
}

impl fmt::Display for S3Config {
    /// Without credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the bucket {} at {}", self.bucket, self.endpoint.origin().ascii_serialization())?;
        if self.prefix.is_empty() { Ok(()) } else { write!(f, ", below {}/", self.prefix) }
    }
}

impl S3Config {
    /// All that is wrong, each by the name of its field.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let Self { bucket, prefix, endpoint, region, access_key_id, secret_access_key } = self;
        let mut problems = Vec::new();
        let mut expect = |is_right: bool, field, problem: String| {
            if !is_right {
                problems.push((field, problem));
            }
        };
        let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-');
        expect(
            BUCKET_CHARACTERS.contains(&bucket.len()) && bucket.bytes().all(is_name),
            "bucket",
            format!("{bucket:?} is no name of a bucket: 3 to 63 lower-case letters, digits, dots and hyphens"),
        );
        let is_key = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/');
        expect(
            prefix.len() <= MAX_PREFIX_CHARACTERS
                && prefix.bytes().all(is_key)
                && Path::parse(prefix).is_ok_and(|path| path.as_ref() == prefix),
            "prefix",
            format!(
                "{prefix:?} is no prefix: at most {MAX_PREFIX_CHARACTERS} letters, digits, hyphens, underscores, dots and slashes between them"
            ),
        );
        let is_origin = endpoint.path() == "/" && endpoint.query().is_none() && endpoint.fragment().is_none();
        let is_plain = endpoint.username().is_empty() && endpoint.password().is_none();
        expect(
            matches!(endpoint.scheme(), "http" | "https") && endpoint.has_host() && is_origin && is_plain,
            "endpoint",
            "it is no http or https URL of a host alone, such as https://s3.eu-central-1.amazonaws.com".to_owned(),
        );
        let is_word =
            |text: &str| !text.is_empty() && text.len() <= MAX_NAME_CHARACTERS && text.bytes().all(|byte| byte.is_ascii_graphic());
        expect(is_word(region) && region.bytes().all(is_name), "region", format!("{region:?} is no region, such as eu-central-1"));
        expect(is_word(access_key_id), "access_key_id", format!("it has 1 to {MAX_NAME_CHARACTERS} printable ASCII characters"));
        expect(
            is_word(secret_access_key.expose_secret()),
            "secret_access_key",
            format!("it has 1 to {MAX_NAME_CHARACTERS} printable ASCII characters"),
        );
        problems
    }
}

/// Bytes of components in a bucket.
#[derive(Debug)]
pub struct S3Bucket {
    store: AmazonS3,
    prefix: String,
    shown: String,
}

impl S3Bucket {
    /// A bucket; whether it is there shows the first call.
    ///
    /// # Errors
    /// `Invalid` with all that is wrong with the configuration; that there are no roots of trust.
    pub fn new(config: &S3Config) -> Result<Self, Error> {
        let problems: Vec<String> = config.problems().into_iter().map(|(field, problem)| format!("{field}: {problem}")).collect();
        if !problems.is_empty() {
            return Err(Error::Invalid(problems.join("; ")));
        }
        let store = AmazonS3Builder::new()
            .with_bucket_name(&config.bucket)
            .with_region(&config.region)
            .with_endpoint(config.endpoint.origin().ascii_serialization())
            .with_access_key_id(&config.access_key_id)
            .with_secret_access_key(config.secret_access_key.expose_secret())
            .with_virtual_hosted_style_request(false)
            .with_allow_http(config.endpoint.scheme() == "http")
            // Its digest is checked by whoever reads it, and hashing it here would hold up a thread that others wait for.
            .with_unsigned_payload(true)
            // One object at a time is deleted, for which there is a simpler request that all services know.
            .with_disable_bulk_delete(true)
            .with_retry(RetryConfig { backoff: PAUSES, max_retries: RETRIES, retry_timeout: RETRY_TIME })
            .with_http_connector(Way::new(config)?)
            .build()
            .map_err(|error| Error::Invalid(error.to_string()))?;
        let prefix = if config.prefix.is_empty() { String::new() } else { format!("{}/", config.prefix) };
        Ok(Self { store, prefix, shown: config.to_string() })
    }

    fn path(&self, key: &str) -> StoreResult<Path> {
        Path::parse(format!("{}{key}", self.prefix))
            .map_err(|error| StoreError::Invalid(format!("{key:?} is no key of an object: {error}")))
    }

    fn failed(&self, error: &object_store::Error) -> StoreError {
        StoreError::Unavailable(format!("{}: {error}", self.shown))
    }
}

#[async_trait]
impl BlobStore for S3Bucket {
    async fn put(&self, key: &str, bytes: Bytes) -> StoreResult<()> {
        self.store.put(&self.path(key)?, bytes.into()).await.map(drop).map_err(|error| self.failed(&error))
    }

    async fn get(&self, key: &str) -> StoreResult<Option<Bytes>> {
        let read = match self.store.get(&self.path(key)?).await {
            Ok(object) => object.bytes().await,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => Err(error),
        };
        read.map(Some).map_err(|error| self.failed(&error))
    }

    async fn delete(&self, key: &str) -> StoreResult<()> {
        match self.store.delete(&self.path(key)?).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed(&error)),
        }
    }

    async fn check(&self) -> StoreResult<()> {
        // Unlike the question for an object, this one tells an absent object from an absent bucket.
        let options = PaginatedListOptions { max_keys: Some(1), ..PaginatedListOptions::default() };
        self.store.list_paginated(Some(&self.prefix), options).await.map(drop).map_err(|error| self.failed(&error))
    }
}

/// The way to a bucket, and to nowhere else.
struct Way {
    gateway: std::sync::Arc<Gateway>,
    grant: std::sync::Arc<Grant>,
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Way").finish_non_exhaustive()
    }
}

impl Way {
    fn new(config: &S3Config) -> Result<Self, Error> {
        let (host, port) = (config.endpoint.host_str().unwrap_or_default(), config.endpoint.port_or_known_default().unwrap_or_default());
        let place = format!("{host}:{port}");
        let target = place.parse().map_err(|error| Error::Invalid(format!("endpoint: {error}")))?;
        // Whoever names it means it, be it in an own network or not.
        let gateway = Gateway::new(GatewayConfig { private_targets: vec![target], ..GatewayConfig::default() })?;
        let permission = HttpPermission {
            host: place,
            methods: ["GET", "PUT", "DELETE"].map(str::to_owned).into(),
            path_prefix: Some(format!("/{}", config.bucket)),
            reason: String::new(),
        };
        Ok(Self { gateway: gateway.into(), grant: Grant { http: vec![permission], ..Grant::default() }.into() })
    }

    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, EgressError> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(|error| EgressError::new(EgressErrorKind::Internal, error.to_string()))?.to_bytes();
        let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let request = EgressRequest {
            method: head.method.to_string(),
            url: head.uri.to_string(),
            headers: head.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
            timeout: Some(REQUEST_TIME),
            body,
            ..EgressRequest::default()
        };
        let mut quota = EgressQuota::new(1, request.body.len() as u64 + MAX_ANSWER_BYTES, Instant::now() + REQUEST_TIME);
        let mut response = self.gateway.send("components", &self.grant, request, &mut quota).await?;
        let mut answer = Vec::new();
        while let Some(piece) = response.chunk(MAX_COMPONENT_BYTES).await? {
            answer.extend_from_slice(&piece);
        }
        let mut told = http::Response::new(Bytes::new());
        *told.status_mut() = http::StatusCode::from_u16(response.status())
            .map_err(|error| EgressError::new(EgressErrorKind::Protocol, error.to_string()))?;
        *told.headers_mut() = response.headers().clone();
        // Refusals repeat what was signed; the code says what is wrong.
        *told.body_mut() = if told.status().is_success() { answer.into() } else { code(&answer).into() };
        Ok(told.map(Into::into))
    }
}

#[async_trait]
impl HttpService for Way {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        self.send(request).await.map_err(|error| {
            let kind = match error.kind {
                EgressErrorKind::Dns | EgressErrorKind::Connect => HttpErrorKind::Connect,
                EgressErrorKind::Timeout => HttpErrorKind::Timeout,
                EgressErrorKind::Protocol => HttpErrorKind::Interrupted,
                _ => HttpErrorKind::Unknown,
            };
            HttpError::new(kind, error)
        })
    }
}

impl HttpConnector for Way {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Self { gateway: self.gateway.clone(), grant: self.grant.clone() }))
    }
}

/// The code of an error of S3, such as `NoSuchBucket`; empty if there is none.
fn code(answer: &[u8]) -> String {
    let answer = String::from_utf8_lossy(answer);
    let code = answer.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>")).map_or("", |(code, _)| code);
    code.chars().filter(char::is_ascii_alphanumeric).take(MAX_CODE_LETTERS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> S3Config {
        S3Config {
            bucket: "components".to_owned(),
            prefix: String::new(),
            endpoint: "https://s3.eu-central-1.amazonaws.com".parse().expect("a URL"),
            region: "eu-central-1".to_owned(),
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: "canary".into(),
        }
    }

    #[test]
    fn a_configuration_names_what_is_wrong() {
        assert_eq!(config().problems(), []);
        let url = |text: &str| text.parse().expect("a URL");
        type Change = fn(&mut S3Config);
        let wrong: [(&str, Change); 8] = [
            ("bucket", |config| config.bucket = "Bucket".to_owned()),
            ("bucket", |config| config.bucket = "a/b".to_owned()),
            ("prefix", |config| config.prefix = "a/".to_owned()),
            ("prefix", |config| config.prefix = "a/../b".to_owned()),
            ("prefix", |config| config.prefix = "a?b".to_owned()),
            ("region", |config| config.region = String::new()),
            ("access_key_id", |config| config.access_key_id = "a b".to_owned()),
            ("secret_access_key", |config| config.secret_access_key = "".into()),
        ];
        for (field, change) in wrong {
            let mut config = config();
            change(&mut config);
            assert_eq!(config.problems().iter().map(|(field, _)| *field).collect::<Vec<_>>(), [field], "{config}");
        }
        for endpoint in ["ftp://a.test", "https://a.test/path", "https://a.test?x", "https://u:canary@a.test"] {
            let config = S3Config { endpoint: url(endpoint), ..config() };
            assert_eq!(config.problems().len(), 1, "{endpoint}");
            assert!(S3Bucket::new(&config).is_err_and(|error| !error.to_string().contains("canary")), "{endpoint}");
        }
    }

    #[test]
    fn nothing_shows_the_secret() {
        let bucket = S3Bucket::new(&config()).expect("a bucket");
        assert!(!format!("{:?} {} {bucket:?}", config(), config()).contains("canary"));
    }

    #[test]
    fn of_a_refusal_the_code_is_shown() {
        let refusal = b"<Error><Code>SignatureDoesNotMatch</Code><StringToSign>canary</StringToSign></Error>";
        assert_eq!(code(refusal), "SignatureDoesNotMatch");
        assert_eq!(code(b"<Code>a\x1b[2J</Code>"), "a2J");
        assert_eq!(code(b"<html>"), "");
    }
}
