//! A codec made of what differs between vendors, with the checks that all of them need: an answer
//! is of the right type, has an end, and is not empty.

use std::mem;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use super::output::Output;
use crate::driver::{
    ChatEvent, ChatRequest, Codec, CodecDriver, CodecRequest, DriverConfig, DriverError, DriverErrorKind, DriverId, DriverRegistry, Frame,
    Framing, Protocol, ResponseHead,
};

/// Most of a body that is kept of a refusal, in bytes.
const MAX_REFUSAL_BYTES: usize = 256 << 10;

/// What differs between vendors.
pub(super) trait Dialect: Default + Send + 'static {
    /// How the body of an answer is cut.
    const FRAMING: Framing = Framing::Sse;
    /// Media type of an answer.
    const MEDIA_TYPE: &'static str = "text/event-stream";

    /// Translates the request.
    fn begin(&mut self, config: &DriverConfig, request: &ChatRequest) -> Result<CodecRequest, DriverError>;

    /// Translates a frame. It ends the output when the vendor says so.
    fn frame(&mut self, frame: Frame, out: &mut Output) -> Result<(), DriverError>;

    /// What a refusal means. `body` is null if it is no JSON.
    fn refusal(&self, head: &ResponseHead, body: &Value) -> DriverError;
}

/// Adds a driver of a dialect to a registry.
pub(super) fn register<D: Dialect>(registry: &mut DriverRegistry, id: DriverId, default_base_url: Option<&'static str>) {
    let protocol = Native { id: id.clone(), default_base_url, make: || Box::new(DialectCodec::<D>::default()) };
    registry.register(id, CodecDriver::factory(Arc::new(protocol)));
}

struct Native {
    id: DriverId,
    default_base_url: Option<&'static str>,
    make: fn() -> Box<dyn Codec>,
}

#[async_trait]
impl Protocol for Native {
    fn id(&self) -> &DriverId {
        &self.id
    }

    fn default_base_url(&self) -> Option<&str> {
        self.default_base_url
    }

    async fn codec(&self) -> Result<Box<dyn Codec>, DriverError> {
        Ok((self.make)())
    }
}

#[derive(Default)]
struct DialectCodec<D> {
    dialect: D,
    output: Output,
    /// The head of a response that is no answer.
    refused: Option<ResponseHead>,
}

#[async_trait]
impl<D: Dialect> Codec for DialectCodec<D> {
    async fn begin(&mut self, config: &DriverConfig, request: &ChatRequest) -> Result<CodecRequest, DriverError> {
        self.dialect.begin(config, request)
    }

    async fn on_head(&mut self, head: &ResponseHead) -> Result<Framing, DriverError> {
        if !head.is_success() {
            self.refused = Some(head.clone());
            return Ok(Framing::Whole);
        }
        let media_type = head.header("content-type").and_then(|value| value.split(';').next()).unwrap_or_default().trim();
        if !media_type.eq_ignore_ascii_case(D::MEDIA_TYPE) {
            // A wrong base URL often leads to a page for people, with status 200.
            let shown: String = media_type.chars().filter(|character| !character.is_control()).take(64).collect();
            let message = format!("the answer is {shown:?} instead of {:?}; check the base URL of the provider", D::MEDIA_TYPE);
            return Err(DriverError::new(DriverErrorKind::Configuration, message));
        }
        Ok(D::FRAMING)
    }

    async fn on_frame(&mut self, frame: Frame) -> Result<Vec<ChatEvent>, DriverError> {
        if let Some(head) = &self.refused {
            let Frame::Bytes(body) = frame else { return Err(DriverError::from_status(head.status, "")) };
            let body = serde_json::from_slice(&body[..body.len().min(MAX_REFUSAL_BYTES)]).unwrap_or_default();
            return Err(self.dialect.refusal(head, &body));
        }
        if !self.output.is_ended() {
            self.dialect.frame(frame, &mut self.output)?;
        }
        Ok(self.output.take())
    }

    async fn on_end(&mut self) -> Result<Vec<ChatEvent>, DriverError> {
        match mem::take(&mut self.refused) {
            Some(head) => Err(self.dialect.refusal(&head, &Value::Null)),
            None if !self.output.is_ended() => {
                Err(DriverError::new(DriverErrorKind::InvalidResponse, "the answer of the model broke off before its end"))
            }
            None => Ok(Vec::new()),
        }
    }
}
