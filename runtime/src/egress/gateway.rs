//! The gateway: every request passes the same controls in the same order.
//!
//! It dials by itself and runs hyper's HTTP/1.1 client on that connection, instead of using an
//! HTTP client library. Such a library resolves, pools, follows redirects and reads proxy
//! variables unless it is told not to, and asks a custom resolver about names only, never
//! about address literals. Here the only code that can open a connection is one call of a
//! [`Connector`], and it is handed an address that was judged three lines before. HTTP/2 would buy
//! little for connections that carry one request at a time, and HTTP/1.1 is spoken everywhere.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::time::Instant;
use url::Host;

use super::exchange::{Caps, Deadline, Line};
use super::lanes::Lanes;
use super::pool::{Connected, Place, Pool};
use super::request::CheckedRequest;
use super::tls::Tls;
use super::wire::{Wire, broken};
use super::{
    ByteStream, Connector, EgressError, EgressErrorKind, EgressQuota, EgressRequest, EgressResponse, PrivateTarget, Refusal, Resolver,
    SystemResolver, Tape, TcpConnector, judge,
};
use crate::Error;
use crate::component::Grant;
use crate::fail_point::fail_point;
use crate::mutation::off;

/// Addresses of one name that are tried before giving up.
const MAX_DIAL_ATTEMPTS: usize = 4;
/// What a caller is told to wait if its scope has too many requests under way.
const BUSY_RETRY_MS: u64 = 1_000;

/// Settings of a [`Gateway`].
#[derive(Debug, Clone)]
pub struct GatewayConfig {
    /// Places in own networks that may be reached. Default: none.
    pub private_targets: Vec<PrivateTarget>,
    /// Root certificates beside the platform's, as a PEM bundle. Default: none.
    pub extra_roots: Option<String>,
    /// How long to wait for what.
    pub timeouts: Timeouts,
    /// Requests of one scope under way at once, responses that are being read included. Default:
    /// 64; a turn has at most 16 tool calls at once, and one stream of a model.
    pub in_flight_per_scope: usize,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self { private_targets: Vec::new(), extra_roots: None, timeouts: Timeouts::default(), in_flight_per_scope: 64 }
    }
}

/// How long the gateway waits for what. The deadline of the call goes before all of them.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// A place among the requests of the scope; the addresses of a name; all attempts to
    /// connect; the TLS handshake: each. Default: 3 s.
    pub connect: Duration,
    /// From the connection to the head of the response. Default: 10 s.
    pub first_byte: Duration,
    /// Between two pieces of the response's body. Default: 10 s.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(3), first_byte: Duration::from_secs(10), idle: Duration::from_secs(10) }
    }
}

impl Timeouts {
    /// Those that hold: all, unless a test has switched one of them off.
    fn in_force(self) -> Self {
        let held = |control, limit| if off(control) { Duration::MAX } else { limit };
        Self {
            connect: held("egress.connect_time", self.connect),
            first_byte: held("egress.first_byte_time", self.first_byte),
            idle: held("egress.idle_time", self.idle),
        }
    }
}

/// The one way out. Cheap to share behind an `Arc`.
pub struct Gateway {
    private_targets: Vec<PrivateTarget>,
    timeouts: Timeouts,
    lanes: Lanes,
    pool: Arc<Pool>,
    tls: Tls,
    resolver: Arc<dyn Resolver>,
    connector: Arc<dyn Connector>,
    tape: Option<Arc<dyn Tape>>,
}

impl Gateway {
    /// A gateway to the network.
    ///
    /// # Errors
    /// `Invalid` if the extra roots are not PEM certificates.
    pub fn new(config: GatewayConfig) -> Result<Self, Error> {
        Self::with_transport(config, Arc::new(SystemResolver::default()), Arc::new(TcpConnector))
    }

    /// A gateway over other means of resolving and connecting, for tests and for embedders with
    /// own networks. All controls stay.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn with_transport(config: GatewayConfig, resolver: Arc<dyn Resolver>, connector: Arc<dyn Connector>) -> Result<Self, Error> {
        let GatewayConfig { private_targets, extra_roots, timeouts, in_flight_per_scope } = config;
        let tls = Tls::new(extra_roots.as_deref())?;
        Ok(Self {
            private_targets,
            timeouts,
            lanes: Lanes::new(in_flight_per_scope),
            pool: Arc::default(),
            tls,
            resolver,
            connector,
            tape: None,
        })
    }

    /// The same gateway with something that keeps exchanges or plays them again.
    #[must_use]
    pub fn with_tape(self, tape: Arc<dyn Tape>) -> Self {
        Self { tape: Some(tape), ..self }
    }

    /// Sends a request and waits for the head of its response; a redirect is a response like any
    /// other. `scope` is whose traffic it is, usually the org's id: it appears in the log and has
    /// its share of the requests under way. Dropping the future cancels the request.
    ///
    /// # Errors
    /// See [`EgressErrorKind`].
    pub async fn send(
        &self,
        scope: &str,
        grant: &Grant,
        request: EgressRequest,
        quota: &mut EgressQuota,
    ) -> Result<EgressResponse, EgressError> {
        let request = self.check(scope, grant, request)?;
        self.send_checked(scope, request, quota).await
    }

    /// The first half of [`Self::send`], for callers that put secrets into the request once its
    /// destination is known. Resolves and sends nothing.
    ///
    /// # Errors
    /// `invalid`, `limit` or `denied`.
    pub fn check(&self, scope: &str, grant: &Grant, request: EgressRequest) -> Result<CheckedRequest, EgressError> {
        CheckedRequest::new(grant, request).inspect_err(|error| {
            if error.kind == EgressErrorKind::Denied {
                tracing::warn!(scope, reason = %error, "egress denied by the grant");
            }
        })
    }

    /// The second half of [`Self::send`].
    ///
    /// # Errors
    /// See [`EgressErrorKind`].
    pub async fn send_checked(&self, scope: &str, request: CheckedRequest, quota: &mut EgressQuota) -> Result<EgressResponse, EgressError> {
        let outgoing = request.to_http()?;
        quota.take(request.body().len())?;
        let deadline = match request.timeout.and_then(|timeout| Instant::now().checked_add(timeout)) {
            Some(own) => Deadline(own.min(quota.deadline())),
            None => Deadline(quota.deadline()),
        };
        let timeouts = self.timeouts(&request);
        let entering = deadline.within("a place among the requests of this scope", timeouts.connect, self.lanes.enter(scope));
        let permit = entering.await.map_err(|error| if deadline.left().is_zero() { error } else { busy() })?;
        let played = self.tape.as_ref().map_or(Ok(None), |tape| tape.play(&request));
        let (response, line) = match played.map_err(|reason| EgressError::new(EgressErrorKind::Connect, reason))? {
            Some(stream) => self.play(stream, &request, outgoing, deadline).await?,
            None => {
                let addresses = self.addresses(scope, &request, deadline).await?;
                fail_point!(GatewayLeaves);
                self.exchange(scope, &request, outgoing, &addresses, deadline).await?
            }
        };
        fail_point!(GatewayAnswered);
        let caps = Caps { meter: quota.meter(), deadline, idle: timeouts.idle, _permit: permit };
        let response = EgressResponse::new(response, line, request.host().to_owned(), caps);
        tracing::debug!(scope, method = %request.method(), url = request.shown_url(), status = response.status(), "egress");
        Ok(response)
    }

    /// How many connections wait for another request.
    pub fn idle_connections(&self) -> usize {
        self.pool.len()
    }

    /// Sends the request and waits for the head of the response: on an idle connection if there is
    /// one that may be used, and otherwise, or if that turns out to be closed, on a new one.
    async fn exchange(
        &self,
        scope: &str,
        request: &CheckedRequest,
        outgoing: http::Request<Full<Bytes>>,
        addresses: &[IpAddr],
        deadline: Deadline,
    ) -> Result<(http::Response<Incoming>, Line), EgressError> {
        let place = Place::of(scope, request);
        if let Some(mut idle) = place.as_ref().and_then(|place| self.pool.take(place, addresses)) {
            match self.head(&mut idle, request, outgoing.clone(), deadline).await? {
                Ok(response) => return Ok((response, self.line(idle, place))),
                Err(error) if error.is_parse() => return Err(broken(&error, request.host())),
                Err(_) => tracing::debug!(scope, url = request.shown_url(), "an idle connection was closed; connecting again"),
            }
        }
        let mut connected = self.connect(addresses, request, deadline).await?;
        let response = self.head(&mut connected, request, outgoing, deadline).await?.map_err(|error| broken(&error, request.host()))?;
        Ok((response, self.line(connected, place)))
    }

    /// The same over what a tape plays.
    async fn play(
        &self,
        stream: Box<dyn ByteStream>,
        request: &CheckedRequest,
        outgoing: http::Request<Full<Bytes>>,
        deadline: Deadline,
    ) -> Result<(http::Response<Incoming>, Line), EgressError> {
        let wire = Wire::over(stream, request.host()).await?;
        let mut connected = Connected { wire, address: Ipv4Addr::UNSPECIFIED.into(), since: Instant::now() };
        let response = self.head(&mut connected, request, outgoing, deadline).await?.map_err(|error| broken(&error, request.host()))?;
        Ok((response, self.line(connected, None)))
    }

    fn timeouts(&self, request: &CheckedRequest) -> Timeouts {
        request.timeouts.unwrap_or(self.timeouts).in_force()
    }

    fn line(&self, connected: Connected, place: Option<Place>) -> Line {
        Line { connected, home: place.map(|place| (self.pool.clone(), place)) }
    }

    async fn head(
        &self,
        connected: &mut Connected,
        request: &CheckedRequest,
        outgoing: http::Request<Full<Bytes>>,
        deadline: Deadline,
    ) -> Result<hyper::Result<http::Response<Incoming>>, EgressError> {
        let first_byte = if request.timeout.is_some() { Duration::MAX } else { self.timeouts(request).first_byte };
        let head = deadline.within("the head of the response", first_byte, connected.wire.exchange(outgoing)).await;
        match head.map_err(EgressError::after_sending)? {
            Ok(response) if response.status().is_informational() => {
                let message = format!("{} switches to another protocol", request.host());
                Err(EgressError::new(EgressErrorKind::Protocol, message).after_sending())
            }
            head => Ok(head),
        }
    }

    /// A new connection to one of the addresses.
    async fn connect(&self, addresses: &[IpAddr], request: &CheckedRequest, deadline: Deadline) -> Result<Connected, EgressError> {
        let limit = self.timeouts(request).connect;
        let (stream, address) = self.dial(addresses, request, limit, deadline).await?;
        let stream = match request.is_https() {
            true => deadline.within("the TLS handshake", limit, Box::pin(self.tls.wrap(request.host(), stream))).await??,
            false => stream,
        };
        let stream = match &self.tape {
            Some(tape) => tape.record(request, stream),
            None => stream,
        };
        Ok(Connected { wire: Wire::over(stream, request.host()).await?, address, since: Instant::now() })
    }

    /// The addresses that may be dialled for a request. One that may not be refuses them all: a
    /// public name that also answers with an own address is an attack or a mistake.
    async fn addresses(&self, scope: &str, request: &CheckedRequest, deadline: Deadline) -> Result<Vec<IpAddr>, EgressError> {
        let host = request.parsed_host().ok_or_else(|| EgressError::invalid("the URL has no host"))?;
        let addresses = match host {
            Host::Ipv4(address) => vec![IpAddr::V4(address)],
            Host::Ipv6(address) => vec![IpAddr::V6(address)],
            Host::Domain(name) => {
                let limit = self.timeouts(request).connect;
                let answer = deadline.within("resolving the name", limit, self.resolver.resolve(name)).await?;
                let error = || EgressError::new(EgressErrorKind::Dns, format!("{name} does not resolve"));
                answer.ok().filter(|addresses| !addresses.is_empty()).ok_or_else(error)?
            }
        };
        for &address in &addresses {
            self.admit(&host, address, request.port()).map_err(|refusal| {
                // The guest is not told which address: it would map the own network.
                tracing::warn!(scope, url = request.shown_url(), %address, %refusal, "egress to an address that is never public");
                denial(request, refusal)
            })?;
        }
        Ok(addresses)
    }

    fn admit(&self, host: &Host<&str>, address: IpAddr, port: u16) -> Result<(), Refusal> {
        judge(address).or_else(|refusal| {
            let listed = self.private_targets.iter().any(|target| target.covers(host, address, port));
            if (refusal.can_be_allowed() && listed) || off("egress.address") { Ok(()) } else { Err(refusal) }
        })
    }

    /// Tries addresses one after the other, each with its share of the time that is left.
    async fn dial(
        &self,
        addresses: &[IpAddr],
        request: &CheckedRequest,
        limit: Duration,
        deadline: Deadline,
    ) -> Result<(Box<dyn ByteStream>, IpAddr), EgressError> {
        let most = if off("egress.dial_attempts") { usize::MAX } else { MAX_DIAL_ATTEMPTS };
        let addresses = &addresses[..addresses.len().min(most)];
        let until = Instant::now() + limit.min(deadline.left());
        let mut last = EgressError::new(EgressErrorKind::Connect, "there is no address to connect to");
        for (tried, &address) in addresses.iter().enumerate() {
            let left = until.saturating_duration_since(Instant::now());
            let share = left / u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
            let attempt = self.connector.connect(SocketAddr::new(address, request.port()));
            match deadline.within("connecting", share, attempt).await {
                Ok(Ok(stream)) => return Ok((stream, address)),
                Ok(Err(error)) => last = no_connection(request, &error),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

fn busy() -> EgressError {
    EgressError { retry_after_ms: Some(BUSY_RETRY_MS), ..EgressError::limit("too many requests of this scope are under way") }
}

fn denial(request: &CheckedRequest, refusal: Refusal) -> EgressError {
    let (host, port) = (request.host(), request.port());
    let fix = if refusal.can_be_allowed() {
        format!("an operator can allow it as the private target {:?}", format!("{host}:{port}"))
    } else {
        "no setting allows it".to_owned()
    };
    EgressError::new(EgressErrorKind::Denied, format!("{host} leads to {refusal}, which is not reachable from here; {fix}"))
}

fn no_connection(request: &CheckedRequest, error: &io::Error) -> EgressError {
    let (host, port) = (request.host(), request.port());
    EgressError::new(EgressErrorKind::Connect, format!("no connection to {host}:{port}: {}", error.kind()))
}
