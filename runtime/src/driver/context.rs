//! What a driver is called with: whose completion it is, and the one way to the network.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

use super::completion::{Line, Tokens};
use super::{CodecRequest, DriverConfig, DriverError, DriverSettings, ExchangeRecorder, TokenKeeper};
use crate::clock::Clock;
use crate::component::Receipt;
use crate::egress::{EgressResponse, Gateway};
use crate::id::{IdSource, OrgId, ProviderId};

/// What all drivers of a platform share.
pub struct DriverHost {
    /// The one way to the network.
    pub egress: Arc<Gateway>,
    /// The one source of time.
    pub clock: Arc<dyn Clock>,
    /// The one source of ids and randomness.
    pub ids: Arc<dyn IdSource>,
    /// How completions are run.
    pub settings: DriverSettings,
    /// Keeps refresh tokens that vendors replace; none lets them be lost with the process.
    pub keeper: Option<Arc<dyn TokenKeeper>>,
    /// Takes recordings of exchanges.
    pub recorder: Option<Arc<dyn ExchangeRecorder>>,
    pub(super) tokens: Tokens,
}

impl DriverHost {
    /// A host with the default settings.
    pub fn new(egress: Arc<Gateway>, clock: Arc<dyn Clock>, ids: Arc<dyn IdSource>) -> Self {
        Self { egress, clock, ids, settings: DriverSettings::default(), keeper: None, recorder: None, tokens: Tokens::default() }
    }

    /// The same with other settings.
    #[must_use]
    pub fn with_settings(self, settings: DriverSettings) -> Self {
        Self { settings, ..self }
    }

    /// The same with a keeper of refresh tokens.
    #[must_use]
    pub fn with_keeper(self, keeper: Arc<dyn TokenKeeper>) -> Self {
        Self { keeper: Some(keeper), ..self }
    }

    /// The same with a recorder of exchanges.
    #[must_use]
    pub fn with_recorder(self, recorder: Arc<dyn ExchangeRecorder>) -> Self {
        Self { recorder: Some(recorder), ..self }
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
    /// Leaves a receipt; what earlier tries of the completion used is added to it.
    pub fn put(&self, mut receipt: Receipt) {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(earlier) = slot.take() {
            receipt.usage = receipt.usage.and(earlier.usage);
        }
        *slot = Some(receipt);
    }

    /// The receipt of all tries that are over, fuel limits included; none for native drivers.
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

    /// Sends a request of a driver that is written by hand to the origin of the configuration's
    /// base URL, within its timeouts, and waits for the head of the response.
    ///
    /// # Errors
    /// `Configuration` without a base URL, for another origin, or for an address that is never
    /// reachable; otherwise what went wrong on the way.
    pub async fn send(&self, config: &DriverConfig, request: CodecRequest) -> Result<EgressResponse, DriverError> {
        let line = Line::new(config, self)?;
        line.send(request, None, &mut line.quota()).await
    }
}
