//! The server's share: raw axum, and axum with a sandboxed call in the handler.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use axum::Router;
use axum::routing::post;
use everwit_runtime::capability::ToolCallContext;
use everwit_runtime::sandbox::ComponentCapability;

use crate::subjects;

const BODY: &str = "{\"a\":2.0,\"b\":3.0}";

/// A server on its own thread.
pub(crate) struct Server {
    address: SocketAddr,
}

impl Server {
    pub(crate) fn start(capability: Arc<ComponentCapability>, context: ToolCallContext) -> Self {
        let (send, receive) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
                send.send(listener.local_addr().expect("an address")).expect("the other side waits");
                let call = move |_body: String| {
                    let (capability, context) = (capability.clone(), context.clone());
                    async move {
                        let added = subjects::add(&capability, &context).await;
                        added.result.map(|output| format!("{:?}", output.structured)).unwrap_or_default()
                    }
                };
                let app = Router::new().route("/echo", post(|body: String| async move { body })).route("/call", post(call));
                axum::serve(listener, app).await.expect("the server runs");
            });
        });
        Self { address: receive.recv().expect("the server starts") }
    }

    /// A connection that is kept alive.
    pub(crate) fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.address).expect("a connection");
        stream.set_nodelay(true).expect("a socket option");
        Client { reader: BufReader::new(stream.try_clone().expect("a handle")), stream }
    }
}

/// A client that writes requests and reads answers, and nothing else.
pub(crate) struct Client {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Client {
    pub(crate) fn post(&mut self, path: &str) {
        let length = BODY.len();
        let request = format!("POST /{path} HTTP/1.1\r\nhost: bench\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\r\n{BODY}");
        self.stream.write_all(request.as_bytes()).expect("written");
        let mut length = 0;
        let mut line = String::new();
        loop {
            line.clear();
            self.reader.read_line(&mut line).expect("a head");
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        self.reader.read_exact(&mut body).expect("a body");
        assert!(!body.is_empty());
    }
}
