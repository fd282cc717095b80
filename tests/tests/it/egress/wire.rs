//! What goes over the wire, and what comes back.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::Arc;

use everwit_runtime::egress::{EgressErrorKind, EgressRequest, Gateway, GatewayConfig, PrivateTarget, SseEvent};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::support::*;

const EMPTY: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// A real gateway that may reach a real server of this test, which gives back what it received.
async fn loopback() -> (Gateway, SocketAddr, JoinHandle<String>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback has a free port");
    let address = listener.local_addr().expect("it is bound");
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("the gateway connects");
        let request = read_request(&mut stream).await;
        stream.write_all(EMPTY.as_bytes()).await.expect("the gateway reads");
        request
    });
    let target = PrivateTarget::net(address.ip().into(), address.port());
    crate::support::mutation::apply();
    let gateway =
        Gateway::new(GatewayConfig { private_targets: vec![target], ..GatewayConfig::default() }).expect("the configuration is valid");
    (gateway, address, server)
}

#[tokio::test]
async fn host_and_framing_are_ours() {
    let (gateway, address, server) = loopback().await;
    let headers = [
        ("Host", "internal.service"),
        ("Content-Length", "500"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "keep-alive, x-kept"),
        ("Keep-Alive", "timeout=60"),
        ("TE", "trailers"),
        ("Trailer", "x"),
        ("Sec-Fetch-Mode", "cors"),
        ("content_length", "0"),
        ("X-Kept", "one"),
        ("X-Kept", "two"),
        ("Authorization", "Bearer token"),
        ("User-Agent", "guest/1"),
    ];
    let request = EgressRequest {
        method: "post".to_owned(),
        url: format!("http://{address}/a%20b/%2e/c?q=1&r=%0d%0a#fragment"),
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        body: "body".into(),
        ..EgressRequest::default()
    };
    let response = gateway.send("org", &grant(&[&address.to_string()]), request, &mut quota()).await.unwrap();
    assert_eq!(response.status(), 200);
    let request = server.await.unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let mut lines: Vec<_> = head.split("\r\n").collect();
    assert_eq!(lines.remove(0), "POST /a%20b/c?q=1&r=%0d%0a HTTP/1.1");
    lines.sort_unstable();
    let host = format!("host: {address}");
    let expect = [
        "authorization: Bearer token",
        "connection: close",
        "content-length: 4",
        &host,
        "user-agent: guest/1",
        "x-kept: one",
        "x-kept: two",
    ];
    assert_eq!(lines, expect);
    assert_eq!(body, "body");
}

#[tokio::test]
async fn a_request_goes_straight_to_its_address() {
    let (gateway, address, server) = loopback().await;
    gateway.send("org", &grant(&[&address.to_string()]), get(&format!("http://{address}/")), &mut quota()).await.unwrap();
    let request = server.await.unwrap();
    assert!(request.starts_with("GET / HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("user-agent: everwit/"), "{request}");
    assert!(!request.contains("content-length"), "{request}");
}

/// Runs the test before this one in a process whose environment names a proxy.
#[test]
fn proxies_of_the_environment_are_not_used() {
    let proxy = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    proxy.set_nonblocking(true).unwrap();
    let url = format!("http://{}", proxy.local_addr().unwrap());
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "egress::wire::a_request_goes_straight_to_its_address"]);
    for name in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        child.env(name, &url);
    }
    let output = child.env_remove("no_proxy").env_remove("NO_PROXY").output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && stdout.contains("1 passed"), "{stdout}");
    assert_eq!(proxy.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "nobody called the proxy");
}

#[tokio::test]
async fn a_compressed_body_is_not_decompressed() {
    let body = b"\x1f\x8b\x08 not even valid";
    let mut answer = format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", body.len()).into_bytes();
    answer.extend_from_slice(body);
    let mut response = fetch(&public(Pipe::answering(answer))).await.unwrap();
    assert_eq!(response.headers()["content-encoding"], "gzip");
    assert_eq!(read(&mut response).await.unwrap(), body);
}

#[tokio::test]
async fn a_body_is_read_in_pieces_of_the_wanted_size() {
    let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6\r\nabcdef\r\n1\r\ng\r\n0\r\nx-trailer: y\r\n\r\n";
    let mut response = fetch(&public(Pipe::answering(answer))).await.unwrap();
    let mut pieces = Vec::new();
    while let Some(piece) = response.chunk(4).await.unwrap() {
        pieces.push(piece);
    }
    assert!(pieces.iter().all(|piece| (1..=4).contains(&piece.len())), "{pieces:?}");
    assert_eq!(pieces.concat(), b"abcdefg");
    assert_eq!(response.chunk(4).await, Ok(None), "the end stays the end");
}

#[tokio::test]
async fn server_sent_events_are_framed() {
    let answer =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\nevent: delta\nid: 1\ndata: a\ndata: b\n\n: ping\n\ndata: c\n\ndata: cut";
    let mut response = fetch(&public(Pipe::answering(answer))).await.unwrap();
    let event = |event: &str, data: &str, id: &str| SseEvent { event: event.into(), data: data.into(), id: id.into() };
    assert_eq!(response.next_event().await, Ok(Some(event("delta", "a\nb", "1"))));
    assert_eq!(response.next_event().await, Ok(Some(event("message", "c", ""))));
    assert_eq!(response.next_event().await, Ok(None));
}

#[tokio::test]
async fn what_is_not_a_whole_response_is_a_fault() {
    for answer in [
        "",
        "HTTP/1.1",
        "SSH-2.0-canary\r\n",
        "HTTP/1.1 200 OK\r\ncanary\r\n\r\n",
        "HTTP/1.1 101 X\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    ] {
        let error = fetch(&public(Pipe::answering(answer))).await.expect_err(answer);
        assert_fault(&error, EgressErrorKind::Protocol, true);
        assert!(!error.message.contains("canary"), "{error}");
    }
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nz\r\n",
    ] {
        let mut response = fetch(&public(Pipe::answering(answer))).await.unwrap();
        let error = read(&mut response).await.expect_err(answer);
        assert_fault(&error, EgressErrorKind::Protocol, true);
        assert_eq!(response.chunk(1).await, Err(error), "a failed response stays failed");
    }
}

#[tokio::test]
async fn the_wait_that_a_server_asks_for_is_read() {
    let now = "date: Wed, 21 Oct 2026 07:28:00 GMT\r\n";
    for (value, date, expect) in [
        ("7", "", Some(7_000)),
        (" 0 ", now, Some(0)),
        ("soon", now, None),
        ("-1", now, None),
        ("Wed, 21 Oct 2026 07:29:30 GMT", now, Some(90_000)),
        ("Wednesday, 21-Oct-26 07:28:01 GMT", now, Some(1_000)),
        ("Wed, 21 Oct 2026 07:27:00 GMT", now, Some(0)),
        ("Wed, 21 Oct 2026 07:29:30 GMT", "", None),
        ("Wed, 21 Oct 2026 07:29:30 GMT", "date: today\r\n", None),
    ] {
        let answer = format!("HTTP/1.1 429 X\r\n{date}retry-after: {value}\r\ncontent-length: 0\r\n\r\n");
        let response = fetch(&public(Pipe::answering(answer))).await;
        assert_eq!(response.unwrap().retry_after_ms(), expect, "{value} {date}");
    }
}

#[tokio::test]
async fn no_error_repeats_a_header_value_a_query_or_a_body() {
    let request = || EgressRequest {
        headers: vec![("authorization".to_owned(), "canary".to_owned())],
        body: "canary".into(),
        ..get("http://a.test/path?key=canary#canary")
    };
    for (gateway, hosts) in [
        (public(Pipe::answering("")), "a.test:80"),
        (public(Pipe::answering("canary")), "a.test:80"),
        (public(Arc::new(NeverDial)), "b.test"),
        (gateway(Names::new(&[]), Arc::new(NeverDial)), "a.test:80"),
        (gateway(Names::new(&[&["::1"]]), Arc::new(NeverDial)), "a.test:80"),
    ] {
        let error = gateway.send("org", &grant(&[hosts]), request(), &mut quota()).await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
    }
}

#[tokio::test]
async fn dropping_a_response_closes_its_connection() {
    let (closed, wait) = oneshot::channel();
    let closed = std::sync::Mutex::new(Some(closed));
    let pipe = Pipe::new(move |mut stream| {
        let closed = closed.lock().unwrap().take().unwrap();
        async move {
            read_request(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc").await.unwrap();
            let rest = read_request(&mut stream).await;
            closed.send(rest).unwrap();
        }
    });
    let mut response = fetch(&public(pipe)).await.unwrap();
    assert_eq!(response.chunk(9).await.unwrap().unwrap(), "abc");
    drop(response);
    assert_eq!(wait.await.unwrap(), "");
}
