//! The egress gateway: the one place through which traffic of guests, drivers, native
//! capabilities and connections leaves.
//!
//! Owns the order of the controls: parse once → grant → judge every address → dial a judged
//! address → one exchange, with caps. Nothing here can be switched off; an operator can only list
//! private targets.
//!
//! Invariants: the address that a request goes to is one that was judged for it; no redirect is
//! followed; no proxy is used; a connection is used again only by the same scope with the same
//! credentials, and never for guests; no header value, query or body appears in an error or a log
//! line.
//!
//! A [`Tape`], for tests of components, can answer a request that its grant allows; such a request is not resolved and
//! nothing is dialled.
//!
//! Deliberately not here: secrets (they are put into a [`CheckedRequest`]), retries, cookies,
//! decompression and caches.

mod address;
mod error;
mod exchange;
mod gateway;
mod headers;
mod lanes;
mod pool;
mod quota;
mod request;
mod sse;
mod target;
mod tls;
mod transport;
mod wire;

pub use address::{Refusal, judge};
pub use error::{EgressError, EgressErrorKind};
pub use exchange::EgressResponse;
#[cfg(feature = "sandbox")]
pub(crate) use exchange::retry_after_ms;
pub use gateway::{Gateway, GatewayConfig, Timeouts};
pub use headers::{MAX_REQUEST_FIELD_BYTES, MAX_REQUEST_FIELDS};
pub use pool::ReuseKey;
pub use quota::EgressQuota;
pub use request::{CheckedRequest, EgressRequest, MAX_URL_BYTES};
pub use sse::{MAX_SSE_EVENT_BYTES, MAX_SSE_LINE_BYTES, SseDecoder, SseEvent, SseTooLarge};
pub use target::{PrivateTarget, PrivateTargetError};
pub use transport::{ByteStream, Connector, Resolver, SystemResolver, Tape, TcpConnector};
pub use wire::{MAX_RESPONSE_FIELDS, MAX_RESPONSE_HEAD_BYTES};
