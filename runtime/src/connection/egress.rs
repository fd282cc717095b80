//! How connection providers reach their third party: one host list, few requests, small answers.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::Instant;
use url::Url;

use crate::component::{Grant, HttpPermission};
use crate::egress::{EgressError, EgressErrorKind, EgressQuota, EgressRequest, Gateway};
use crate::id::OrgId;

/// Requests of one validation, or of one exchange of tokens.
const MAX_REQUESTS: u32 = 4;
/// Bytes of their bodies together.
const MAX_BYTES: u64 = 1 << 20;
/// Bytes of one answer.
const MAX_ANSWER_BYTES: usize = 256 << 10;
/// How long one request may take, answer included.
const PATIENCE: Duration = Duration::from_secs(15);

/// The way out for one provider on behalf of one org.
pub struct ConnectionEgress<'a> {
    gateway: &'a Gateway,
    org: OrgId,
    grant: Grant,
}

impl<'a> ConnectionEgress<'a> {
    /// Requests may go to `hosts`, in the form of [`super::ConnectionProvider::hosts`].
    pub(super) fn to_hosts(gateway: &'a Gateway, org: OrgId, hosts: &[String]) -> Self {
        let http = hosts.iter().map(|host| permission(host.clone(), &["GET", "POST"])).collect();
        Self { gateway, org, grant: Grant { http, ..Grant::default() } }
    }

    /// Requests may go to the host of a URL.
    pub(super) fn to_url(gateway: &'a Gateway, org: OrgId, url: &Url) -> Self {
        Self { gateway, org, grant: Grant { http: vec![permission(host_of(url), &["POST"])], ..Grant::default() } }
    }

    /// Sends a request and reads the whole answer: its status and body.
    ///
    /// # Errors
    /// Those of the gateway; `denied` for a host that is not the provider's, `limit` for more than
    /// 256 KiB.
    pub async fn send(&self, request: EgressRequest) -> Result<(u16, Bytes), EgressError> {
        let mut quota = EgressQuota::new(MAX_REQUESTS, MAX_BYTES, Instant::now() + PATIENCE);
        let mut response = self.gateway.send(&self.org.to_string(), &self.grant, request, &mut quota).await?;
        let mut body = BytesMut::new();
        while let Some(piece) = response.chunk(MAX_ANSWER_BYTES).await? {
            if body.len() + piece.len() > MAX_ANSWER_BYTES {
                let message = format!("the answer has more than {MAX_ANSWER_BYTES} bytes");
                return Err(EgressError::new(EgressErrorKind::Limit, message).after_sending());
            }
            body.extend_from_slice(&piece);
        }
        Ok((response.status(), body.freeze()))
    }
}

fn permission(host: String, methods: &[&str]) -> HttpPermission {
    HttpPermission { host, methods: methods.iter().map(|&method| method.to_owned()).collect(), path_prefix: None, reason: String::new() }
}

/// The host of a URL as grants write it.
pub(crate) fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match (url.scheme(), url.port_or_known_default()) {
        ("https", Some(443)) | (_, None) => host.to_owned(),
        (_, Some(port)) => format!("{host}:{port}"),
    }
}
