//! What egress tests are made of: scripted names, scripted servers, and no way to dial anything
//! but this process or its loopback interface.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use everwit_runtime::component::{Grant, HttpPermission};
use everwit_runtime::egress::{
    ByteStream, Connector, EgressError, EgressErrorKind, EgressQuota, EgressRequest, EgressResponse, Gateway, GatewayConfig, Resolver,
};
use futures::future::BoxFuture;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

/// An address that may be dialled as far as the gateway is concerned.
pub(crate) const PUBLIC: &str = "93.184.215.14";
pub(crate) const OTHER_PUBLIC: &str = "2606:2800:21f:cb07::1";

/// Answers with its list of answers, one a question, and keeps what it was asked.
#[derive(Default)]
pub(crate) struct Names {
    answers: Mutex<VecDeque<Vec<IpAddr>>>,
    asked: Mutex<Vec<String>>,
}

impl Names {
    pub(crate) fn new(answers: &[&[&str]]) -> Arc<Self> {
        let parse = |answer: &&[&str]| answer.iter().map(|address| address.parse().expect("an address")).collect();
        Arc::new(Self { answers: Mutex::new(answers.iter().map(parse).collect()), asked: Mutex::default() })
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        lock(&self.asked).clone()
    }
}

#[async_trait]
impl Resolver for Names {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        lock(&self.asked).push(name.to_owned());
        lock(&self.answers).pop_front().ok_or_else(|| io::Error::other("no answer left"))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nothing panics while it holds a lock")
}

/// Never answers.
pub(crate) struct SilentNames;

#[async_trait]
impl Resolver for SilentNames {
    async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        std::future::pending().await
    }
}

/// Fails the test if it is asked to dial.
pub(crate) struct NeverDial;

#[async_trait]
impl Connector for NeverDial {
    async fn connect(&self, address: SocketAddr) -> io::Result<Box<dyn ByteStream>> {
        panic!("the gateway dialled {address}");
    }
}

type Handler = dyn Fn(Box<dyn ByteStream>) -> BoxFuture<'static, ()> + Send + Sync;

/// Keeps what was dialled and answers from within this process; opens no socket.
pub(crate) struct Pipe {
    handler: Box<Handler>,
    unreachable: Vec<IpAddr>,
    dialled: Mutex<Vec<SocketAddr>>,
}

impl Pipe {
    pub(crate) fn new<F: Future<Output = ()> + Send + 'static>(
        handler: impl Fn(Box<dyn ByteStream>) -> F + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { handler: Box::new(move |stream| Box::pin(handler(stream))), unreachable: Vec::new(), dialled: Mutex::default() })
    }

    /// Reads a request, answers with these bytes and closes.
    pub(crate) fn answering(response: impl Into<Vec<u8>>) -> Arc<Self> {
        let response = Arc::new(response.into());
        Self::new(move |stream| answer(stream, response.clone()))
    }

    pub(crate) fn without(self: Arc<Self>, address: &str) -> Arc<Self> {
        let mut pipe = Arc::into_inner(self).expect("it is not shared yet");
        pipe.unreachable.push(address.parse().expect("an address"));
        Arc::new(pipe)
    }

    pub(crate) fn dialled(&self) -> Vec<String> {
        lock(&self.dialled).iter().map(ToString::to_string).collect()
    }
}

#[async_trait]
impl Connector for Pipe {
    async fn connect(&self, address: SocketAddr) -> io::Result<Box<dyn ByteStream>> {
        lock(&self.dialled).push(address);
        if self.unreachable.contains(&address.ip()) {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let (ours, theirs) = tokio::io::duplex(64 << 10);
        tokio::spawn((self.handler)(Box::new(theirs)));
        Ok(Box::new(ours))
    }
}

/// Connects and then nothing: the peer never reads nor writes.
pub(crate) fn mute() -> Arc<Pipe> {
    Pipe::new(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
}

async fn answer(mut stream: Box<dyn ByteStream>, response: Arc<Vec<u8>>) {
    read_request(&mut stream).await;
    // A client that has seen enough closes; that is its right.
    let _ = stream.write_all(&response).await;
    let _ = stream.shutdown().await;
}

/// A request as it came over the wire: the head, and as much of a body as its length says.
pub(crate) async fn read_request(stream: &mut (impl ByteStream + ?Sized)) -> String {
    let mut request = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return text;
            }
        }
        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return text;
        }
    }
}

pub(crate) fn gateway(names: Arc<dyn Resolver>, connector: Arc<dyn Connector>) -> Gateway {
    configured(GatewayConfig::default(), names, connector)
}

pub(crate) fn configured(config: GatewayConfig, names: Arc<dyn Resolver>, connector: Arc<dyn Connector>) -> Gateway {
    crate::support::mutation::apply();
    Gateway::with_transport(config, names, connector).expect("the configuration is valid")
}

/// A gateway for which every name is public and every connection ends at `connector`.
pub(crate) fn public(connector: Arc<dyn Connector>) -> Gateway {
    gateway(Names::new(&[&[PUBLIC][..]; 8]), connector)
}

pub(crate) fn quota() -> EgressQuota {
    EgressQuota::new(50, 8 << 20, Instant::now() + Duration::from_secs(30))
}

/// A grant of all common methods on these hosts.
pub(crate) fn grant(hosts: &[&str]) -> Grant {
    let permission = |host: &&str| HttpPermission {
        host: (*host).to_owned(),
        methods: ["GET", "POST", "DELETE"].map(str::to_owned).to_vec(),
        path_prefix: None,
        reason: String::new(),
    };
    Grant { http: hosts.iter().map(permission).collect(), ..Grant::default() }
}

pub(crate) fn get(url: &str) -> EgressRequest {
    EgressRequest { method: "GET".to_owned(), url: url.to_owned(), ..EgressRequest::default() }
}

/// Sends a request to `http://a.test/`, which is granted.
pub(crate) async fn fetch(gateway: &Gateway) -> Result<EgressResponse, EgressError> {
    fetch_under(gateway, &mut quota()).await
}

pub(crate) async fn fetch_under(gateway: &Gateway, quota: &mut EgressQuota) -> Result<EgressResponse, EgressError> {
    gateway.send("org", &grant(&["a.test:80"]), get("http://a.test/"), quota).await
}

/// Sends a request that must fail.
pub(crate) async fn refusal(gateway: &Gateway, hosts: &[&str], url: &str) -> EgressError {
    gateway.send("org", &grant(hosts), get(url), &mut quota()).await.expect_err(url)
}

/// Reads a body to its end.
pub(crate) async fn read(response: &mut EgressResponse) -> Result<Vec<u8>, EgressError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk(64 << 10).await? {
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

pub(crate) fn assert_fault(error: &EgressError, kind: EgressErrorKind, request_sent: bool) {
    assert_eq!((error.kind, error.request_sent), (kind, request_sent), "{error}");
}
