//! Codecs: the translation between our chat language and one vendor's HTTP protocol, without any
//! I/O. The same as the exports of the world `driver` in `everwit:driver`, so that native drivers
//! and components run on one path.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use secrecy::SecretString;

use super::{ChatEvent, ChatRequest, DriverConfig, DriverError, DriverId};
use crate::component::Receipt;
use crate::egress::SseEvent;

/// A request that a codec wants to be sent. Its `Debug` shows no URL, value or body.
#[derive(Clone, Default)]
pub struct CodecRequest {
    /// Method in upper case.
    pub method: String,
    /// Absolute URL at the origin of the base URL.
    pub url: String,
    /// Header fields in order, names in any case.
    pub headers: Vec<(String, String)>,
    /// The body; empty means none.
    pub body: Bytes,
}

impl fmt::Debug for CodecRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CodecRequest")
            .field("method", &self.method)
            .field("headers", &self.headers.len())
            .field("body", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// The head of a response.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResponseHead {
    /// Status code.
    pub status: u16,
    /// Header fields in order, names in lower case; values that are not UTF-8 are left out.
    pub headers: Vec<(String, String)>,
}

impl ResponseHead {
    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The first field with this name, which is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// How the host cuts the body of a response into frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Framing {
    /// Server-sent events.
    Sse,
    /// One JSON value a line; empty lines are left out.
    JsonLines,
    /// The whole body at once, an empty one too.
    Whole,
    /// Pieces as they arrive.
    Bytes,
}

/// A piece of a response's body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// A server-sent event, under [`Framing::Sse`].
    Sse(SseEvent),
    /// A line without its end, the whole body, or a piece of it.
    Bytes(Bytes),
}

/// Translates one completion. Made for it and dropped after it, so that it may keep state.
#[async_trait]
pub trait Codec: Send {
    /// Translates the request. Called once, first.
    ///
    /// # Errors
    /// `Configuration` if it cannot work with this configuration, for example without a key: a
    /// codec looks for credentials nowhere else. `InvalidRequest` for what the vendor cannot do.
    async fn begin(&mut self, config: &DriverConfig, request: &ChatRequest) -> Result<CodecRequest, DriverError>;

    /// Judges the head of the response. A codec that wants to read the vendor's reason answers
    /// [`Framing::Whole`] to a status other than 2xx, and fails in [`Self::on_frame`].
    ///
    /// # Errors
    /// What the status means. The host adds what the vendor says about another try.
    async fn on_head(&mut self, head: &ResponseHead) -> Result<Framing, DriverError>;

    /// Translates a frame.
    ///
    /// # Errors
    /// What the vendor reports in it, or `InvalidResponse`.
    async fn on_frame(&mut self, frame: Frame) -> Result<Vec<ChatEvent>, DriverError>;

    /// The body has ended.
    ///
    /// # Errors
    /// `InvalidResponse` if the completion is not complete.
    async fn on_end(&mut self) -> Result<Vec<ChatEvent>, DriverError>;

    /// What it has used so far, for a component. Asked once it has ended or failed.
    fn receipt(&self) -> Option<Receipt> {
        None
    }
}

/// A protocol: makes codecs. What a native driver or a component has to offer to become a driver,
/// see [`CodecDriver`](super::CodecDriver).
#[async_trait]
pub trait Protocol: Send + Sync {
    /// The driver's id. Opaque values of answers are marked with it, and come back to it only.
    fn id(&self) -> &DriverId;

    /// Base URL if the provider configures none. Requests go to its origin and nowhere else.
    fn default_base_url(&self) -> Option<&str> {
        None
    }

    /// A codec for one completion.
    ///
    /// # Errors
    /// If a component cannot be started.
    async fn codec(&self) -> Result<Box<dyn Codec>, DriverError>;

    /// Asks which models there are; none if the vendor cannot be asked.
    ///
    /// # Errors
    /// As for [`Self::codec`].
    async fn discovery(&self) -> Result<Option<Box<dyn Discovery>>, DriverError> {
        Ok(None)
    }

    /// Exchanges stored credentials for an access token before a completion; none if the
    /// credentials are used as they are.
    ///
    /// # Errors
    /// As for [`Self::codec`].
    async fn token_exchange(&self) -> Result<Option<Box<dyn TokenExchange>>, DriverError> {
        Ok(None)
    }
}

/// Asks a vendor which models there are.
#[async_trait]
pub trait Discovery: Send {
    /// The request to send.
    ///
    /// # Errors
    /// As for [`Codec::begin`].
    async fn begin(&mut self, config: &DriverConfig) -> Result<CodecRequest, DriverError>;

    /// Reads the answer, whatever its status.
    ///
    /// # Errors
    /// What the status means, or `InvalidResponse`.
    async fn decode(&mut self, status: u16, body: &[u8]) -> Result<Vec<ModelInfo>, DriverError>;
}

/// A model that a provider offers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ModelInfo {
    /// Model name as the vendor spells it.
    pub id: String,
    /// Name for people.
    pub title: String,
    /// Context window in tokens.
    pub context_tokens: Option<u64>,
    /// Largest output in tokens.
    pub output_tokens: Option<u64>,
    /// "tools", "images", "reasoning", "structured-output" and others.
    pub features: Vec<String>,
}

/// Exchanges stored credentials for a short-lived access token.
#[async_trait]
pub trait TokenExchange: Send {
    /// The request to send.
    ///
    /// # Errors
    /// As for [`Codec::begin`].
    async fn begin(&mut self, config: &DriverConfig) -> Result<CodecRequest, DriverError>;

    /// Reads the answer, whatever its status.
    ///
    /// # Errors
    /// `Authentication` if the vendor refuses the credentials; otherwise what the status means.
    async fn decode(&mut self, status: u16, body: &[u8]) -> Result<Access, DriverError>;
}

/// What an exchange gave. Its `Debug` shows no token.
#[derive(Debug, Clone)]
pub struct Access {
    /// The token that takes the place of the API key.
    pub token: SecretString,
    /// Its life from now, if known.
    pub expires_in: Option<Duration>,
    /// A new refresh token, if the vendor rotates them.
    pub refresh_token: Option<SecretString>,
}
