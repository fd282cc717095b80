//! Caps on size, number and time. Time is paused: it moves only when nothing else can.

use std::sync::Arc;
use std::time::Duration;

use everwit_runtime::egress::{
    EgressErrorKind, EgressQuota, EgressRequest, GatewayConfig, MAX_REQUEST_FIELDS, MAX_RESPONSE_FIELDS, MAX_RESPONSE_HEAD_BYTES,
    MAX_SSE_LINE_BYTES, Timeouts,
};
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep};

use super::support::*;

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\n\r\n";
const EMPTY: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Sends `piece` every `pause`, for ever.
fn dripping(head: &'static [u8], piece: Vec<u8>, pause: Duration) -> Arc<Pipe> {
    Pipe::new(move |mut stream| {
        let piece = piece.clone();
        async move {
            read_request(&mut stream).await;
            let _ = stream.write_all(head).await;
            while stream.write_all(&piece).await.is_ok() {
                if !pause.is_zero() {
                    sleep(pause).await;
                }
            }
        }
    })
}

#[tokio::test(start_paused = true)]
async fn every_phase_has_its_time() {
    let start = Instant::now();
    let took = |start: Instant| start.elapsed().as_secs_f64().round();

    let error = fetch(&gateway(Arc::new(SilentNames), Arc::new(NeverDial))).await.unwrap_err();
    assert_fault(&error, EgressErrorKind::Timeout, false);
    assert_eq!((took(start), error.message.as_str()), (3.0, "resolving the name took longer than 3000 ms"));

    let start = Instant::now();
    let tls = public(mute()).send("org", &grant(&["a.test"]), get("https://a.test/"), &mut quota()).await.unwrap_err();
    assert_fault(&tls, EgressErrorKind::Timeout, false);
    assert_eq!((took(start), tls.message.as_str()), (3.0, "the TLS handshake took longer than 3000 ms"));

    let start = Instant::now();
    let error = fetch(&public(mute())).await.unwrap_err();
    assert_fault(&error, EgressErrorKind::Timeout, true);
    assert_eq!((took(start), error.message.as_str()), (10.0, "the head of the response took longer than 10000 ms"));

    let mut response = fetch(&public(dripping(HEAD, b"a".to_vec(), seconds(60)))).await.unwrap();
    assert_eq!(response.chunk(9).await.unwrap().unwrap(), "a");
    let start = Instant::now();
    let error = response.chunk(9).await.unwrap_err();
    assert_fault(&error, EgressErrorKind::Timeout, true);
    assert_eq!(took(start), 10.0);
    assert_eq!(response.chunk(9).await, Err(error));
}

#[tokio::test(start_paused = true)]
async fn connecting_has_its_time_over_all_addresses() {
    struct Silent;
    #[async_trait::async_trait]
    impl everwit_runtime::egress::Connector for Silent {
        async fn connect(&self, _: std::net::SocketAddr) -> std::io::Result<Box<dyn everwit_runtime::egress::ByteStream>> {
            std::future::pending().await
        }
    }
    let start = Instant::now();
    let error = fetch(&gateway(Names::new(&[&[PUBLIC; 50]]), Arc::new(Silent))).await.unwrap_err();
    assert_fault(&error, EgressErrorKind::Timeout, false);
    assert_eq!(start.elapsed().as_secs_f64().round(), 3.0);
}

#[tokio::test(start_paused = true)]
async fn a_few_addresses_of_a_name_are_tried() {
    let addresses: Vec<String> = (1..=50).map(|last| format!("93.184.216.{last}")).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let pipe = addresses.iter().fold(Pipe::answering(EMPTY), |pipe, address| pipe.without(address));
    let error = fetch(&gateway(Names::new(&[&addresses]), pipe.clone())).await.unwrap_err();
    assert_fault(&error, EgressErrorKind::Connect, false);
    assert_eq!(pipe.dialled().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_slow_drip_ends_with_the_call() {
    let start = Instant::now();
    let mut response = fetch(&public(dripping(HEAD, b"a".to_vec(), seconds(1)))).await.unwrap();
    let error = read(&mut response).await.unwrap_err();
    assert_fault(&error, EgressErrorKind::Timeout, true);
    assert_eq!(start.elapsed().as_secs_f64().round(), 30.0);

    let start = Instant::now();
    let error = fetch(&public(dripping(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n".to_vec(), seconds(1)))).await.unwrap_err();
    assert_fault(&error, EgressErrorKind::Timeout, true);
    assert_eq!(start.elapsed().as_secs_f64().round(), 10.0);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_received_after_the_deadline_even_if_it_is_there() {
    let mut quota = EgressQuota::new(1, u64::MAX, Instant::now() + seconds(5));
    let pipe = dripping(HEAD, vec![b'x'; 1 << 10], Duration::from_millis(100));
    let mut response = fetch_under(&public(pipe), &mut quota).await.unwrap();
    response.chunk(usize::MAX).await.unwrap();
    sleep(seconds(6)).await;
    assert_fault(&response.chunk(usize::MAX).await.unwrap_err(), EgressErrorKind::Timeout, true);
}

#[tokio::test(start_paused = true)]
async fn a_request_has_its_own_time_within_the_call() {
    let slow = EgressRequest { timeout: Some(seconds(20)), ..get("http://a.test/") };
    let send = async |limit: u64, request: EgressRequest| {
        let start = Instant::now();
        let mut quota = EgressQuota::new(1, 1, start + seconds(limit));
        let error = public(mute()).send("org", &grant(&["a.test:80"]), request, &mut quota).await.unwrap_err();
        assert_eq!(error.kind, EgressErrorKind::Timeout);
        start.elapsed().as_secs_f64().round()
    };
    assert_eq!(send(60, slow.clone()).await, 20.0);
    assert_eq!(send(15, slow.clone()).await, 15.0);
    assert_eq!(send(60, EgressRequest { timeout: Some(seconds(2)), ..slow.clone() }).await, 2.0);
    assert_eq!(send(60, EgressRequest { timeout: Some(Duration::MAX), ..slow.clone() }).await, 60.0);
    assert_eq!(send(0, slow).await, 0.0);

    let patient = EgressRequest { timeouts: Some(Timeouts { idle: seconds(25), ..Timeouts::default() }), ..get("http://a.test/") };
    let gateway = public(dripping(HEAD, b"a".to_vec(), seconds(20)));
    let mut response = gateway.send("org", &grant(&["a.test:80"]), patient, &mut quota()).await.unwrap();
    assert_eq!(response.chunk(1).await.unwrap().unwrap(), "a");
    assert_eq!(response.chunk(1).await.unwrap().unwrap(), "a");
}

#[tokio::test]
async fn an_endless_body_stops_at_the_cap() {
    let pipe = dripping(HEAD, vec![b'x'; 16 << 10], Duration::ZERO);
    let mut quota = EgressQuota::new(9, 1 << 20, Instant::now() + seconds(30));
    let mut response = fetch_under(&public(pipe.clone()), &mut quota).await.unwrap();
    let mut read = 0;
    let error = loop {
        match response.chunk(usize::MAX).await {
            Ok(Some(chunk)) => read += chunk.len(),
            Ok(None) => panic!("the body is endless"),
            Err(error) => break error,
        }
    };
    assert_fault(&error, EgressErrorKind::Limit, true);
    assert!((1 << 19..=1 << 20).contains(&read), "{read}");
    assert_eq!(quota.bytes(), 1 << 20);
    let mut response = fetch_under(&public(pipe), &mut quota).await.unwrap();
    assert_fault(&response.chunk(1).await.unwrap_err(), EgressErrorKind::Limit, true);
}

#[tokio::test]
async fn an_endless_event_stops_at_the_cap() {
    let mut response = fetch(&public(dripping(HEAD, vec![b'x'; 16 << 10], Duration::ZERO))).await.unwrap();
    let error = response.next_event().await.unwrap_err();
    assert_fault(&error, EgressErrorKind::Limit, true);
    assert!(error.message.contains(&MAX_SSE_LINE_BYTES.to_string()), "{error}");
    assert_eq!(response.next_event().await, Err(error));
}

#[tokio::test]
async fn the_head_of_a_response_is_bounded() {
    let check = async |fields: String, expect: Option<EgressErrorKind>| {
        let answer = format!("HTTP/1.1 200 OK\r\n{fields}content-length: 0\r\n\r\n");
        let outcome = fetch(&public(Pipe::answering(answer))).await;
        assert_eq!(outcome.err().map(|error| (error.kind, error.request_sent)), expect.map(|kind| (kind, true)), "{}", fields.len());
    };
    check("x: y\r\n".repeat(MAX_RESPONSE_FIELDS - 1), None).await;
    check("x: y\r\n".repeat(MAX_RESPONSE_FIELDS), Some(EgressErrorKind::Limit)).await;
    check(format!("x: {}\r\n", "y".repeat(MAX_RESPONSE_HEAD_BYTES - 200)), None).await;
    check(format!("x: {}\r\n", "y".repeat(MAX_RESPONSE_HEAD_BYTES)), Some(EgressErrorKind::Limit)).await;
    let endless = dripping(b"HTTP/1.1 200 OK\r\nx: ", vec![b'y'; 16 << 10], Duration::ZERO);
    assert_fault(&fetch(&public(endless)).await.unwrap_err(), EgressErrorKind::Limit, true);
}

#[tokio::test]
async fn the_head_of_a_request_is_bounded() {
    let headers = vec![("x".to_owned(), "y".to_owned()); MAX_REQUEST_FIELDS + 1];
    let request = EgressRequest { headers, ..get("http://a.test/") };
    let gateway = public(Arc::new(NeverDial));
    let error = gateway.send("org", &grant(&["a.test:80"]), request, &mut quota()).await.unwrap_err();
    assert_fault(&error, EgressErrorKind::Limit, false);
}

#[tokio::test]
async fn requests_and_bytes_of_a_call_are_counted() {
    let pipe = Pipe::answering("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc");
    let gateway = public(pipe.clone());
    let mut quota = EgressQuota::new(2, 20, Instant::now() + seconds(30));
    let post = EgressRequest { method: "POST".to_owned(), body: "12345".into(), ..get("http://a.test/") };
    let mut response = gateway.send("org", &grant(&["a.test:80"]), post.clone(), &mut quota).await.unwrap();
    assert_eq!((quota.requests(), quota.bytes()), (1, 5));
    read(&mut response).await.unwrap();
    assert_eq!((quota.requests(), quota.bytes()), (1, 8));
    gateway.send("org", &grant(&["b.test"]), post.clone(), &mut quota).await.unwrap_err();
    assert_eq!(quota.requests(), 1, "a request that is not granted does not count");
    fetch_under(&gateway, &mut quota).await.unwrap();
    assert_fault(&fetch_under(&gateway, &mut quota).await.unwrap_err(), EgressErrorKind::Limit, false);
    assert_eq!((quota.requests(), pipe.dialled().len()), (2, 2));

    let mut quota = EgressQuota::new(2, 4, Instant::now() + seconds(30));
    let error = gateway.send("org", &grant(&["a.test:80"]), post, &mut quota).await.unwrap_err();
    assert_fault(&error, EgressErrorKind::Limit, false);
    assert_eq!(pipe.dialled().len(), 2, "a body beyond the quota is not sent");
}

#[tokio::test]
async fn a_call_without_a_network_makes_no_request() {
    let gateway = public(Arc::new(NeverDial));
    let mut quota = EgressQuota::new(0, 0, Instant::now() + seconds(30));
    assert_fault(&fetch_under(&gateway, &mut quota).await.unwrap_err(), EgressErrorKind::Limit, false);
}

#[tokio::test(start_paused = true)]
async fn one_scope_cannot_use_up_the_gateway() {
    let config = GatewayConfig { in_flight_per_scope: 2, ..GatewayConfig::default() };
    let gateway = configured(config, Names::new(&[&[PUBLIC][..]; 9]), Pipe::answering(EMPTY));
    let grant = grant(&["a.test:80"]);
    let first = gateway.send("a", &grant, get("http://a.test/"), &mut quota()).await.unwrap();
    let _second = gateway.send("a", &grant, get("http://a.test/"), &mut quota()).await.unwrap();
    let error = gateway.send("a", &grant, get("http://a.test/"), &mut quota()).await.unwrap_err();
    assert_fault(&error, EgressErrorKind::Limit, false);
    assert_eq!(error.retry_after_ms, Some(1_000));
    gateway.send("b", &grant, get("http://a.test/"), &mut quota()).await.unwrap();
    drop(first);
    gateway.send("a", &grant, get("http://a.test/"), &mut quota()).await.unwrap();
}
