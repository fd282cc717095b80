//! The one server that a conformance guest can reach: in this process, behind a gateway that dials nothing.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use everwit_runtime::Error;
use everwit_runtime::egress::{ByteStream, Connector, Gateway, GatewayConfig, Resolver};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

/// The server's name.
const HOST: &str = "conformance.test";
/// What the name resolves to: an address that the gateway lets through, and that nothing is sent to.
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(8, 8, 8, 8));
/// Bytes of a request's head that are read.
const MAX_HEAD_BYTES: usize = 16 << 10;
/// What it answers under `/hello`, beyond ASCII on purpose.
pub(super) const BODY: &str = "Grüße von hier";

/// A gateway whose every connection ends at the stub.
///
/// # Errors
/// The roots of trust cannot be read.
pub(super) fn gateway() -> Result<Gateway, Error> {
    Gateway::with_transport(GatewayConfig::default(), Arc::new(Stub), Arc::new(Stub))
}

struct Stub;

#[async_trait]
impl Resolver for Stub {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        match host {
            HOST => Ok(vec![ADDRESS]),
            _ => Err(io::Error::new(io::ErrorKind::NotFound, "no such name")),
        }
    }
}

#[async_trait]
impl Connector for Stub {
    async fn connect(&self, _: SocketAddr) -> io::Result<Box<dyn ByteStream>> {
        let (near, far) = tokio::io::duplex(MAX_HEAD_BYTES);
        // Ends with the connection: the gateway drops its side.
        tokio::spawn(serve(far));
        Ok(Box::new(near))
    }
}

/// Answers one request and closes.
async fn serve(mut stream: DuplexStream) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|window| window == b"\r\n\r\n") && head.len() < MAX_HEAD_BYTES {
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let (status, body) = if head.starts_with(b"GET /hello ") { ("200 OK", BODY) } else { ("404 Not Found", "nothing here") };
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}
