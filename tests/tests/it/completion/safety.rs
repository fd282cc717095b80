//! What a codec cannot do, and what never leaves.

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use everwit_runtime::driver::{ChatDriver, ChatEvent, ChatRequest, ChatStream, DriverContext, DriverError, DriverErrorKind, complete};
use futures::{StreamExt, stream};
use serde_json::json;

use super::vendor::*;
use crate::egress::support::NeverDial;
use crate::turns::secrets::Log;

#[tokio::test(start_paused = true)]
async fn requests_go_to_the_origin_of_the_base_url_only() {
    for target in [
        "http://evil.test/v1/chat",
        "https://plain.test/v1/chat",
        "http://plain.test:81/v1/chat",
        "http://plain.test.evil.test/v1/chat",
        "http://plain.test@evil.test/v1/chat",
        "http://user@plain.test/v1/chat",
        "file:///etc/passwd",
        "no url",
    ] {
        let mut rig = Rig::over(Arc::new(NeverDial));
        rig.protocol = Arc::new(Plain { target, ..Plain::default() });
        let error = rig.error().await;
        assert_eq!(error.kind, DriverErrorKind::Configuration, "{target}: {error}");
        assert!(!error.to_string().contains("evil"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn headers_cannot_be_injected() {
    for header in
        [("x", "a\r\nx-evil: b"), ("x", "a\nb"), ("x-a\r\nx-evil", "b"), ("x y", "b"), ("proxy-authorization", "b"), ("upgrade", "h2c")]
    {
        let mut rig = Rig::over(Arc::new(NeverDial));
        rig.protocol = Arc::new(Plain { header, ..Plain::default() });
        assert_eq!(rig.error().await.kind, DriverErrorKind::Configuration, "{header:?}");
    }
    let vendor = Vendor::new([saying("hello")]);
    let mut rig = Rig::new(&vendor);
    rig.protocol = Arc::new(Plain { header: ("host", "evil.test"), ..Plain::default() });
    rig.text().await;
    assert!(!vendor.requests()[0].contains("evil"), "host is the gateway's");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_without_a_usable_configuration() {
    let changes: [fn(&mut Rig); 4] = [
        |rig| rig.model.api_key = None,
        |rig| rig.model.base_url = None,
        |rig| rig.model.base_url = Some("plain.test/v1".to_owned()),
        |rig| rig.model.base_url = Some("http://127.0.0.1/v1".to_owned()),
    ];
    for change in changes {
        let mut rig = Rig::over(Arc::new(NeverDial));
        change(&mut rig);
        assert_eq!(rig.error().await.kind, DriverErrorKind::Configuration);
    }
}

/// Vendors quote wrong keys, in all kinds of spellings.
#[tokio::test(start_paused = true)]
async fn no_spelling_of_a_key_is_in_an_error_or_in_the_log() {
    let key = "plain+key/\"0123\"";
    let spelled = [
        key.to_owned(),
        json!(key).to_string(),
        "plain%2Bkey%2F%220123%22".to_owned(),
        "plain%2bkey%2f%220123%22".to_owned(),
        STANDARD.encode(key),
        STANDARD.encode(format!("user:{key}")),
        STANDARD.encode(format!("me:{key}:x")),
    ];
    let log = Log::default();
    let guard = log.listen();
    for spelling in &spelled {
        let vendor = Vendor::new([
            status(503, "", &format!("busy for {spelling}")),
            vec![head(), event(&json!({"text": "a"})), event(&json!({"error": format!("broken by {spelling}.")}))],
        ]);
        let mut rig = Rig::new(&vendor);
        rig.model.api_key = Some(key.into());
        let error = rig.error().await;
        assert_eq!(error.kind, DriverErrorKind::Unavailable);
        let told = format!("{error} {error:?}");
        assert!(!told.contains(spelling.trim_matches('"')) && told.contains("broken by ") && told.contains("[redacted]"), "{told}");
    }
    drop(guard);
    let logged = log.text();
    assert!(logged.contains("busy for "), "the refusals are logged: {logged}");
    for spelling in &spelled {
        assert!(!logged.contains(spelling.trim_matches('"')), "{spelling} in {logged}");
    }
}

/// Drivers that were written by hand are held against the same rules.
#[derive(Clone)]
struct Endless(ChatEvent);

#[async_trait]
impl ChatDriver for Endless {
    async fn complete(&self, _: ChatRequest, _: DriverContext) -> Result<ChatStream, DriverError> {
        let event = self.0.clone();
        Ok(stream::repeat_with(move || Ok(event.clone())).boxed())
    }
}

#[tokio::test(start_paused = true)]
async fn events_that_never_end_do() {
    let rig = Rig::over(Arc::new(NeverDial)).once();
    for event in [ChatEvent::Usage(Default::default()), ChatEvent::Text(String::new())] {
        let started = complete(&Endless(event), &rig.model, ChatRequest::default(), &rig.context()).await;
        let error = match started.stream {
            Ok(stream) => drain(stream).await.1.expect("it fails"),
            Err(error) => error,
        };
        assert_eq!(
            (error.kind, error.message.as_str()),
            (DriverErrorKind::AnswerTooLarge, "the answer of the model has more than 1048576 events")
        );
    }
}

/// A driver that is written by hand has the same way out.
struct ByHand(everwit_runtime::driver::DriverConfig, &'static str);

#[async_trait]
impl ChatDriver for ByHand {
    async fn complete(&self, _: ChatRequest, context: DriverContext) -> Result<ChatStream, DriverError> {
        let request = everwit_runtime::driver::CodecRequest { method: "POST".to_owned(), url: self.1.to_owned(), ..Default::default() };
        let mut response = context.send(&self.0, request).await?;
        let body = response.chunk(1 << 10).await?.unwrap_or_default();
        let text = String::from_utf8_lossy(&body).into_owned();
        Ok(stream::iter([Ok(ChatEvent::Text(text)), Ok(ChatEvent::finish("stop"))]).boxed())
    }
}

#[tokio::test(start_paused = true)]
async fn a_driver_by_hand_reaches_the_origin_of_its_base_url() {
    let vendor = Vendor::new([status(200, "", "by hand")]);
    let rig = Rig::new(&vendor);
    let ask = async |url| {
        let driver = ByHand(rig.model.driver_config(), url);
        let started = complete(&driver, &rig.model, ChatRequest::default(), &rig.context()).await;
        Ok::<_, DriverError>(text_of(&drain(started.stream?).await.0))
    };
    assert_eq!(ask("http://plain.test/v1/x").await, Ok("by hand".to_owned()));
    assert_eq!(ask("http://evil.test/v1/x").await.map_err(|error| error.kind), Err(DriverErrorKind::Configuration));
    assert_eq!(vendor.dials(), 1);
}
