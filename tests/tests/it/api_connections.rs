//! Connections of clients that are slow, many or say too much.

use std::time::Duration;

use reqwest::Method;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Server, ServerOptions, send};

/// Connections that send half a request are closed, and hold nobody else up.
#[tokio::test]
async fn half_open_connections_are_closed() {
    let server = Server::start().await;
    let address = server.url().trim_start_matches("http://").to_owned();
    let mut half_open = Vec::new();
    for _ in 0..50 {
        let mut socket = tokio::net::TcpStream::connect(&address).await.expect("it connects");
        socket.write_all(b"GET /healthz HTTP/1.1\r\nhost: loc").await.expect("it is sent");
        half_open.push(socket);
    }
    server.api().get("/healthz").await.expect(200);
    for mut socket in half_open {
        let mut answer = Vec::new();
        // Closed or reset; what matters is that it ends.
        let ended = tokio::time::timeout(Duration::from_secs(20), socket.read_to_end(&mut answer)).await;
        assert!(ended.is_ok(), "a half-open connection stays");
    }
}

/// The head has come, and a part of the body that says that there is more.
#[tokio::test]
async fn a_body_that_stops_coming_is_given_up() {
    let server = Server::start().await;
    let mut socket = tokio::net::TcpStream::connect(server.url().trim_start_matches("http://")).await.expect("it connects");
    let head = "POST /v1/sessions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    socket.write_all(head.as_bytes()).await.expect("it is sent");
    let mut answer = [0; 12];
    let answered = tokio::time::timeout(Duration::from_secs(40), socket.read_exact(&mut answer)).await;
    answered.expect("a request stays whose body does not come").expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 400", "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn the_head_of_a_request_has_its_size() {
    let server = Server::start().await;
    let with = async |bytes: usize| send(server.api().request(Method::GET, "/healthz").header("x-padding", "x".repeat(bytes))).await.status;
    assert_eq!(with(32 << 10).await, 200);
    assert_eq!(with(128 << 10).await, 431);
}

#[tokio::test]
async fn a_session_has_so_many_streams() {
    let server = Server::start().await;
    let (api, mut open) = (server.api(), Vec::new());
    let session = api.session().await;
    for _ in 0..16 {
        open.push(api.stream(&session, "").await);
    }
    let request = api.request(Method::GET, &format!("/v1/sessions/{session}/sse"));
    let refused = request.send().await.expect("an answer");
    assert_eq!(refused.status(), 429, "one stream more is no stream");
    let refused: Value = refused.json().await.expect("a problem");
    assert_eq!(refused["code"], "too_many_streams", "{refused}");
    let other = api.session().await;
    api.stream(&other, "").await.until("connected").await;
}

/// One more connection than may be open waits until another one ends.
#[tokio::test]
async fn so_many_connections_are_open_at_once() {
    let args = ["--max-connections", "2"].map(str::to_owned).to_vec();
    let server = Server::start_with(ServerOptions { args, ..ServerOptions::default() }).await;
    let address = server.url().trim_start_matches("http://").to_owned();
    let ask = async |socket: &mut tokio::net::TcpStream| {
        socket.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.expect("it is sent");
    };
    let answer = async |socket: &mut tokio::net::TcpStream| {
        let mut bytes = [0; 12];
        socket.read_exact(&mut bytes).await.expect("an answer");
        assert_eq!(&bytes, b"HTTP/1.1 200");
    };
    let connect = async || tokio::net::TcpStream::connect(&address).await.expect("the system accepts it");
    let (mut first, mut second) = (connect().await, connect().await);
    for socket in [&mut first, &mut second] {
        ask(socket).await;
        answer(socket).await;
    }
    let mut third = connect().await;
    ask(&mut third).await;
    // Whoever is served is served before these are.
    for socket in [&mut first, &mut second] {
        let mut rest = Vec::with_capacity(4_096);
        socket.read_buf(&mut rest).await.expect("the rest of the answer");
        ask(socket).await;
        answer(socket).await;
    }
    let early = third.try_read(&mut [0; 1]);
    assert!(early.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock), "three are served at once");
    drop(first);
    answer(&mut third).await;
}
