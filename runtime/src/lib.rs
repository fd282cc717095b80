//! Everwit's runtime: durable agents whose capabilities and model drivers are native code or
//! sandboxed WebAssembly components. It knows no HTTP server.

pub mod agent;
pub mod bus;
pub mod capability;
pub mod clock;
pub mod component;
pub mod driver;
pub mod egress;
pub mod engine;
pub mod error;
pub mod event;
pub mod harness;
pub mod id;
pub mod limits;
pub mod message;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod session;
pub mod store;
pub mod turn;

pub use error::{Error, ErrorKind};
