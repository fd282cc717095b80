//! The codec of a component: each step calls the guest, and what comes back is checked.

use std::sync::Arc;

use async_trait::async_trait;

use super::check::EventCheck;
use super::credentials::{Credentials, fault};
use super::instance::Running;
use super::{Inner, convert, halted};
use crate::capability::Stopped;
use crate::component::Receipt;
use crate::driver::{ChatEvent, ChatRequest, Codec, CodecRequest, DriverConfig, DriverError, Frame, Framing, ResponseHead};
use crate::sandbox::bindings::everwit::types::chat::Event;
use crate::sandbox::bindings::everwit::types::common::Failure;
use crate::sandbox::bindings::exports::everwit::driver::codec as wit;
use crate::sandbox::call::supervise;

/// Calls one function of a guest, with its fuel and its time.
macro_rules! step {
    ($running:expr, $bytes:expr, |$store:ident| $call:expr) => {{
        let running = &mut $running;
        match running.arm($bytes) {
            Ok(deadline) => {
                let never = running.never();
                let result = {
                    let $store = running.store();
                    supervise($call, deadline, &never).await
                };
                running.settle(result)
            }
            Err(stopped) => Err(stopped),
        }
    }};
}
pub(super) use step;

/// One completion of a driver component.
pub(super) struct ComponentCodec {
    driver: Arc<Inner>,
    running: Running,
    guest: wit::Guest,
    credentials: Option<Credentials>,
    check: EventCheck,
}

impl ComponentCodec {
    pub(super) fn new(driver: Arc<Inner>, running: Running, guest: wit::Guest) -> Self {
        Self { driver, running, guest, credentials: None, check: EventCheck::default() }
    }

    /// The guest's answer, or why there is none, without credentials.
    fn answer<T>(&self, result: Result<Result<T, Failure>, Stopped>) -> Result<T, DriverError> {
        let error = match result {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(failure)) => convert::failure(failure),
            Err(why) => halted(&why),
        };
        let vendor_message = error.vendor_message.as_deref().map(|said| self.scrub(said));
        Err(DriverError { message: self.scrub(&error.message), vendor_message, ..error })
    }

    fn scrub(&self, text: &str) -> String {
        self.credentials.as_ref().map_or_else(|| text.to_owned(), |credentials| credentials.scrub(text))
    }

    fn events(&mut self, result: Result<Result<Vec<Event>, Failure>, Stopped>) -> Result<Vec<ChatEvent>, DriverError> {
        let events = self.answer(result)?;
        let mut checked = Vec::with_capacity(events.len().min(super::check::MAX_EVENTS_PER_FRAME));
        let mut bytes = 0;
        for event in events {
            bytes += convert::event_bytes(&event);
            match self.check.admit(event) {
                Ok(Some(event)) => checked.push(event),
                Ok(None) => {}
                Err(problem) => return Err(fault(self.scrub(&problem))),
            }
        }
        self.check.end_of_frame().map_err(|problem| fault(self.scrub(&problem)))?;
        self.running.returned(bytes);
        Ok(checked)
    }
}

impl Drop for ComponentCodec {
    fn drop(&mut self) {
        self.driver.tell(&self.running, |text| self.scrub(text));
    }
}

#[async_trait]
impl Codec for ComponentCodec {
    async fn begin(&mut self, config: &DriverConfig, request: &ChatRequest) -> Result<CodecRequest, DriverError> {
        let (credentials, config) = Credentials::new(self.driver.driver()?, config)?;
        self.credentials = Some(credentials);
        let request = convert::request(request, &self.driver.id);
        let guest = &self.guest;
        let result = step!(self.running, convert::request_bytes(&request), |store| guest.call_begin(store, &config, &request));
        let request = self.answer(result)?;
        let request = convert::http_request(request);
        self.running.returned(request.body.len());
        self.credentials.as_ref().map_or_else(|| Err(fault("it has no credentials")), |credentials| credentials.complete(request))
    }

    async fn on_head(&mut self, head: &ResponseHead) -> Result<Framing, DriverError> {
        let head = convert::head(head);
        let guest = &self.guest;
        let result = step!(self.running, 0, |store| guest.call_on_head(store, &head));
        self.answer(result).map(convert::framing)
    }

    async fn on_frame(&mut self, frame: Frame) -> Result<Vec<ChatEvent>, DriverError> {
        let guest = &self.guest;
        let result = match frame {
            Frame::Sse(event) => {
                let event = convert::sse(event);
                step!(self.running, event.data.len(), |store| guest.call_on_sse(store, &event))
            }
            Frame::Bytes(bytes) => step!(self.running, bytes.len(), |store| guest.call_on_bytes(store, &bytes)),
        };
        self.events(result)
    }

    async fn on_end(&mut self) -> Result<Vec<ChatEvent>, DriverError> {
        let guest = &self.guest;
        let result = step!(self.running, 0, |store| guest.call_on_end(store));
        self.events(result)
    }

    fn receipt(&self) -> Option<Receipt> {
        Some(self.driver.receipt(&self.running))
    }
}
