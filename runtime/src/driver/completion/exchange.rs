//! One try of one completion with a codec.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::try_unfold;
use secrecy::{ExposeSecret, SecretString};

use super::framer::Framer;
use super::line::Line;
use super::record::Recording;
use super::token::Owner;
use crate::driver::{
    Access, BoxedChatDriver, ChatDriver, ChatEvent, ChatRequest, ChatStream, Codec, DriverConfig, DriverContext, DriverError,
    DriverErrorKind, Frame, Framing, ModelInfo, Protocol, ReceiptSlot, ResponseHead, TokenExchange,
};
use crate::egress::{EgressQuota, EgressResponse};

/// Most bytes of a body that are handed on at once.
const CHUNK_BYTES: usize = 64 << 10;
/// Most bytes that are read of the body of an error. Proxies send whole pages.
const MAX_ERROR_BODY_BYTES: usize = 64 << 10;
/// Most bytes of an answer to an exchange of tokens.
const MAX_TOKEN_BODY_BYTES: usize = 64 << 10;
/// What the vendor's answer to a token that has become void is.
const UNAUTHORIZED: u16 = 401;

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

    pub(super) fn base_url(&self) -> Result<String, DriverError> {
        let base_url = self.config.base_url.as_deref().or_else(|| self.protocol.default_base_url()).ok_or_else(|| {
            let message = format!("the driver {} has no base URL of its own; set one for the provider", self.protocol.id());
            DriverError::new(DriverErrorKind::Configuration, message)
        })?;
        Ok(base_url.trim_end_matches('/').to_owned())
    }
}

#[async_trait]
impl ChatDriver for CodecDriver {
    async fn complete(&self, request: ChatRequest, context: DriverContext) -> Result<ChatStream, DriverError> {
        Ok(try_unfold(Attempt::of(self, &context)?.begin(&request).await?, Answering::next).boxed())
    }

    async fn list_models(&self, context: DriverContext) -> Result<Option<Vec<ModelInfo>>, DriverError> {
        self.discover(&context).await
    }

    fn endpoint(&self) -> Option<String> {
        self.base_url().ok()
    }
}

/// Whose tokens and connections they are: the org, the driver and everything that the provider is
/// configured with.
fn owner_of(driver: &CodecDriver, context: &DriverContext) -> Owner {
    let org = context.org.to_string();
    let metadata = driver.config.metadata.as_ref();
    let text = |text: Option<&str>| text.unwrap_or_default().as_bytes().to_vec();
    let extra = metadata.and_then(|metadata| metadata.extra.as_ref()).map(|extra| extra.to_string());
    let values = [
        org.into_bytes(),
        driver.protocol.id().as_str().as_bytes().to_vec(),
        text(driver.config.base_url.as_deref()),
        text(driver.config.api_key.as_ref().map(|key| key.expose_secret())),
        text(metadata.and_then(|metadata| metadata.refresh_token.as_ref()).map(|token| token.expose_secret())),
        text(metadata.and_then(|metadata| metadata.account_id.as_deref())),
        text(extra.as_deref()),
    ];
    Owner::of(values.iter().map(Vec::as_slice))
}

/// What sending a completion needs.
pub(super) struct Attempt<'a> {
    protocol: &'a dyn Protocol,
    config: DriverConfig,
    pub(super) owner: Owner,
    pub(super) line: Line,
    context: DriverContext,
}

impl<'a> Attempt<'a> {
    /// The time of the attempt begins to run.
    pub(super) fn of(driver: &'a CodecDriver, context: &DriverContext) -> Result<Self, DriverError> {
        let config = DriverConfig { base_url: Some(driver.base_url()?), ..driver.config.clone() };
        let (line, owner) = (Line::new(&config, context)?, owner_of(driver, context));
        Ok(Self { protocol: driver.protocol.as_ref(), config, owner, line, context: context.clone() })
    }

    /// What a codec is given: with an access token, if the protocol has such.
    pub(super) async fn config(&self, quota: &mut EgressQuota) -> Result<DriverConfig, DriverError> {
        let token = self.token(quota).await?;
        Ok(token.map_or_else(|| self.config.clone(), |(token, _)| self.with_token(token)))
    }

    /// Sends the request and waits for the head of the response. A token that was exchanged
    /// earlier and is void by now is replaced, once.
    async fn begin(&self, request: &ChatRequest) -> Result<Answering, DriverError> {
        let mut quota = self.line.quota();
        let Some((token, is_old)) = self.token(&mut quota).await? else {
            return self.send(self.config.clone(), request, &mut quota).await?.judged().await;
        };
        let answering = self.send(self.with_token(token.clone()), request, &mut quota).await?;
        if !is_old || answering.head.status != UNAUTHORIZED {
            return answering.judged().await;
        }
        drop(answering);
        self.context.host.tokens.of(self.owner).await.forget(&token);
        match self.token(&mut quota).await? {
            Some((token, _)) => self.send(self.with_token(token), request, &mut quota).await?.judged().await,
            None => Err(DriverError::from_status(UNAUTHORIZED, "")),
        }
    }

    fn with_token(&self, token: SecretString) -> DriverConfig {
        DriverConfig { api_key: Some(token), ..self.config.clone() }
    }

    async fn send(&self, config: DriverConfig, request: &ChatRequest, quota: &mut EgressQuota) -> Result<Answering, DriverError> {
        let mut codec = Metered { codec: self.protocol.codec().await?, slot: self.context.receipt.clone() };
        let asked = request;
        let request = codec.codec.begin(&config, asked).await?;
        let recorder = self.context.host.recorder.clone();
        let mut recording = recorder.map(|recorder| Recording::start(recorder, self.protocol.id(), &config, asked, &request));
        let response = self.line.send(request, Some(self.owner), quota).await;
        let response = response.inspect_err(|error| note(&mut recording, |recording| recording.failed(error)))?;
        let head = head_of(&response);
        note(&mut recording, |recording| recording.head(&head));
        let (framer, events) = (Framer::new(Framing::Whole), VecDeque::new());
        Ok(Answering { codec, config, head, response, framer, recording, events, error_bytes: 0, ended: false })
    }

    /// An access token, if the protocol has such, and whether it is from an earlier exchange.
    async fn token(&self, quota: &mut EgressQuota) -> Result<Option<(SecretString, bool)>, DriverError> {
        let Some(exchange) = self.protocol.token_exchange().await? else { return Ok(None) };
        let mut slot = self.context.host.tokens.of(self.owner).await;
        let now = self.context.host.clock.now();
        if let Some(token) = slot.token(now) {
            return Ok(Some((token, true)));
        }
        let access = self.exchange(exchange, slot.refresh_token(), quota).await?;
        slot.store(&access, now);
        Ok(Some((access.token, false)))
    }

    async fn exchange(
        &self,
        mut exchange: Box<dyn TokenExchange>,
        refresh_token: Option<SecretString>,
        quota: &mut EgressQuota,
    ) -> Result<Access, DriverError> {
        let mut config = self.config.clone();
        if let Some(newer) = refresh_token {
            config.metadata.get_or_insert_default().refresh_token = Some(newer);
        }
        let request = exchange.begin(&config).await?;
        let mut response = self.line.send_for_token(request, quota).await?;
        let mut body = Vec::new();
        while let Some(piece) = response.chunk(CHUNK_BYTES).await? {
            if body.len() + piece.len() > MAX_TOKEN_BODY_BYTES {
                let message = format!("the answer to the exchange of tokens is larger than {MAX_TOKEN_BODY_BYTES} bytes");
                return Err(DriverError::new(DriverErrorKind::InvalidResponse, message));
            }
            body.extend_from_slice(&piece);
        }
        let access = exchange.decode(response.status(), &body).await.map_err(|error| with_retry_after(error, &response))?;
        self.keep(&config, &access).await;
        Ok(access)
    }

    /// Hands a new refresh token to whoever keeps them. A completion does not fail for it.
    async fn keep(&self, config: &DriverConfig, access: &Access) {
        let old = config.metadata.as_ref().and_then(|metadata| metadata.refresh_token.as_ref());
        let (Some(old), Some(new)) = (old, &access.refresh_token) else { return };
        if old.expose_secret() == new.expose_secret() {
            return;
        }
        let (Some(keeper), Some(provider)) = (&self.context.host.keeper, self.context.provider) else {
            tracing::warn!(driver = %self.protocol.id(), "the vendor has replaced a refresh token that nobody keeps; it is lost with this process");
            return;
        };
        if let Err(error) = keeper.replace(self.context.org, provider, old, new).await {
            tracing::error!(%provider, %error, "a refresh token that the vendor has replaced could not be kept");
        }
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
    /// With the access token that was exchanged for this completion, which nobody else knows.
    config: DriverConfig,
    head: ResponseHead,
    response: EgressResponse,
    framer: Framer,
    recording: Option<Recording>,
    events: VecDeque<ChatEvent>,
    /// Bytes of an error's body so far.
    error_bytes: usize,
    ended: bool,
}

impl Answering {
    /// Has the codec judge the head.
    async fn judged(mut self) -> Result<Self, DriverError> {
        match self.codec.codec.on_head(&self.head).await {
            Ok(framing) => self.framer = Framer::new(framing),
            Err(error) => return Err(self.failed(error)),
        }
        Ok(self)
    }

    async fn next(mut self) -> Result<Option<(ChatEvent, Self)>, DriverError> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some((event, self)));
            }
            if self.ended {
                return Ok(None);
            }
            match self.advance().await {
                Ok(events) => {
                    note(&mut self.recording, |recording| recording.events(&events));
                    self.events.extend(events);
                }
                Err(error) => return Err(self.failed(error)),
            }
        }
    }

    fn failed(&mut self, error: DriverError) -> DriverError {
        let error = self.config.redact_error(with_retry_after(error, &self.response));
        note(&mut self.recording, |recording| recording.failed(&error));
        error
    }

    /// The events of the next frame, or of the end of the body.
    async fn advance(&mut self) -> Result<Vec<ChatEvent>, DriverError> {
        if let Some(frame) = self.frame().await? {
            return self.codec.codec.on_frame(frame).await;
        }
        self.ended = true;
        note(&mut self.recording, Recording::ended);
        self.codec.codec.on_end().await
    }

    async fn frame(&mut self) -> Result<Option<Frame>, DriverError> {
        loop {
            if let Some(frame) = self.framer.next()? {
                return Ok(Some(frame));
            }
            match self.piece().await? {
                Some(piece) => self.framer.push(piece),
                None => return Ok(self.framer.end()),
            }
        }
    }

    /// The next piece of the body; the start of it, if it is that of an error.
    async fn piece(&mut self) -> Result<Option<bytes::Bytes>, DriverError> {
        let most = if self.head.is_success() { CHUNK_BYTES } else { MAX_ERROR_BODY_BYTES.saturating_sub(self.error_bytes) };
        if most == 0 {
            return Ok(None);
        }
        let piece = self.response.chunk(most).await?;
        if let Some(piece) = &piece {
            self.error_bytes += piece.len();
            note(&mut self.recording, |recording| recording.piece(piece));
        }
        Ok(piece)
    }
}

fn note(recording: &mut Option<Recording>, what: impl FnOnce(&mut Recording)) {
    recording.as_mut().map(what);
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
