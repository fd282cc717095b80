//! The two seams to the outside: asking for a name's addresses, and dialling one address.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::CheckedRequest;

/// Finds the addresses of names. It is asked at most once a request, never for an address
/// literal, and only for names that a grant allows. What it answers is judged.
#[async_trait]
pub trait Resolver: Send + Sync {
    /// All addresses of a name, in the order in which to try them.
    ///
    /// # Errors
    /// Whatever went wrong; the gateway gives up.
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// A connection.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

/// Opens connections. It is given addresses only, so that it cannot resolve anything again.
#[async_trait]
pub trait Connector: Send + Sync {
    /// Connects to exactly this address.
    ///
    /// # Errors
    /// Whatever went wrong; the gateway tries the next address.
    async fn connect(&self, address: SocketAddr) -> io::Result<Box<dyn ByteStream>>;
}

/// Keeps exchanges and plays them again, for tests of components. It sees requests that their grant allows, above TLS.
pub trait Tape: Send + Sync {
    /// What to speak HTTP/1.1 over instead of a connection, without TLS; none lets the request leave.
    ///
    /// # Errors
    /// Why the request may do neither, for whoever made it.
    fn play(&self, request: &CheckedRequest) -> Result<Option<Box<dyn ByteStream>>, String>;

    /// What to speak HTTP/1.1 over that goes on to this connection.
    fn record(&self, request: &CheckedRequest, connection: Box<dyn ByteStream>) -> Box<dyn ByteStream>;
}

/// Lookups of the operating system's resolver under way at once. They occupy threads, and go on
/// when nobody waits any more; the rest of the runtime's blocking threads is for others.
const MAX_LOOKUPS: usize = 128;

/// The resolver of the operating system.
#[derive(Debug, Clone)]
pub struct SystemResolver {
    places: Arc<Semaphore>,
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(MAX_LOOKUPS)) }
    }
}

#[async_trait]
impl Resolver for SystemResolver {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let place = self.places.clone().acquire_owned().await.map_err(io::Error::other)?;
        let name = name.to_owned();
        let lookup = move || {
            let _place = place;
            // The port is not part of the question; it is set when the address is dialled.
            Ok((name.as_str(), 0).to_socket_addrs()?.map(|address| address.ip()).collect())
        };
        tokio::task::spawn_blocking(lookup).await.map_err(io::Error::other)?
    }
}

/// Plain TCP.
#[derive(Debug, Clone, Copy, Default)]
pub struct TcpConnector;

#[async_trait]
impl Connector for TcpConnector {
    async fn connect(&self, address: SocketAddr) -> io::Result<Box<dyn ByteStream>> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }
}
