//! A vendor that answers as it is told, and the codec that understands it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use everwit_runtime::clock::Clock;
use everwit_runtime::driver::{
    Access, ChatEvent, ChatRequest, ChatStream, Codec, CodecDriver, CodecRequest, CompletionTimeouts, DriverConfig, DriverContext,
    DriverError, DriverErrorKind, DriverHost, DriverId, DriverSettings, Frame, Framing, Protocol, ProviderMetadata, ResolvedModel,
    ResponseHead, RetryPolicy, Started, TokenExchange, complete,
};
use everwit_runtime::egress::{ByteStream, Connector, Gateway, GatewayConfig};
use everwit_runtime::event::TokenUsage;
use everwit_runtime::id::{IdSource, OrgId};
use futures::StreamExt;
use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

use crate::egress::support::{Names, PUBLIC, Pipe, read_request};
use crate::egress::tls::acceptor;

/// What the vendor does in answer to a request.
#[derive(Debug, Clone)]
pub(super) enum Act {
    Send(Vec<u8>),
    Wait(Duration),
    /// Closes the connection.
    Close,
}

/// Answers requests in order, over as many connections as are opened.
#[derive(Clone)]
pub(super) struct Vendor {
    pub(super) pipe: Arc<Pipe>,
    requests: Arc<Mutex<Vec<String>>>,
    replies: Arc<Mutex<VecDeque<Vec<Act>>>>,
    closed: Arc<Mutex<usize>>,
}

impl Vendor {
    pub(super) fn new(replies: impl IntoIterator<Item = Vec<Act>>) -> Self {
        let replies: Arc<Mutex<VecDeque<_>>> = Arc::new(Mutex::new(replies.into_iter().collect()));
        let (requests, closed): (Arc<Mutex<Vec<String>>>, Arc<Mutex<usize>>) = Default::default();
        let shared = (replies.clone(), requests.clone(), closed.clone());
        let pipe = Pipe::new(move |stream| serve(stream, shared.0.clone(), shared.1.clone(), shared.2.clone()));
        Self { pipe, requests, replies, closed }
    }

    /// The same over TLS, as `a.test`.
    pub(super) fn over_tls(replies: impl IntoIterator<Item = Vec<Act>>) -> Self {
        let vendor = Self::new(replies);
        let (replies, requests, closed) = (vendor.replies.clone(), vendor.requests.clone(), vendor.closed.clone());
        let pipe = Pipe::new(move |stream| {
            let (replies, requests, closed) = (replies.clone(), requests.clone(), closed.clone());
            async move {
                let stream = acceptor().accept(stream).await.expect("the client trusts it");
                serve(Box::new(stream), replies, requests, closed).await;
            }
        });
        Self { pipe, ..vendor }
    }

    /// The requests as they came over the wire.
    pub(super) fn requests(&self) -> Vec<String> {
        lock(&self.requests).clone()
    }

    /// How many connections were opened.
    pub(super) fn dials(&self) -> usize {
        self.pipe.dialled().len()
    }

    /// How many connections were closed by the other side.
    pub(super) fn closed(&self) -> usize {
        *lock(&self.closed)
    }

    /// Replies that nobody has asked for.
    pub(super) fn left(&self) -> usize {
        lock(&self.replies).len()
    }
}

/// What is behind a lock of the tests.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nothing panics while it holds a lock")
}

async fn serve(
    mut stream: Box<dyn ByteStream>,
    replies: Arc<Mutex<VecDeque<Vec<Act>>>>,
    requests: Arc<Mutex<Vec<String>>>,
    closed: Arc<Mutex<usize>>,
) {
    loop {
        let request = read_request(&mut stream).await;
        if request.is_empty() {
            *lock(&closed) += 1;
            return;
        }
        lock(&requests).push(request);
        let reply = lock(&replies).pop_front().expect("the test expects this request");
        for act in reply {
            match act {
                // A client that has seen enough closes; that is its right.
                Act::Send(bytes) => {
                    if stream.write_all(&bytes).await.is_ok() {
                        drop(stream.flush().await);
                    }
                }
                Act::Wait(time) => tokio::time::sleep(time).await,
                Act::Close => return,
            }
        }
    }
}

pub(super) fn send(text: impl Into<String>) -> Act {
    Act::Send(text.into().into_bytes())
}

/// The head of an answer that is streamed.
pub(super) fn head() -> Act {
    send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
}

/// A piece of it.
pub(super) fn chunk(text: &str) -> Act {
    send(format!("{:x}\r\n{text}\r\n", text.len()))
}

/// An event of the test's own protocol.
pub(super) fn event(value: &Value) -> Act {
    chunk(&format!("data: {value}\n\n"))
}

/// The end of it.
pub(super) fn end() -> Act {
    send("0\r\n\r\n")
}

/// A complete answer.
pub(super) fn saying(text: &str) -> Vec<Act> {
    vec![head(), event(&json!({"text": text})), event(&json!({"usage": 3})), event(&json!({"finish": "stop"})), end()]
}

/// An answer with a status and a body of its own.
pub(super) fn status(status: u16, fields: &str, body: &str) -> Vec<Act> {
    vec![send(format!("HTTP/1.1 {status} So\r\n{fields}content-length: {}\r\n\r\n{body}", body.len()))]
}

/// The protocol. Each part of it can be made to misbehave.
pub(super) struct Plain {
    pub(super) id: DriverId,
    /// Where requests go, behind the base URL or anywhere.
    pub(super) target: &'static str,
    pub(super) header: (&'static str, &'static str),
    pub(super) exchanges_tokens: bool,
}

impl Default for Plain {
    fn default() -> Self {
        Self { id: DriverId::External("plain".to_owned()), target: "/chat", header: ("x-plain", "1"), exchanges_tokens: false }
    }
}

#[async_trait]
impl Protocol for Plain {
    fn id(&self) -> &DriverId {
        &self.id
    }

    async fn codec(&self) -> Result<Box<dyn Codec>, DriverError> {
        Ok(Box::new(PlainCodec { target: self.target, header: self.header, failed: None }))
    }

    async fn token_exchange(&self) -> Result<Option<Box<dyn TokenExchange>>, DriverError> {
        Ok(self.exchanges_tokens.then(|| Box::new(PlainExchange) as Box<dyn TokenExchange>))
    }
}

struct PlainCodec {
    target: &'static str,
    header: (&'static str, &'static str),
    failed: Option<u16>,
}

#[async_trait]
impl Codec for PlainCodec {
    async fn begin(&mut self, config: &DriverConfig, request: &ChatRequest) -> Result<CodecRequest, DriverError> {
        let missing = || DriverError::new(DriverErrorKind::Configuration, "the provider has no API key");
        let key = config.api_key.as_ref().ok_or_else(missing)?.expose_secret();
        let base_url = config.base_url.as_deref().expect("the path has one");
        let url = if self.target.starts_with('/') { format!("{base_url}{}", self.target) } else { self.target.to_owned() };
        let headers = vec![("authorization".to_owned(), format!("Bearer {key}")), (self.header.0.to_owned(), self.header.1.to_owned())];
        Ok(CodecRequest { method: "POST".to_owned(), url, headers, body: request.system_prompt.clone().into() })
    }

    async fn on_head(&mut self, head: &ResponseHead) -> Result<Framing, DriverError> {
        self.failed = (!head.is_success()).then_some(head.status);
        Ok(if head.is_success() { Framing::Sse } else { Framing::Whole })
    }

    async fn on_frame(&mut self, frame: Frame) -> Result<Vec<ChatEvent>, DriverError> {
        let event = match (self.failed, frame) {
            (Some(status), Frame::Bytes(body)) => return Err(DriverError::from_status(status, &String::from_utf8_lossy(&body))),
            (_, Frame::Sse(event)) => event,
            (None, Frame::Bytes(_)) => panic!("the framing is that of events"),
        };
        let value: Value = serde_json::from_str(&event.data).expect("the test writes JSON");
        let text = |name: &str| value[name].as_str().map(str::to_owned);
        if let Some(message) = text("error") {
            return Err(DriverError::new(DriverErrorKind::Unavailable, "the vendor reports an error").with_vendor_message(&message));
        }
        let usage = |output_tokens| ChatEvent::Usage(TokenUsage { output_tokens, ..TokenUsage::default() });
        Ok([text("text").map(ChatEvent::Text), value["usage"].as_u64().map(usage), text("finish").map(ChatEvent::finish)]
            .into_iter()
            .flatten()
            .collect())
    }

    async fn on_end(&mut self) -> Result<Vec<ChatEvent>, DriverError> {
        Ok(Vec::new())
    }
}

/// Takes `{"token", "expires_in", "refresh_token"}` for the refresh token in the body.
struct PlainExchange;

#[async_trait]
impl TokenExchange for PlainExchange {
    async fn begin(&mut self, config: &DriverConfig) -> Result<CodecRequest, DriverError> {
        let refresh = config.metadata.as_ref().and_then(|metadata| metadata.refresh_token.as_ref());
        let refresh = refresh.ok_or_else(|| DriverError::new(DriverErrorKind::Configuration, "there is no refresh token"))?;
        let elsewhere = config.metadata.as_ref().and_then(|metadata| metadata.extra.as_ref()?.get("token_url")?.as_str());
        let base_url = config.base_url.as_deref().expect("the path has one");
        let url = elsewhere.map_or_else(|| format!("{base_url}/token"), str::to_owned);
        Ok(CodecRequest { method: "POST".to_owned(), url, body: refresh.expose_secret().to_owned().into(), ..CodecRequest::default() })
    }

    async fn decode(&mut self, status: u16, body: &[u8]) -> Result<Access, DriverError> {
        if status != 200 {
            return Err(DriverError::from_status(status, &String::from_utf8_lossy(body)));
        }
        let value: Value = serde_json::from_slice(body).expect("the test writes JSON");
        Ok(Access {
            token: value["token"].as_str().expect("there is a token").into(),
            expires_in: value["expires_in"].as_u64().map(Duration::from_secs),
            refresh_token: value["refresh_token"].as_str().map(Into::into),
        })
    }
}

/// Paused time, as the runtime's clock.
struct TokioClock(tokio::time::Instant);

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH + self.0.elapsed()
    }
}

/// Ids that are all the same, so that nothing is left to chance.
struct OneId;

impl IdSource for OneId {
    fn next(&self) -> Uuid {
        Uuid::nil()
    }
}

pub(super) const KEY: &str = "plain-key-0123456789";

/// A platform with a vendor.
pub(super) struct Rig {
    pub(super) gateway: Arc<Gateway>,
    pub(super) host: Arc<DriverHost>,
    pub(super) model: ResolvedModel,
    pub(super) protocol: Arc<Plain>,
    pub(super) org: u128,
}

impl Rig {
    pub(super) fn new(vendor: &Vendor) -> Self {
        Self::over(vendor.pipe.clone())
    }

    pub(super) fn over(connector: Arc<dyn Connector>) -> Self {
        let names = Names::new(&[&[PUBLIC][..]; 64]);
        let gateway = Gateway::with_transport(GatewayConfig::default(), names, connector).expect("the defaults are valid");
        Self::with_gateway(gateway)
    }

    pub(super) fn with_gateway(gateway: Gateway) -> Self {
        crate::support::mutation::apply();
        let gateway = Arc::new(gateway);
        let clock = Arc::new(TokioClock(tokio::time::Instant::now()));
        let host = Arc::new(DriverHost::new(gateway.clone(), clock, Arc::new(OneId)));
        let protocol = Arc::new(Plain::default());
        let model = ResolvedModel {
            model: "plain-1".to_owned(),
            provider_type: protocol.id.clone(),
            api_key: Some(KEY.into()),
            base_url: Some("http://plain.test/v1/".to_owned()),
            provider_metadata: None,
        };
        Self { gateway, host, model, protocol, org: 1 }
    }

    /// The same with other parts of the host.
    pub(super) fn hosted(self, change: impl FnOnce(DriverHost) -> DriverHost) -> Self {
        let host = Arc::into_inner(self.host).expect("it is not shared yet");
        Self { host: Arc::new(change(host)), ..self }
    }

    /// The same with one try only.
    pub(super) fn once(self) -> Self {
        self.with_timeouts(CompletionTimeouts::default())
    }

    /// The same with one try only and other timeouts.
    pub(super) fn with_timeouts(self, timeouts: CompletionTimeouts) -> Self {
        let retry = RetryPolicy { attempts: 1, ..RetryPolicy::default() };
        self.hosted(|host| host.with_settings(DriverSettings { timeouts, retry, ..DriverSettings::default() }))
    }

    /// The same with vendor-specific values.
    pub(super) fn with_extra(mut self, extra: Value) -> Self {
        self.model.provider_metadata.get_or_insert_with(ProviderMetadata::default).extra = Some(extra);
        self
    }

    pub(super) fn context(&self) -> DriverContext {
        DriverContext::new(OrgId::from_uuid(Uuid::from_u128(self.org)), self.host.clone())
    }

    pub(super) async fn start(&self) -> Started {
        let driver = CodecDriver::new(self.protocol.clone(), self.model.driver_config());
        let request = ChatRequest { model: "plain-1".to_owned(), system_prompt: "Be brief.".to_owned(), ..ChatRequest::default() };
        complete(&driver, &self.model, request, &self.context()).await
    }

    pub(super) async fn stream(&self) -> Result<ChatStream, DriverError> {
        self.start().await.stream
    }

    /// All events, and the error if there is one.
    pub(super) async fn all(&self) -> (Vec<ChatEvent>, Option<DriverError>) {
        match self.stream().await {
            Ok(stream) => drain(stream).await,
            Err(error) => (Vec::new(), Some(error)),
        }
    }

    /// The text of an answer that is complete.
    pub(super) async fn text(&self) -> String {
        let (events, error) = self.all().await;
        assert_eq!(error, None);
        assert!(matches!(events.last(), Some(ChatEvent::Finish(_))), "{events:?}");
        text_of(&events)
    }

    pub(super) async fn error(&self) -> DriverError {
        self.all().await.1.expect("it fails")
    }
}

pub(super) async fn drain(mut stream: ChatStream) -> (Vec<ChatEvent>, Option<DriverError>) {
    let mut events = Vec::new();
    while let Some(event) = stream.next().await {
        match event {
            Ok(event) => events.push(event),
            Err(error) => return (events, Some(error)),
        }
    }
    (events, None)
}

pub(super) fn text_of(events: &[ChatEvent]) -> String {
    events.iter().filter_map(|event| if let ChatEvent::Text(text) = event { Some(text.as_str()) } else { None }).collect()
}

pub(super) fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}
