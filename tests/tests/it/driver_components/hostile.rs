//! Hostile drivers: each ends in an error that says why, and no key leaves but in its place.

use std::io;
use std::sync::{Arc, Mutex};

use everwit_runtime::driver::{
    Codec, CodecRequest, DriverConfig, DriverError, DriverErrorKind, Frame, Protocol, ProviderMetadata, ResponseHead,
};
use everwit_runtime::limits::Budget;
use tracing_subscriber::fmt::MakeWriter;

use super::{PLANTED, SMALL, asking, config, open, open_with};

const OK: ResponseHead = ResponseHead { status: 200, headers: Vec::new() };

/// A completion up to its first frame.
async fn at_first_frame(name: &str, model: &str) -> Box<dyn Codec> {
    let mut codec = open(name).await.codec().await.expect("it starts");
    codec.begin(&config(), &asking(model)).await.expect("the request is in order");
    codec.on_head(&OK).await.expect("it takes the head");
    codec
}

fn assert_fault(error: &DriverError, says: &str) {
    assert_eq!(error.kind, DriverErrorKind::Internal, "{error:?}");
    assert!(error.message.contains("at fault") && error.message.contains(says), "{error:?} does not say {says:?}");
}

#[tokio::test]
async fn what_a_frame_may_not_do_ends_the_completion() {
    for (model, says) in [
        ("loop", "(fuel)"),
        ("panic", "the reason"),
        ("grow", "(memory)"),
        ("endless", "more than 16384 events"),
        ("huge", "(output)"),
        ("after-finish", "text after finish"),
        ("finish-twice", "finish after finish"),
        ("bad-index", "tool call 7"),
        ("absurd-usage", "which cannot be"),
    ] {
        let mut codec = at_first_frame("driver-frames", model).await;
        let error = codec.on_frame(Frame::Bytes("x".into())).await.expect_err(model);
        assert_fault(&error, says);
        let receipt = codec.receipt().expect("a component has a receipt");
        assert!(receipt.usage.fuel > 0 && receipt.usage.fuel <= receipt.usage.fuel_limit, "{model}: {receipt:?}");
        if model == "loop" {
            assert!(receipt.usage.fuel < SMALL.fuel / 2, "a frame has fuel of its own, so that most is left: {receipt:?}");
        }
    }
}

#[tokio::test]
async fn a_frame_has_its_time() {
    let driver = open_with("driver-frames", Budget { wall_ms: 1, ..SMALL }).await;
    // Its start may take longer than that on a busy machine, and is held against the same limit.
    let error = loop {
        let Ok(mut codec) = driver.codec().await else { continue };
        if codec.begin(&config(), &asking("loop")).await.is_ok() && codec.on_head(&OK).await.is_ok() {
            break codec.on_frame(Frame::Bytes("x".into())).await.expect_err("it loops");
        }
    };
    assert_fault(&error, "(deadline)");
}

/// A guest that is newer than this host may say more.
#[tokio::test]
async fn an_event_of_an_unknown_kind_is_passed_over() {
    let mut codec = at_first_frame("driver-frames", "unknown").await;
    assert_eq!(codec.on_frame(Frame::Bytes("x".into())).await, Ok(Vec::new()));
}

/// What was stopped cannot be used again.
#[tokio::test]
async fn a_stopped_driver_stays_stopped() {
    let mut codec = at_first_frame("driver-frames", "panic").await;
    for _ in 0..2 {
        assert_fault(&codec.on_frame(Frame::Bytes("x".into())).await.expect_err("it panicked"), "the reason");
    }
    assert_fault(&codec.on_end().await.expect_err("it panicked"), "the reason");
}

/// Each frame has fuel of its own, and all of them have a total.
#[tokio::test]
async fn fuel_is_topped_up_per_frame_up_to_a_total() {
    let limit = 3_000_000;
    let driver = open_with("driver-frames", Budget { fuel: limit, ..SMALL }).await;
    let mut codec = driver.codec().await.expect("it starts");
    codec.begin(&config(), &asking("plain")).await.expect("the request is in order");
    codec.on_head(&OK).await.expect("it takes the head");
    let mut frames = 0_u32;
    let error = loop {
        match codec.on_frame(Frame::Bytes("x".into())).await {
            Ok(_) => frames += 1,
            Err(error) => break error,
        }
        assert!(frames < 100_000, "there is no total");
    };
    assert!(frames > 10, "only {frames} frames");
    assert_fault(&error, "(fuel)");
    assert_eq!(codec.receipt().expect("a receipt").usage.fuel, limit);
}

#[tokio::test]
async fn a_credential_goes_into_its_place_and_nowhere_else() {
    let with_refresh = || DriverConfig {
        metadata: Some(ProviderMetadata { refresh_token: Some(format!("r\"{PLANTED}").into()), ..ProviderMetadata::default() }),
        ..config()
    };
    let begin = async |model: &str| {
        let mut codec = open("driver-requests").await.codec().await.expect("it starts");
        codec.begin(&with_refresh(), &asking(model)).await
    };
    let CodecRequest { url, headers, body, .. } = begin("good").await.expect("everything is in its place");
    assert_eq!(url, "https://vendor.example/v1");
    assert!(headers.contains(&("authorization".to_owned(), format!("Bearer sk_{PLANTED}"))), "{headers:?}");
    let body: serde_json::Value = serde_json::from_slice(&body).expect("it is JSON still");
    assert_eq!(body["refresh"], format!("r\"{PLANTED}"));
    for (model, says) in [
        ("elsewhere", "another origin"),
        ("other-port", "another origin"),
        ("in-path", "the path"),
        ("in-query", "query parameter"),
        ("in-body", "the body"),
        ("other-header", "x-copy"),
        ("header-injection", "x-note"),
        ("header-name", "header field"),
    ] {
        let error = begin(model).await.expect_err(model);
        assert_fault(&error, says);
        assert!(!error.to_string().contains(PLANTED), "{model}: {error}");
    }
}

#[tokio::test]
async fn a_missing_credential_is_told_before_anything_is_sent() {
    let mut codec = open("driver-requests").await.codec().await.expect("it starts");
    let error = codec.begin(&DriverConfig { api_key: None, ..config() }, &asking("good")).await.expect_err("there is no key");
    assert_eq!((error.kind, error.message.contains("api-key")), (DriverErrorKind::Configuration, true), "{error:?}");
}

/// Everything that is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nothing panics while it holds the lock").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// A driver whose description names no place for the key gets the key, and must not be able to tell it.
#[tokio::test]
async fn a_key_that_a_driver_tells_is_taken_out() {
    let driver = open("driver-leaks").await;
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    for model in ["error", "panic", "origin"] {
        let mut codec = driver.codec().await.expect("it starts");
        let error = codec.begin(&config(), &asking(model)).await.expect_err(model);
        let told = format!("{error} {error:?}");
        assert!(!told.contains(PLANTED), "{model}: {told}");
    }
    let mut codec = driver.codec().await.expect("it starts");
    codec.begin(&config(), &asking("reason")).await.expect("the request is in order");
    codec.on_head(&OK).await.expect("it takes the head");
    let error = codec.on_frame(Frame::Bytes("x".into())).await.expect_err("the reason is too long");
    assert!(!format!("{error:?}").contains(PLANTED), "{error:?}");
    drop(codec);
    let logged = String::from_utf8_lossy(&log.0.lock().expect("nothing panics while it holds the lock")).into_owned();
    assert!(logged.contains("my key is [redacted]"), "{logged}");
    assert!(!logged.contains(PLANTED), "{logged}");
}

/// The answer to an exchange holds a token that nobody knows yet, so that nothing of it may be told.
#[tokio::test]
async fn nothing_of_an_exchange_of_tokens_is_told() {
    let driver = open("driver-exchange").await;
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    for (answer, says) in
        [(format!("token-{PLANTED}"), "authentication"), ("long".to_owned(), "20000 bytes"), ("empty".to_owned(), "0 bytes")]
    {
        let mut exchange = driver.token_exchange().await.expect("it starts").expect("it has one");
        exchange.begin(&config()).await.expect("the request is in order");
        let error = exchange.decode(200, answer.as_bytes()).await.expect_err("there is no token");
        drop(exchange);
        let told = format!("{error} {error:?}");
        assert!(told.contains(says) && !told.contains(PLANTED), "{told}");
    }
    let logged = String::from_utf8_lossy(&log.0.lock().expect("nothing panics while it holds the lock")).into_owned();
    assert!(!logged.contains(PLANTED) && !logged.contains("the answer is"), "{logged}");
}

#[tokio::test]
async fn a_list_of_models_has_an_end() {
    let driver = open("driver-exchange").await;
    let mut discovery = driver.discovery().await.expect("it starts").expect("it has one");
    discovery.begin(&config()).await.expect("the request is in order");
    let error = discovery.decode(200, b"{}").await.expect_err("it lists too many");
    assert_fault(&error, "10000 are the most");
}
