//! One try of one completion with a codec.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::try_unfold;

use super::Framer;
use crate::driver::{
    BoxedChatDriver, ChatDriver, ChatEvent, ChatRequest, ChatStream, Codec, CodecRequest, DriverConfig, DriverContext, DriverError,
    DriverErrorKind, Frame, ModelInfo, Protocol, ReceiptSlot, ResponseHead,
};
use crate::egress::{EgressRequest, EgressResponse};

/// Most bytes of a body that are handed on at once.
const CHUNK_BYTES: usize = 64 << 10;

/// A driver that is made of a protocol: it sends what the codecs of the protocol say.
pub struct CodecDriver {
    pub(super) protocol: Arc<dyn Protocol>,
    pub(super) config: DriverConfig,
}

impl CodecDriver {
    /// A driver.
    pub fn new(protocol: Arc<dyn Protocol>, config: DriverConfig) -> Self {
        Self { protocol, config }
    }

    /// A factory of drivers, as a [`DriverRegistry`](crate::driver::DriverRegistry) wants it.
    pub fn factory(protocol: Arc<dyn Protocol>) -> impl Fn(&DriverConfig) -> BoxedChatDriver + Send + Sync + 'static {
        move |config| Box::new(Self::new(protocol.clone(), config.clone()))
    }

    pub(super) fn base_url(&self) -> Result<&str, DriverError> {
        self.config.base_url.as_deref().or_else(|| self.protocol.default_base_url()).ok_or_else(|| {
            let message = format!("the driver {} has no base URL of its own; set one for the provider", self.protocol.id());
            DriverError::new(DriverErrorKind::Configuration, message)
        })
    }
}

#[async_trait]
impl ChatDriver for CodecDriver {
    async fn complete(&self, request: ChatRequest, context: DriverContext) -> Result<ChatStream, DriverError> {
        let base_url = self.base_url()?;
        let mut config = self.config.clone();
        config.base_url = Some(base_url.to_owned());
        let mut codec = Metered { codec: self.protocol.codec().await?, slot: context.receipt.clone() };
        let request = codec.codec.begin(&config, &request).await?;
        let response = context.send(base_url, egress_request(request), &mut context.quota()).await?;
        let head = head_of(&response);
        let framing = codec.codec.on_head(&head).await.map_err(|error| with_retry_after(error, &response))?;
        let state = Answering { codec, response, framer: Framer::new(framing), events: VecDeque::new(), ended: false };
        Ok(try_unfold(state, Answering::next).boxed())
    }

    async fn list_models(&self, context: DriverContext) -> Result<Option<Vec<ModelInfo>>, DriverError> {
        self.discover(&context).await
    }

    fn endpoint(&self) -> Option<String> {
        self.base_url().ok().map(str::to_owned)
    }
}

/// A codec that leaves its receipt, however its completion ends.
struct Metered {
    codec: Box<dyn Codec>,
    slot: ReceiptSlot,
}

impl Drop for Metered {
    fn drop(&mut self) {
        if let Some(receipt) = self.codec.receipt() {
            self.slot.put(receipt);
        }
    }
}

/// An answer that is being read.
struct Answering {
    codec: Metered,
    response: EgressResponse,
    framer: Framer,
    events: VecDeque<ChatEvent>,
    ended: bool,
}

impl Answering {
    async fn next(mut self) -> Result<Option<(ChatEvent, Self)>, DriverError> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some((event, self)));
            }
            if self.ended {
                return Ok(None);
            }
            let events = self.advance().await.map_err(|error| with_retry_after(error, &self.response))?;
            self.events.extend(events);
        }
    }

    /// The events of the next frame, or of the end of the body.
    async fn advance(&mut self) -> Result<Vec<ChatEvent>, DriverError> {
        if let Some(frame) = self.frame().await? {
            return self.codec.codec.on_frame(frame).await;
        }
        self.ended = true;
        self.codec.codec.on_end().await
    }

    async fn frame(&mut self) -> Result<Option<Frame>, DriverError> {
        loop {
            if let Some(frame) = self.framer.next()? {
                return Ok(Some(frame));
            }
            match self.response.chunk(CHUNK_BYTES).await? {
                Some(piece) => self.framer.push(piece),
                None => return Ok(self.framer.end()),
            }
        }
    }
}

fn egress_request(request: CodecRequest) -> EgressRequest {
    let CodecRequest { method, url, headers, body } = request;
    EgressRequest { method, url, headers, body, ..EgressRequest::default() }
}

fn head_of(response: &EgressResponse) -> ResponseHead {
    let field = |(name, value): (&http::HeaderName, &http::HeaderValue)| Some((name.to_string(), value.to_str().ok()?.to_owned()));
    ResponseHead { status: response.status(), headers: response.headers().iter().filter_map(field).collect() }
}

/// The vendor's own word on another try goes before none.
fn with_retry_after(error: DriverError, response: &EgressResponse) -> DriverError {
    let retry_after_ms = error.retry_after_ms.or_else(|| if response.status() >= 400 { response.retry_after_ms() } else { None });
    DriverError { retry_after_ms, ..error }
}
