//! `everwit:http/client`: requests through the egress gateway, bodies piece by piece. A server that
//! repeats a secret that it was sent does not tell it to the guest.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use wasmtime::component::Resource;

use crate::egress::{EgressError, EgressQuota, EgressRequest, EgressResponse, SseEvent};
use crate::mutation::off;
use crate::sandbox::accounts::{SecretAccess, Unsent};
use crate::sandbox::bindings::everwit::http::client::{self, Fault, Head, Request, Sse};
use crate::sandbox::bindings::everwit::http::types;
use crate::sandbox::state::CallState;
use crate::secret::{Scrubbed, Scrubber};

/// Most bytes of one read.
const MAX_READ_BYTES: u32 = 1 << 20;
/// How far the gateway's deadline lies behind the call's. The call's comes first, so that a guest
/// that waits too long is stopped for that reason.
const DEADLINE_MARGIN: Duration = Duration::from_secs(1);

/// A response that a guest holds.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Response {
    response: EgressResponse,
    body: Scrubbed,
    /// What has been read of the body and not been handed on.
    ready: Bytes,
}

impl Response {
    async fn read(&mut self, max: usize, secrets: Option<&Arc<Scrubber>>) -> Result<Option<Bytes>, EgressError> {
        if let Some(scrubber) = secrets {
            self.body.hide(scrubber);
        }
        while self.ready.is_empty() {
            match self.response.chunk(max).await? {
                Some(piece) => self.ready = self.body.piece(&piece).into(),
                None => {
                    self.ready = self.body.finish().into();
                    break;
                }
            }
        }
        let size = self.ready.len().min(max);
        Ok((size > 0).then(|| self.ready.split_to(size)))
    }

    async fn read_sse(&mut self, secrets: Option<&Arc<Scrubber>>) -> Result<Option<Sse>, EgressError> {
        let event = self.response.next_event().await?;
        let scrub = |text: String| secrets.map_or(text.clone(), |scrubber| scrubber.scrub(&text));
        Ok(event.map(|SseEvent { event, data, id }| Sse { event: scrub(event), data: scrub(data), id: scrub(id) }))
    }

    fn head(&self, secrets: Option<&Arc<Scrubber>>) -> Head {
        let field = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            (name.as_str().to_owned(), secrets.map_or_else(|| value.to_string(), |scrubber| scrubber.scrub(&value)))
        };
        let headers = self.response.headers().iter().map(field).collect();
        Head { status: self.response.status(), headers, retry_after_ms: self.response.retry_after_ms() }
    }
}

/// How much of the network is left to one call.
#[derive(Default)]
pub(in crate::sandbox) struct HttpAccess {
    /// Made by the first request, because most calls send none.
    quota: Option<EgressQuota>,
}

impl HttpAccess {
    /// Requests so far.
    pub(in crate::sandbox) fn requests(&self) -> u32 {
        self.quota.as_ref().map_or(0, EgressQuota::requests)
    }

    /// Bytes of bodies so far, in both directions.
    pub(in crate::sandbox) fn bytes(&self) -> u64 {
        self.quota.as_ref().map_or(0, EgressQuota::bytes)
    }
}

/// What a response must not tell the guest.
fn told_secrets(secrets: &SecretAccess) -> Option<&Arc<Scrubber>> {
    secrets.scrubber().filter(|_| !off("scrub.responses"))
}

fn fault(error: EgressError) -> Fault {
    Fault {
        kind: error.kind.as_str().to_owned(),
        message: error.message,
        request_sent: error.request_sent,
        retry_after_ms: error.retry_after_ms,
    }
}

/// As many bytes as a guest asked for, but at least one, and at most what the host takes in for it and one call may copy.
fn piece_size(asked: u32, host_call_bytes: u64) -> usize {
    let largest = if off("guest.http_read") { u32::MAX } else { MAX_READ_BYTES };
    (asked.clamp(1, largest) as usize).min(usize::try_from(host_call_bytes).unwrap_or(usize::MAX))
}

fn fields_bytes(fields: &[(String, String)]) -> usize {
    fields.iter().map(|(name, value)| name.len() + value.len()).sum()
}

impl types::Host for CallState {}

impl client::HostResponse for CallState {
    async fn head(&mut self, response: Resource<Response>) -> wasmtime::Result<Head> {
        self.enter(0).await?;
        let head = self.table.get(&response)?.head(told_secrets(&self.secrets));
        self.leave(fields_bytes(&head.headers))?;
        Ok(head)
    }

    async fn read(&mut self, response: Resource<Response>, max: u32) -> wasmtime::Result<Result<Option<Vec<u8>>, Fault>> {
        self.enter(0).await?;
        let max = piece_size(max, self.budget.host_call_bytes);
        let piece = self.table.get_mut(&response)?.read(max, told_secrets(&self.secrets)).await;
        let piece = piece.map(|piece| piece.map(|bytes| bytes.to_vec())).map_err(fault);
        self.leave(piece.as_ref().map_or(0, |piece| piece.as_ref().map_or(0, Vec::len)))?;
        Ok(piece)
    }

    async fn read_sse(&mut self, response: Resource<Response>) -> wasmtime::Result<Result<Option<Sse>, Fault>> {
        self.enter(0).await?;
        let event = self.table.get_mut(&response)?.read_sse(told_secrets(&self.secrets)).await.map_err(fault);
        self.leave(event.as_ref().map_or(0, |event| event.as_ref().map_or(0, |event| event.data.len())))?;
        Ok(event)
    }

    async fn drop(&mut self, response: Resource<Response>) -> wasmtime::Result<()> {
        self.table.delete(response)?;
        Ok(())
    }
}

impl client::Host for CallState {
    async fn send(&mut self, request: Request) -> wasmtime::Result<Result<Resource<Response>, Fault>> {
        self.enter(request.url.len() + fields_bytes(&request.headers) + request.body.len()).await?;
        let url = request.url.clone();
        let request = EgressRequest {
            method: request.method,
            url: request.url,
            headers: request.headers,
            body: request.body.into(),
            timeout: request.timeout_ms.map(|ms| Duration::from_millis(ms.into())),
            ..EgressRequest::default()
        };
        let Self { budget, call, services, subject, org, http, secrets, .. } = self;
        let quota = http
            .quota
            .get_or_insert_with(|| EgressQuota::new(budget.http_requests, budget.http_bytes, (call.deadline + DEADLINE_MARGIN).into()));
        let (scope, gateway) = (org.to_string(), &services.gateway);
        let checked = gateway.check(&scope, &subject.grant, request);
        let sent = match checked {
            Ok(mut request) => match secrets.put(&mut request, &url, services.clock.now()) {
                Ok(()) => gateway.send_checked(&scope, request, quota).await,
                Err(unsent) => {
                    if let Unsent::Misplaced { secret, .. } = &unsent {
                        secrets.report((*org, &subject.component), (secret, request.host())).await;
                    }
                    Err(unsent.into_error())
                }
            },
            Err(error) => Err(error),
        };
        let sent = match sent {
            Ok(response) => Ok(self.table.push(Response { response, body: Scrubbed::default(), ready: Bytes::new() })?),
            Err(error) => Err(fault(error)),
        };
        self.leave(0)?;
        Ok(sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_of_a_body_has_so_many_bytes() {
        let check = |asked, host_call_bytes, expected| assert_eq!(piece_size(asked, host_call_bytes), expected, "{asked}");
        check(0, 4 << 20, 1);
        check(4_096, 4 << 20, 4_096);
        check(u32::MAX, 4 << 20, 1 << 20);
        check(u32::MAX, 10_000, 10_000);
        check(u32::MAX, u64::MAX, 1 << 20);
    }
}
