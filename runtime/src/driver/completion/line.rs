//! The way of one completion to its vendor: origin, timeouts, quota.

use tokio::time::Instant;
use url::Url;

use crate::component::{Grant, HttpPermission};
use crate::driver::{CodecRequest, CompletionTimeouts, DriverConfig, DriverContext, DriverError, DriverErrorKind};
use crate::egress::{EgressQuota, EgressRequest, EgressResponse, ReuseKey, Timeouts};

/// Requests of one try: its own, exchanges of tokens, and once more after a void token.
const MAX_REQUESTS: u32 = 8;
/// Bytes of all request and response bodies of one try. A conversation with many pictures goes
/// in; an answer has its own limit.
const MAX_BODY_BYTES: u64 = 128 << 20;
/// The member of a provider's metadata that names where tokens are exchanged, if that is another
/// origin than the base URL's.
const TOKEN_URL: &str = "token_url";

/// See the module.
pub(in crate::driver) struct Line {
    context: DriverContext,
    origin: Url,
    token_origin: Url,
    timeouts: CompletionTimeouts,
    deadline: Instant,
}

impl Line {
    /// The way to the base URL of a configuration. The time begins to run.
    pub(in crate::driver) fn new(config: &DriverConfig, context: &DriverContext) -> Result<Self, DriverError> {
        let origin = parse("the base URL", config.base_url.as_deref().unwrap_or_default())?;
        let token_origin = match config.extra(TOKEN_URL).map(|url| url.as_str().unwrap_or_default()) {
            Some(url) => parse("token_url of the provider", url)?,
            None => origin.clone(),
        };
        let timeouts = config.timeouts(context.host.settings.timeouts)?;
        Ok(Self { context: context.clone(), origin, token_origin, timeouts, deadline: Instant::now() + timeouts.total })
    }

    /// What a try may use of the network.
    pub(in crate::driver) fn quota(&self) -> EgressQuota {
        EgressQuota::new(MAX_REQUESTS, MAX_BODY_BYTES, self.deadline)
    }

    /// Sends a request to the origin of the base URL and waits for the head of its response.
    ///
    /// # Errors
    /// `Configuration` for another origin; otherwise what went wrong on the way.
    pub(in crate::driver) async fn send(
        &self,
        request: CodecRequest,
        reuse: Option<ReuseKey>,
        quota: &mut EgressQuota,
    ) -> Result<EgressResponse, DriverError> {
        self.send_to(&self.origin, request, reuse, quota).await
    }

    /// The same to where tokens are exchanged.
    pub(in crate::driver) async fn send_for_token(
        &self,
        request: CodecRequest,
        quota: &mut EgressQuota,
    ) -> Result<EgressResponse, DriverError> {
        self.send_to(&self.token_origin, request, None, quota).await
    }

    async fn send_to(
        &self,
        origin: &Url,
        request: CodecRequest,
        reuse: Option<ReuseKey>,
        quota: &mut EgressQuota,
    ) -> Result<EgressResponse, DriverError> {
        let grant = grant_of_origin(origin, &request.url)?;
        let CodecRequest { method, url, headers, body } = request;
        let CompletionTimeouts { connect, first_byte, idle, .. } = self.timeouts;
        let timeouts = Some(Timeouts { connect, first_byte, idle });
        let request = EgressRequest { method, url, headers, body, timeout: None, timeouts, reuse };
        // Models have a share of their own of what is under way at once: neither do tools wait for
        // streams that last for minutes, nor the other way round.
        let scope = format!("{}/models", self.context.org);
        Ok(self.context.host.egress.send(&scope, &grant, request, quota).await?)
    }
}

fn parse(what: &str, url: &str) -> Result<Url, DriverError> {
    let url = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.ok_or_else(|| DriverError::new(DriverErrorKind::Configuration, format!("{what} is not a http or https URL")))
}

/// The grant of everything at one origin, if the request goes there.
fn grant_of_origin(origin: &Url, url: &str) -> Result<Grant, DriverError> {
    let refuse = |message: String| DriverError::new(DriverErrorKind::Configuration, message);
    let target = Url::parse(url).map_err(|_| refuse("the driver made a URL that is none".to_owned()))?;
    if target.origin() != origin.origin() {
        let message = format!("the driver wants to send a request to another origin than {}", origin.origin().ascii_serialization());
        return Err(refuse(message));
    }
    let (host, port) = (origin.host_str().unwrap_or_default(), origin.port_or_known_default().unwrap_or_default());
    let host = if origin.scheme() == "https" && port == 443 { host.to_owned() } else { format!("{host}:{port}") };
    let methods = ["GET", "POST", "PUT", "PATCH", "DELETE"].map(str::to_owned).to_vec();
    let permission = HttpPermission { host, methods, path_prefix: None, reason: String::new() };
    Ok(Grant { http: vec![permission], ..Grant::default() })
}
