//! One instance at work: what it was given, what it answers, and what of that may be told.

use std::sync::Arc;

use super::credentials::{Credentials, fault};
use super::spoken::Spoken;
use super::{Inner, convert, halted};
use crate::capability::Stopped;
use crate::driver::{CodecRequest, DriverConfig, DriverError};
use crate::sandbox::bindings::everwit::driver::config as wit;
use crate::sandbox::bindings::everwit::types::common::Failure;
use crate::sandbox::running::Running;

/// An instance with the credentials that it was given.
pub(super) struct Session {
    pub(super) driver: Arc<Inner>,
    pub(super) running: Running,
    credentials: Option<Credentials>,
}

impl Session {
    pub(super) fn new(driver: Arc<Inner>, running: Running) -> Self {
        Self { driver, running, credentials: None }
    }

    /// Keeps the credentials of a configuration, and returns it as the guest gets it.
    pub(super) fn configure(&mut self, config: &DriverConfig) -> Result<wit::DriverConfig, DriverError> {
        let (credentials, config) = Credentials::new(self.driver.driver()?, config)?;
        self.credentials = Some(credentials);
        Ok(config)
    }

    /// What takes keys out of what it says; none if it was given none.
    pub(super) fn spoken(&self) -> Option<Spoken> {
        self.credentials.as_ref().and_then(Credentials::keys).map(Spoken::new)
    }

    /// A text of the guest without credentials.
    pub(super) fn scrub(&self, text: &str) -> String {
        self.credentials.as_ref().map_or_else(|| text.to_owned(), |credentials| credentials.scrub(text))
    }

    /// The guest's answer, or why there is none, without credentials.
    pub(super) fn answer<T>(&self, result: Result<Result<T, Failure>, Stopped>) -> Result<T, DriverError> {
        let error = match result {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(failure)) => convert::failure(failure),
            Err(why) => halted(&why),
        };
        let vendor_message = error.vendor_message.as_deref().map(|said| self.scrub(said));
        Err(DriverError { message: self.scrub(&error.message), vendor_message, ..error })
    }

    /// A request of the guest with the credentials in it.
    pub(super) fn complete(&mut self, request: CodecRequest) -> Result<CodecRequest, DriverError> {
        self.running.returned(request.body.len());
        self.credentials.as_ref().map_or_else(|| Err(fault("it was given no configuration")), |credentials| credentials.complete(request))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.tell(&self.running, |text| self.scrub(text));
    }
}
