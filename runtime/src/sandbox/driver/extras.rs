//! The optional exports of a driver: which models there are, and an access token for stored
//! credentials. One instance serves one of either.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;

use super::credentials::fault;
use super::session::Session;
use super::{Inner, convert};
use crate::driver::{Access, CodecRequest, Discovery, DriverConfig, DriverError, ModelInfo, TokenExchange};
use crate::sandbox::bindings::exports::everwit::driver::{discovery, token_exchange};
use crate::sandbox::running::{Running, step};

/// Models that a vendor lists.
const MAX_MODELS: usize = 10_000;
/// Bytes of an access or refresh token.
const MAX_TOKEN_BYTES: usize = 16 << 10;

/// An error without any words of the guest.
fn untold(error: DriverError) -> DriverError {
    let message = format!("the exchange of tokens failed: {}", error.kind.as_str());
    DriverError { message, vendor_message: None, ..error }
}

/// Asks a vendor for its models, through a component.
pub(super) struct ComponentDiscovery {
    session: Session,
    guest: discovery::Guest,
}

impl ComponentDiscovery {
    pub(super) fn new(driver: Arc<Inner>, running: Running, guest: discovery::Guest) -> Self {
        Self { session: Session::new(driver, running), guest }
    }
}

#[async_trait]
impl Discovery for ComponentDiscovery {
    async fn begin(&mut self, config: &DriverConfig) -> Result<CodecRequest, DriverError> {
        let Self { session, guest } = self;
        let config = session.configure(config)?;
        let guest = guest.clone();
        let result = step!(session.running, 0, |store| guest.call_begin(store, &config));
        let request = session.answer(result)?;
        session.complete(convert::http_request(request))
    }

    async fn decode(&mut self, status: u16, body: &[u8]) -> Result<Vec<ModelInfo>, DriverError> {
        let Self { session, guest } = self;
        let (guest, body) = (guest.clone(), body.to_vec());
        let result = step!(session.running, body.len(), |store| guest.call_decode(store, status, &body));
        let models = session.answer(result)?;
        if models.len() > MAX_MODELS {
            return Err(fault(format!("it lists {} models; {MAX_MODELS} are the most", models.len())));
        }
        models.into_iter().map(|model| convert::model_info(model).map_err(fault)).collect()
    }
}

/// Exchanges stored credentials for an access token, through a component.
pub(super) struct ComponentExchange {
    session: Session,
    guest: token_exchange::Guest,
}

impl ComponentExchange {
    pub(super) fn new(driver: Arc<Inner>, running: Running, guest: token_exchange::Guest) -> Self {
        Self { session: Session::new(driver, running), guest }
    }
}

#[async_trait]
impl TokenExchange for ComponentExchange {
    async fn begin(&mut self, config: &DriverConfig) -> Result<CodecRequest, DriverError> {
        let Self { session, guest } = self;
        let config = session.configure(config)?;
        let guest = guest.clone();
        let result = step!(session.running, 0, |store| guest.call_begin(store, &config));
        let request = session.answer(result)?;
        session.complete(convert::http_request(request))
    }

    async fn decode(&mut self, status: u16, body: &[u8]) -> Result<Access, DriverError> {
        let Self { session, guest } = self;
        let (guest, body) = (guest.clone(), body.to_vec());
        let result = step!(session.running, body.len(), |store| guest.call_decode(store, status, &body));
        // The answer holds a token that nobody knows yet, so that it cannot be taken out of the guest's
        // words: none of them are told.
        session.running.take_logs();
        let access = session.answer(result).map_err(untold)?;
        let token = |text: String| match text.len() {
            1..=MAX_TOKEN_BYTES => Ok(SecretString::from(text)),
            bytes => Err(fault(format!("a token of the exchange has {bytes} bytes; it must have 1 to {MAX_TOKEN_BYTES}"))),
        };
        Ok(Access {
            token: token(access.token)?,
            expires_in: access.expires_in_ms.map(Duration::from_millis),
            refresh_token: access.refresh_token.map(token).transpose()?,
        })
    }
}
