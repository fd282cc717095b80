//! The codec of a component: each step calls the guest, and what comes back is checked.

use std::sync::Arc;

use async_trait::async_trait;

use super::check::EventCheck;
use super::credentials::fault;
use super::session::Session;
use super::spoken::Spoken;
use super::{Inner, convert};
use crate::capability::Stopped;
use crate::component::Receipt;
use crate::driver::{ChatEvent, ChatRequest, Codec, CodecRequest, DriverConfig, DriverError, Frame, Framing, ResponseHead};
use crate::sandbox::bindings::everwit::types::chat::Event;
use crate::sandbox::bindings::everwit::types::common::Failure;
use crate::sandbox::bindings::exports::everwit::driver::codec as wit;
use crate::sandbox::running::{Running, step};

/// One completion of a driver component.
pub(super) struct ComponentCodec {
    session: Session,
    guest: wit::Guest,
    check: EventCheck,
    spoken: Option<Spoken>,
}

impl ComponentCodec {
    pub(super) fn new(driver: Arc<Inner>, running: Running, guest: wit::Guest) -> Self {
        Self { session: Session::new(driver, running), guest, check: EventCheck::default(), spoken: None }
    }

    fn events(&mut self, result: Result<Result<Vec<Event>, Failure>, Stopped>) -> Result<Vec<ChatEvent>, DriverError> {
        let events = self.session.answer(result)?;
        let mut checked = Vec::with_capacity(events.len().min(super::check::MAX_EVENTS_PER_FRAME));
        let mut bytes = 0;
        self.check.begin_frame();
        for event in events {
            bytes += convert::event_bytes(&event);
            match self.check.admit(event) {
                Ok(Some(event)) => match &mut self.spoken {
                    Some(spoken) => spoken.take(event, &mut checked),
                    None => checked.push(event),
                },
                Ok(None) => {}
                Err(problem) => return Err(fault(self.session.scrub(&problem))),
            }
        }
        self.session.running.returned(bytes);
        Ok(checked)
    }
}

#[async_trait]
impl Codec for ComponentCodec {
    async fn begin(&mut self, config: &DriverConfig, request: &ChatRequest) -> Result<CodecRequest, DriverError> {
        let config = self.session.configure(config)?;
        self.spoken = self.session.spoken();
        let request = convert::request(request, &self.session.driver.id);
        let guest = self.guest.clone();
        let result = step!(self.session.running, convert::request_bytes(&request), |store| guest.call_begin(store, &config, &request));
        let request = self.session.answer(result)?;
        self.session.complete(convert::http_request(request))
    }

    async fn on_head(&mut self, head: &ResponseHead) -> Result<Framing, DriverError> {
        let head = convert::head(head);
        let guest = self.guest.clone();
        let result = step!(self.session.running, 0, |store| guest.call_on_head(store, &head));
        self.session.answer(result).map(convert::framing)
    }

    async fn on_frame(&mut self, frame: Frame) -> Result<Vec<ChatEvent>, DriverError> {
        let guest = self.guest.clone();
        let result = match frame {
            Frame::Sse(event) => {
                let event = convert::sse(event);
                step!(self.session.running, event.data.len(), |store| guest.call_on_sse(store, &event))
            }
            Frame::Bytes(bytes) => step!(self.session.running, bytes.len(), |store| guest.call_on_bytes(store, &bytes)),
        };
        self.events(result)
    }

    async fn on_end(&mut self) -> Result<Vec<ChatEvent>, DriverError> {
        let guest = self.guest.clone();
        let result = step!(self.session.running, 0, |store| guest.call_on_end(store));
        let mut events = self.events(result)?;
        self.spoken.iter_mut().for_each(|spoken| spoken.finish(&mut events));
        Ok(events)
    }

    fn receipt(&self) -> Option<Receipt> {
        Some(self.session.driver.receipt(&self.session.running))
    }
}
