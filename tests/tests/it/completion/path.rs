//! What goes over the wire, and what comes back.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use everwit_runtime::driver::{
    Answer, ChatEvent, CompletionTimeouts, DriverErrorKind, ExchangeRecorder, MAX_ANSWER_BYTES, RecordedExchange,
};
use everwit_runtime::egress::{ByteStream, Connector};
use futures::StreamExt;
use serde_json::json;
use tokio::time::Instant;

use super::vendor::*;

#[tokio::test(start_paused = true)]
async fn a_request_goes_out_as_the_codec_says_and_events_come_as_they_arrive() {
    let vendor = Vendor::new([vec![
        head(),
        event(&json!({"text": "one "})),
        Act::Wait(seconds(5)),
        event(&json!({"text": "two"})),
        event(&json!({"finish": "stop", "usage": 9})),
        end(),
    ]]);
    let rig = Rig::new(&vendor);
    let started = Instant::now();
    let mut stream = rig.stream().await.unwrap();
    assert_eq!(stream.next().await.unwrap(), Ok(ChatEvent::Text("one ".to_owned())));
    assert_eq!(started.elapsed(), Duration::ZERO, "the first word is there before the second");
    let (rest, error) = drain(stream).await;
    assert_eq!((text_of(&rest).as_str(), error), ("two", None));
    assert!(matches!(rest[1..], [ChatEvent::Usage(_), ChatEvent::Finish(_)]), "{rest:?}");

    let requests = vendor.requests();
    let (head, body) = requests[0].split_once("\r\n\r\n").unwrap();
    let mut lines: Vec<&str> = head.split("\r\n").collect();
    assert_eq!(lines.remove(0), "POST /v1/chat HTTP/1.1");
    lines.sort_unstable();
    let expected = ["authorization: Bearer plain-key-0123456789", "content-length: 9", "host: plain.test", "x-plain: 1"];
    assert_eq!(lines.iter().filter(|line| !line.starts_with("user-agent:")).collect::<Vec<_>>(), expected.iter().collect::<Vec<_>>());
    assert_eq!(body, "Be brief.");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_cut_is_an_error_wherever_it_is_cut() {
    let pieces = ["one ", "two ", "three"].map(|text| event(&json!({"text": text})));
    for kept in 0..=pieces.len() {
        let mut reply = vec![head()];
        reply.extend_from_slice(&pieces[..kept]);
        // Once in the middle of the next event, once by the end of the body, and once by silence.
        for last in [vec![chunk("data: {\"te"), Act::Close], vec![end()], vec![Act::Close]] {
            let vendor = Vendor::new([[reply.clone(), last].concat()]);
            let (events, error) = Rig::new(&vendor).once().all().await;
            assert_eq!(error.map(|error| error.kind), Some(DriverErrorKind::InvalidResponse), "after {kept}");
            assert_eq!(events.len(), kept);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_comes_after_the_end_is_token_counts_or_an_error() {
    let ending = |then: Vec<Act>| [vec![head(), event(&json!({"text": "so"})), event(&json!({"finish": "stop"}))], then].concat();
    let late = Vendor::new([ending(vec![event(&json!({"usage": 7})), end()])]);
    let (events, error) = Rig::new(&late).all().await;
    assert_eq!(error, None);
    assert!(matches!(&events[..], [_, ChatEvent::Usage(usage), ChatEvent::Finish(_)] if usage.output_tokens == 7), "{events:?}");

    for cut in [vec![Act::Close], vec![Act::Wait(seconds(3_600))]] {
        let started = Instant::now();
        assert_eq!(Rig::new(&Vendor::new([ending(cut)])).text().await, "so", "what is complete stays so");
        assert!(started.elapsed() <= seconds(2));
    }

    for more in [json!({"text": "more"}), json!({"finish": "stop"})] {
        let vendor = Vendor::new([ending(vec![event(&more), end()])]);
        let error = Rig::new(&vendor).once().error().await;
        assert_eq!(error.message, "the driver went on after the end of the answer");
    }
}

#[tokio::test(start_paused = true)]
async fn a_success_without_anything_in_it_is_an_error() {
    let empty = || vec![head(), event(&json!({"finish": "stop"})), end()];
    let error = Rig::new(&Vendor::new([empty()])).once().error().await;
    assert_eq!(error.kind, DriverErrorKind::InvalidResponse);
    assert!(error.message.contains("is the base URL of the provider right?"), "{error}");
    let counted = vec![head(), event(&json!({"usage": 1})), event(&json!({"finish": "stop"})), end()];
    assert_eq!(Rig::new(&Vendor::new([counted])).text().await, "", "a model may say nothing");
}

#[tokio::test(start_paused = true)]
async fn every_wait_has_its_time() {
    struct Silent;
    #[async_trait]
    impl Connector for Silent {
        async fn connect(&self, _: std::net::SocketAddr) -> std::io::Result<Box<dyn ByteStream>> {
            std::future::pending().await
        }
    }
    let forever = || Act::Wait(seconds(100_000));
    let dripping = || [vec![head()], (0..2_000).flat_map(|_| [event(&json!({"text": "."})), Act::Wait(seconds(1))]).collect()].concat();
    let took = async |rig: Rig| {
        let started = Instant::now();
        let error = rig.error().await;
        assert_eq!(error.kind, DriverErrorKind::Timeout, "{error}");
        started.elapsed().as_secs()
    };
    let short = CompletionTimeouts { connect: seconds(1), first_byte: seconds(2), idle: seconds(3), total: seconds(4) };
    for (timeouts, [connect, first_byte, idle, total]) in [(CompletionTimeouts::default(), [5, 120, 120, 1_200]), (short, [1, 2, 3, 4])] {
        assert_eq!(took(Rig::over(Arc::new(Silent)).with_timeouts(timeouts)).await, connect);
        assert_eq!(took(Rig::new(&Vendor::new([vec![forever()]])).with_timeouts(timeouts)).await, first_byte);
        assert_eq!(
            took(Rig::new(&Vendor::new([vec![head(), event(&json!({"text": "a"})), forever()]])).with_timeouts(timeouts)).await,
            idle
        );
        assert_eq!(took(Rig::new(&Vendor::new([dripping()])).with_timeouts(timeouts)).await, total);
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_has_timeouts_of_its_own() {
    let silent =
        || Vendor::new([vec![head(), Act::Wait(seconds(30)), event(&json!({"text": "late"})), event(&json!({"finish": "stop"})), end()]]);
    let rig = |idle: u64| Rig::new(&silent()).once().with_extra(json!({"timeouts_ms": {"idle": idle}}));
    assert_eq!(rig(30_001).text().await, "late");
    let error = rig(29_999).error().await;
    assert_eq!((error.kind, error.message.contains("29999 ms")), (DriverErrorKind::Timeout, true), "{error}");
    let error = Rig::over(Arc::new(crate::egress::support::NeverDial)).with_extra(json!({"timeouts_ms": {"idel": 1}})).error().await;
    assert_eq!(error.kind, DriverErrorKind::Configuration);
}

#[tokio::test(start_paused = true)]
async fn dropping_a_completion_closes_its_connection_at_once() {
    // While it waits for the head, and in the middle of the answer. The vendor then waits for the next
    // request, and so notices at once that nobody is there.
    let vendor = Vendor::new([vec![], vec![head(), event(&json!({"text": "a"}))]]);
    let rig = Rig::new(&vendor);
    let waiting = tokio::time::timeout(Duration::from_millis(10), rig.stream()).await;
    assert!(waiting.is_err(), "it waits for the head");
    hung_up(&vendor, 1).await;
    let mut stream = rig.stream().await.unwrap();
    stream.next().await.unwrap().unwrap();
    drop(stream);
    hung_up(&vendor, 2).await;
    assert_eq!((vendor.requests().len(), vendor.dials(), rig.gateway.idle_connections()), (2, 2, 0));
}

/// No time passes until so many connections are closed: yielding leaves the paused clock alone.
async fn hung_up(vendor: &Vendor, count: usize) {
    /// Far more than the tasks of a connection need.
    const YIELDS: usize = 1_000;
    let started = Instant::now();
    for _ in 0..YIELDS {
        tokio::task::yield_now().await;
    }
    assert_eq!(vendor.closed(), count, "the connection is open still");
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_large_stream_goes_through_and_a_large_answer_does_not() {
    // 10 MiB over the wire, most of it what vendors wrap around a word.
    let padding = "x".repeat(1_000);
    let words = 10_486;
    let stream = (0..words).map(|_| event(&json!({"text": "word ", "padding": padding})));
    let reply = [vec![head()], stream.collect(), vec![event(&json!({"finish": "stop"})), end()]].concat();
    assert_eq!(Rig::new(&Vendor::new([reply])).text().await.len(), words * 5);

    let part = "x".repeat(64 << 10);
    let answer = [
        vec![head()],
        vec![event(&json!({"text": part})); MAX_ANSWER_BYTES / part.len() + 1],
        vec![event(&json!({"finish": "stop"})), end()],
    ]
    .concat();
    let rig = Rig::new(&Vendor::new([answer]));
    let mut stream = rig.stream().await.unwrap();
    let mut answer = Answer::of(&rig.model.provider_type);
    let error = loop {
        if let Err(error) = answer.push(stream.next().await.expect("it does not come to its end").unwrap()) {
            break error;
        }
    };
    assert_eq!(error.kind, DriverErrorKind::AnswerTooLarge);
    assert_eq!(error.message, format!("the answer of the model is larger than {MAX_ANSWER_BYTES} bytes"));
}

#[tokio::test(start_paused = true)]
async fn of_an_error_page_only_the_start_is_read() {
    let page = "<html>".repeat(100_000);
    let vendor = Vendor::new([status(403, "", &page)]);
    let error = Rig::new(&vendor).error().await;
    assert_eq!((error.kind, error.message.as_str()), (DriverErrorKind::Authentication, "the vendor answered with status 403"));
    assert_eq!(error.vendor_message.map(|message| message.len()), Some(2 << 10));
}

#[derive(Default)]
struct Tape(Mutex<Vec<RecordedExchange>>);

impl ExchangeRecorder for Tape {
    fn record(&self, exchange: RecordedExchange) {
        lock(&self.0).push(exchange);
    }
}

#[tokio::test(start_paused = true)]
async fn exchanges_are_recorded_without_credentials() {
    let gossip = format!("no access with {KEY}");
    let vendor = Vendor::new([saying("hello"), status(401, &format!("x-echo: {KEY}\r\n"), &gossip)]);
    let tape = Arc::new(Tape::default());
    let rig = Rig::new(&vendor).hosted(|host| host.with_recorder(tape.clone()));
    rig.text().await;
    rig.error().await;
    let recorded = tape.0.lock().unwrap();
    let [answered, refused] = &recorded[..] else { panic!("{recorded:?}") };
    assert_eq!((answered.driver.as_str(), answered.url.as_str(), answered.head.status), ("plain", "http://plain.test/v1/chat", 200));
    assert_eq!(answered.headers[0], ("authorization".to_owned(), "Bearer [redacted]".to_owned()));
    assert_eq!((answered.body.as_str(), answered.is_complete, answered.events.len()), ("Be brief.", true, 3));
    assert!(String::from_utf8_lossy(&answered.pieces.concat()).starts_with("data: {\"text\":\"hello\"}\n\n"));
    assert_eq!(refused.error.as_ref().map(|error| error.kind), Some(DriverErrorKind::Authentication));
    assert_eq!(refused.pieces.concat(), b"no access with [redacted]");
    assert!(!format!("{recorded:?}").contains(KEY));
}
