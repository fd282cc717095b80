//! What a driver is called with: whose completion it is, and the one way to the network.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{DriverError, DriverErrorKind};
use crate::clock::Clock;
use crate::component::{Grant, HttpPermission, Receipt};
use crate::egress::{EgressQuota, EgressRequest, EgressResponse, Gateway};
use crate::id::{IdSource, OrgId, ProviderId};

/// Requests that one completion may make: its own, and what comes before it, such as an exchange
/// of tokens.
const MAX_REQUESTS: u32 = 8;
/// Bytes of all request and response bodies of one completion. A conversation with many pictures
/// goes in, and an answer has its own limit.
const MAX_BODY_BYTES: u64 = 128 << 20;
/// A completion is over after this long, in seconds; less than a turn, so that the turn can say
/// so.
const MAX_COMPLETION_SECONDS: u64 = 1_200;
/// Pause between two pieces of a response. Models that think do not send anything for long.
const IDLE: Duration = Duration::from_secs(120);

/// What all drivers of a platform share.
pub struct DriverHost {
    /// The one way to the network.
    pub egress: Arc<Gateway>,
    /// The one source of time.
    pub clock: Arc<dyn Clock>,
    /// The one source of ids and randomness.
    pub ids: Arc<dyn IdSource>,
}

impl DriverHost {
    /// A host.
    pub fn new(egress: Arc<Gateway>, clock: Arc<dyn Clock>, ids: Arc<dyn IdSource>) -> Self {
        Self { egress, clock, ids }
    }
}

impl fmt::Debug for DriverHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DriverHost").finish_non_exhaustive()
    }
}

/// Where the completion path leaves what a driver component used, for whoever records the
/// completion. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct ReceiptSlot(Arc<Mutex<Option<Receipt>>>);

impl ReceiptSlot {
    /// Leaves a receipt, in place of that of an earlier try.
    pub fn put(&self, receipt: Receipt) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(receipt);
    }

    /// The receipt of the last try that is over; none for native drivers.
    pub fn take(&self) -> Option<Receipt> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The circumstances of one completion.
#[derive(Debug, Clone)]
pub struct DriverContext {
    /// Whose completion it is; its traffic counts against this org.
    pub org: OrgId,
    /// The configured provider; none for the platform's default model.
    pub provider: Option<ProviderId>,
    /// Fires when the turn is cancelled.
    pub cancel: CancellationToken,
    /// What drivers work with.
    pub host: Arc<DriverHost>,
    /// Takes what a component used.
    pub receipt: ReceiptSlot,
}

impl DriverContext {
    /// A context that nothing cancels but being dropped.
    pub fn new(org: OrgId, host: Arc<DriverHost>) -> Self {
        Self { org, provider: None, cancel: CancellationToken::new(), host, receipt: ReceiptSlot::default() }
    }

    /// What one completion may use of the network.
    pub fn quota(&self) -> EgressQuota {
        EgressQuota::new(MAX_REQUESTS, MAX_BODY_BYTES, Instant::now() + Duration::from_secs(MAX_COMPLETION_SECONDS))
    }

    /// Sends a request to the origin of `base_url` and waits for the head of its response.
    ///
    /// # Errors
    /// `Configuration` for another origin, or an address that is never reachable; otherwise what
    /// went wrong on the way.
    pub async fn send(&self, base_url: &str, request: EgressRequest, quota: &mut EgressQuota) -> Result<EgressResponse, DriverError> {
        let grant = grant_of_origin(base_url, &request.url)?;
        let idle_timeout = request.idle_timeout.or(Some(IDLE));
        let request = EgressRequest { idle_timeout, ..request };
        Ok(self.host.egress.send(&self.org.to_string(), &grant, request, quota).await?)
    }
}

/// The grant of everything at one origin, if the request goes there.
fn grant_of_origin(base_url: &str, url: &str) -> Result<Grant, DriverError> {
    let base = Url::parse(base_url).ok().filter(|base| matches!(base.scheme(), "http" | "https"));
    let base = base.ok_or_else(|| DriverError::new(DriverErrorKind::Configuration, "the base URL is no http or https URL"))?;
    let elsewhere = || {
        let message = format!("the driver wants to send a request to another origin than {}", base.origin().ascii_serialization());
        DriverError::new(DriverErrorKind::Configuration, message)
    };
    let target = Url::parse(url).map_err(|_| DriverError::new(DriverErrorKind::Configuration, "the driver made a URL that is none"))?;
    if target.origin() != base.origin() {
        return Err(elsewhere());
    }
    let (Some(host), Some(port)) = (base.host_str(), base.port_or_known_default()) else { return Err(elsewhere()) };
    let host = if base.scheme() == "https" && port == 443 { host.to_owned() } else { format!("{host}:{port}") };
    let methods = ["GET", "POST", "PUT", "PATCH", "DELETE"].map(str::to_owned).to_vec();
    let permission = HttpPermission { host, methods, path_prefix: None, reason: String::new() };
    Ok(Grant { http: vec![permission], ..Grant::default() })
}
