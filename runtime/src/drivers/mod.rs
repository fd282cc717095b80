//! Native model drivers: the wires of the known vendors, one file each.
//!
//! Each is a codec on the one completion path (see [`crate::driver`]): it sees requests and
//! responses as values, so it cannot reach the network, the environment or another credential than
//! the one of its [`DriverConfig`](crate::driver::DriverConfig).
//!
//! What they share: `transcript` groups the conversation into turns, `dialect` is a codec with
//! the checks that every vendor needs, `output` builds events, `endpoint` makes URLs and
//! credentials, `failure` reads refusals, `options` takes the driver's own options.

pub mod anthropic;
pub mod azure_openai;
pub mod bedrock;
mod chat;
mod dialect;
mod endpoint;
mod event_stream;
mod failure;
pub mod gemini;
pub mod openai;
pub mod openai_completions;
pub mod openrouter;
mod options;
mod output;
mod thinking;
mod transcript;

use crate::driver::DriverRegistry;

/// Registers all of them.
///
/// # Panics
/// If one is registered already.
pub fn register_all(registry: &mut DriverRegistry) {
    openai::register_driver(registry);
    openai_completions::register_driver(registry);
    openrouter::register_driver(registry);
    azure_openai::register_driver(registry);
    anthropic::register_driver(registry);
    gemini::register_driver(registry);
    bedrock::register_driver(registry);
}
