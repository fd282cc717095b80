//! What the end-to-end tests share: the real server as a child process, an HTTP client, and a
//! reader of event streams.

mod api;
mod guests;
mod server;
mod sse;

pub(crate) use api::{Answer, Api};
pub(crate) use guests::guest;
pub(crate) use server::{EVERWIT, Server, ServerOptions, everwit};
pub(crate) use sse::{EventStream, Frame};
