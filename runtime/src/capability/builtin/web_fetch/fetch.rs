//! The requests of one call.

use std::time::Duration;

use tokio::time::Instant;
use url::Url;

use super::config::Config;
use crate::capability::builtin::support::failed;
use crate::capability::{CallError, Failure, ToolCallContext};
use crate::egress::{EgressError, EgressErrorKind, EgressQuota, EgressRequest, EgressResponse};
use crate::mutation::off;

/// Body that is read, in bytes; the rest is left.
pub(super) const MAX_BODY_BYTES: usize = 2 << 20;
/// Redirects that are followed.
const MAX_REDIRECTS: usize = 5;
/// Time for all requests of one call.
const MAX_TIME: Duration = Duration::from_secs(30);
/// Bytes that may pass in all: the body, and the bodies of redirects, which are not read.
const MAX_BYTES: u64 = 2 * MAX_BODY_BYTES as u64;
/// Most bytes of one read.
const PIECE_BYTES: usize = 64 << 10;

/// What came back.
pub(super) struct Fetched {
    /// Where it came from in the end.
    pub(super) url: Url,
    pub(super) status: u16,
    /// The header as it was sent; empty if there was none.
    pub(super) content_type: String,
    pub(super) body: Vec<u8>,
    /// Whether the body is all there.
    pub(super) complete: bool,
    /// The URLs before the last one.
    pub(super) redirects: Vec<String>,
}

/// Sends a request and follows redirects.
pub(super) async fn fetch(call: &ToolCallContext, config: &Config, method: &str, url: &str) -> Result<Fetched, CallError> {
    let mut url = parse(url)?;
    let requests = u32::try_from(MAX_REDIRECTS + 1).unwrap_or(u32::MAX);
    let mut quota = EgressQuota::new(requests, MAX_BYTES, Instant::now() + MAX_TIME);
    let mut redirects = Vec::new();
    loop {
        let mut response = send(call, config, method, &url, &mut quota).await?;
        if let Some(next) = redirect(&response, &url)? {
            if redirects.len() >= MAX_REDIRECTS && !off("web.redirects") {
                let message = format!("the page was redirected more than {MAX_REDIRECTS} times, last to {next}");
                return Err(failed("unavailable", "too_many_redirects", message));
            }
            redirects.push(String::from(std::mem::replace(&mut url, next)));
            continue;
        }
        let content_type = header(&response, "content-type").unwrap_or_default().to_owned();
        let status = response.status();
        let (body, complete) = read(&mut response).await?;
        return Ok(Fetched { url, status, content_type, body, complete, redirects });
    }
}

fn parse(url: &str) -> Result<Url, CallError> {
    let parsed = Url::parse(url.trim());
    let parsed = parsed.map_err(|error| failed("invalid-arguments", "invalid_url", format!("the URL cannot be read: {error}")))?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err(failed("invalid-arguments", "invalid_url", "the URL must begin with https:// or http://"));
    }
    Ok(parsed)
}

async fn send(
    call: &ToolCallContext,
    config: &Config,
    method: &str,
    url: &Url,
    quota: &mut EgressQuota,
) -> Result<EgressResponse, CallError> {
    let mut sent = url.clone();
    sent.set_fragment(None);
    let accept = "text/html, text/markdown, text/plain, application/json;q=0.9, */*;q=0.5";
    let request = EgressRequest {
        method: method.to_owned(),
        url: sent.into(),
        headers: vec![("accept".to_owned(), accept.to_owned())],
        ..EgressRequest::default()
    };
    let (gateway, scope) = (&call.services.egress, call.org_id.to_string());
    let checked = gateway.check(&scope, &config.grant(url), request).map_err(|error| match error.kind {
        EgressErrorKind::Denied => {
            let host = url.host_str().unwrap_or_default();
            failed("denied", "host_not_allowed", format!("{host} may not be fetched; these hosts may: {}", config.listed()))
        }
        _ => failure(error),
    })?;
    gateway.send_checked(&scope, checked, quota).await.map_err(failure)
}

/// Where a response redirects to, if it does.
fn redirect(response: &EgressResponse, from: &Url) -> Result<Option<Url>, CallError> {
    if !matches!(response.status(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let Some(location) = header(response, "location") else { return Ok(None) };
    let next = from
        .join(location)
        .map_err(|error| failed("unavailable", "invalid_redirect", format!("the page redirects to what is no URL: {error}")))?;
    parse(next.as_str()).map(Some)
}

fn header<'a>(response: &'a EgressResponse, name: &str) -> Option<&'a str> {
    response.headers().get(name).and_then(|value| value.to_str().ok())
}

/// The body up to its limit, and whether that is all of it.
async fn read(response: &mut EgressResponse) -> Result<(Vec<u8>, bool), CallError> {
    let most = if off("web.body_bytes") { usize::MAX } else { MAX_BODY_BYTES };
    let mut body = Vec::new();
    while let Some(piece) = response.chunk(PIECE_BYTES).await.map_err(failure)? {
        let left = most - body.len();
        body.extend_from_slice(&piece[..piece.len().min(left)]);
        if piece.len() > left {
            return Ok((body, false));
        }
    }
    Ok((body, true))
}

fn failure(error: EgressError) -> CallError {
    let retryable = matches!(error.kind, EgressErrorKind::Connect | EgressErrorKind::Dns) || error.retry_after_ms.is_some();
    let (kind, retry_after_ms) = (error.kind.as_str(), error.retry_after_ms);
    CallError::Failed(Failure { retryable, retry_after_ms, ..Failure::new(kind, "fetch_failed", error.message) })
}
