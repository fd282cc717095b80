//! Recordings of exchanges: what crossed between host and vendor, without credentials, and what
//! the codec made of it. What conformance fixtures are made from.

use std::mem;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::fixture;
use crate::driver::{ChatEvent, ChatRequest, CodecRequest, DriverConfig, DriverError, DriverId, ResponseHead};

/// Bytes of one recording's response; what is beyond is left out, and the recording says so.
const MAX_RECORDED_BYTES: usize = 16 << 20;

/// Takes recordings. Called when an exchange has ended or was dropped; must not block.
pub trait ExchangeRecorder: Send + Sync {
    /// Takes one.
    fn record(&self, exchange: RecordedExchange);
}

/// One exchange. Credentials are replaced everywhere.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RecordedExchange {
    /// Id of the driver.
    pub driver: String,
    /// What it was configured with, in the form of recorded exchanges.
    pub config: Value,
    /// What it was asked, likewise.
    pub request: Value,
    /// Method of the request.
    pub method: String,
    /// Its URL.
    pub url: String,
    /// Its header fields.
    pub headers: Vec<(String, String)>,
    /// Its body, as text.
    pub body: String,
    /// The head of the response; status 0 if there was none.
    pub head: ResponseHead,
    /// The body of the response in the pieces in which it arrived; in one piece if the vendor
    /// repeated a credential.
    pub pieces: Vec<Bytes>,
    /// Whether the response was read to its end, and is here as a whole.
    pub is_complete: bool,
    /// What the codec made of it.
    pub events: Vec<ChatEvent>,
    /// How it failed, if it did.
    pub error: Option<DriverError>,
}

/// A recording that is being made.
pub(super) struct Recording {
    recorder: Arc<dyn ExchangeRecorder>,
    config: DriverConfig,
    exchange: RecordedExchange,
    bytes: usize,
}

impl Recording {
    pub(super) fn start(
        recorder: Arc<dyn ExchangeRecorder>,
        driver: &DriverId,
        config: &DriverConfig,
        asked: &ChatRequest,
        request: &CodecRequest,
    ) -> Self {
        let mut asked = fixture::request_json(asked, driver);
        if let Some(scrubber) = config.scrubber() {
            scrubber.scrub_json(&mut asked);
        }
        let exchange = RecordedExchange {
            driver: driver.to_string(),
            config: fixture::config_json(config),
            request: asked,
            method: request.method.clone(),
            url: config.redact(&request.url),
            headers: redacted(config, &request.headers),
            body: config.redact(&String::from_utf8_lossy(&request.body)),
            ..RecordedExchange::default()
        };
        Self { recorder, config: config.clone(), exchange, bytes: 0 }
    }

    pub(super) fn head(&mut self, head: &ResponseHead) {
        self.exchange.head = ResponseHead { status: head.status, headers: redacted(&self.config, &head.headers) };
    }

    pub(super) fn piece(&mut self, piece: &Bytes) {
        self.bytes += piece.len();
        if self.bytes <= MAX_RECORDED_BYTES {
            self.exchange.pieces.push(piece.clone());
        }
    }

    pub(super) fn events(&mut self, events: &[ChatEvent]) {
        if self.bytes <= MAX_RECORDED_BYTES {
            self.exchange.events.extend_from_slice(events);
        }
    }

    pub(super) fn failed(&mut self, error: &DriverError) {
        self.exchange.error = Some(self.config.redact_error(error.clone()));
    }

    pub(super) fn ended(&mut self) {
        self.exchange.is_complete = self.bytes <= MAX_RECORDED_BYTES;
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        let mut exchange = mem::take(&mut self.exchange);
        let body = exchange.pieces.concat();
        let text = String::from_utf8_lossy(&body);
        let shown = self.config.redact(&text);
        if shown != text {
            exchange.pieces = vec![shown.into()];
        }
        self.recorder.record(exchange);
    }
}

fn redacted(config: &DriverConfig, fields: &[(String, String)]) -> Vec<(String, String)> {
    fields.iter().map(|(name, value)| (name.clone(), config.redact(value))).collect()
}
