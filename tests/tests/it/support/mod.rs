//! What several tests need: built components, the real server as a child process, an HTTP
//! client, and a reader of event streams.

mod api;
pub(crate) mod embedded;
pub(crate) mod guests;
pub(crate) mod log;
mod server;
mod sse;

pub(crate) use api::{Answer, Api, send};
pub(crate) use guests::guest;
pub(crate) use server::{CANARY, EVERWIT, Server, ServerOptions, everwit, mode};
pub(crate) use sse::{EventStream, Frame};
