//! A connection: HTTP/1.1 over a stream, polled by whoever waits for the response and not by a
//! task of its own, so that dropping it closes the socket.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use super::{ByteStream, EgressError, EgressErrorKind};
use crate::mutation::off;

/// Status line and header fields of a response, in bytes; its trailers count apart.
pub const MAX_RESPONSE_HEAD_BYTES: usize = 64 << 10;
/// Header fields of a response.
pub const MAX_RESPONSE_FIELDS: usize = 128;

type Connection = http1::Connection<TokioIo<Box<dyn ByteStream>>, Full<Bytes>>;

/// See the module. Carries one request at a time.
pub(super) struct Wire {
    /// None once it is closed.
    connection: Option<Pin<Box<Connection>>>,
    // Dropped early, it would tell the connection that nobody waits any more.
    sender: http1::SendRequest<Full<Bytes>>,
}

impl Wire {
    /// Makes a stream ready for requests; sends nothing.
    pub(super) async fn over(stream: Box<dyn ByteStream>, host: &str) -> Result<Self, EgressError> {
        // The defaults refuse HTTP/0.9, folded lines and spaces before colons.
        let more = if off("egress.response_head") { 64 } else { 1 };
        let (sender, connection) = http1::Builder::new()
            .max_headers(MAX_RESPONSE_FIELDS * more)
            .max_header_size(MAX_RESPONSE_HEAD_BYTES * more)
            .max_buf_size(MAX_RESPONSE_HEAD_BYTES * more)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| broken(&error, host))?;
        Ok(Self { connection: Some(Box::pin(connection)), sender })
    }

    /// Sends a request and waits for the head of its response.
    ///
    /// # Errors
    /// See [`broken`].
    pub(super) async fn exchange(&mut self, request: http::Request<Full<Bytes>>) -> hyper::Result<http::Response<Incoming>> {
        let mut response = Box::pin(self.sender.send_request(request));
        let connection = &mut self.connection;
        poll_fn(|context| {
            drive(connection, context);
            response.as_mut().poll(context)
        })
        .await
    }

    /// Moves bytes. An error of the connection also arrives at whoever waits for the response.
    pub(super) fn drive(&mut self, context: &mut Context<'_>) {
        drive(&mut self.connection, context);
    }

    /// Whether another request can be sent: the response before it was read to its end, and the
    /// server has neither closed the connection nor sent what nobody asked for.
    pub(super) fn is_open(&mut self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        self.drive(&mut context);
        self.connection.is_some() && matches!(self.sender.poll_ready(&mut context), Poll::Ready(Ok(())))
    }
}

fn drive(connection: &mut Option<Pin<Box<Connection>>>, context: &mut Context<'_>) {
    if let Some(open) = connection
        && open.as_mut().poll(context).is_ready()
    {
        *connection = None;
    }
}

/// What hyper calls a head beyond the limits. Its predicate for that is compiled only along with its
/// server, which a runtime has no use for.
const HEAD_TOO_LARGE: &str = "message head is too large";

/// `limit` for too large a head, `protocol` for anything else. In our words: what hyper says may
/// repeat what the server sent.
pub(super) fn broken(error: &hyper::Error, host: &str) -> EgressError {
    let error = if error.is_parse() && error.to_string() == HEAD_TOO_LARGE {
        EgressError::limit(format!(
            "the head of the response of {host} has more than {MAX_RESPONSE_HEAD_BYTES} bytes or {MAX_RESPONSE_FIELDS} fields"
        ))
    } else if error.is_parse() {
        EgressError::new(EgressErrorKind::Protocol, format!("the answer of {host} is not HTTP/1.1"))
    } else {
        EgressError::new(EgressErrorKind::Protocol, format!("the connection to {host} broke before the response was complete"))
    };
    error.after_sending()
}
