//! A connection that the test can cut: of a server to its database, or of a client to a server.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use url::Url;

/// Bytes that are passed on at once.
const PIECE: usize = 64 << 10;

/// Whether the way is there, and who did not find it.
struct Way {
    target: SocketAddr,
    is_open: watch::Sender<bool>,
    refused: watch::Sender<u64>,
}

/// Listens on a port of its own until it is dropped.
pub(crate) struct Proxy {
    way: Arc<Way>,
    url: String,
    task: tokio::task::JoinHandle<()>,
}

impl Proxy {
    /// A way to what has this URL.
    pub(crate) async fn before(target: &str) -> Self {
        let mut url = Url::parse(target).expect("a URL");
        let host = url.host_str().expect("it has a host").parse().expect("the address of the tests' server");
        let target = SocketAddr::new(host, url.port().expect("it has a port"));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        url.set_port(Some(listener.local_addr().expect("its address").port())).expect("a URL with a host");
        let way = Arc::new(Way { target, is_open: watch::Sender::new(true), refused: watch::Sender::new(0) });
        let task = tokio::spawn(accept(listener, way.clone()));
        Self { way, url: url.into(), task }
    }

    /// URL of the same behind it.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Ends all connections; those that are made from now on end at once.
    pub(crate) fn cut(&self) {
        self.way.is_open.send_replace(false);
    }

    /// Lets connections through again.
    pub(crate) fn mend(&self) {
        self.way.is_open.send_replace(true);
    }

    /// Returns once so many connections were tried in vain since the beginning.
    pub(crate) async fn refused(&self, count: u64) {
        let mut refused = self.way.refused.subscribe();
        refused.wait_for(|refused| *refused >= count).await.expect("the proxy lives");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, way: Arc<Way>) {
    loop {
        let (client, _) = listener.accept().await.expect("a connection");
        if !*way.is_open.borrow() {
            way.refused.send_modify(|refused| *refused += 1);
            continue;
        }
        tokio::spawn(pass(client, way.clone()));
    }
}

/// Passes everything on until one side ends or the way is cut.
async fn pass(client: TcpStream, way: Arc<Way>) {
    let Ok(server) = TcpStream::connect(way.target).await else { return };
    // Small answers must not wait for each other.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let mut is_open = way.is_open.subscribe();
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    tokio::select! {
        () = copy(from_client, to_server) => {}
        () = copy(from_server, to_client) => {}
        _ = is_open.wait_for(|open| !open) => {}
    }
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    let mut piece = vec![0; PIECE];
    while let Ok(length @ 1..) = from.read(&mut piece).await {
        if to.write_all(&piece[..length]).await.is_err() {
            return;
        }
    }
}
