//! Servers that speak as model vendors do, on loopback, for tests and benchmarks.
//!
//! A [`StubVendor`] answers one vendor's wire from what the vendor documents: it judges each
//! request as the vendor would ([`Wire`]: credential, path, shape of the body, order of the
//! conversation) and plays the next scripted [`Reply`] with full control over status, chunks, cuts
//! and silence. The vendors' own published clients are run against it as well, so that these wires
//! are theirs.

mod answer;
mod check;
mod event_stream;
mod failure;
mod reply;
mod server;
mod wire;

pub use answer::{Answer, Call, Counts, Part, Stop, signature};
pub use failure::Failure;
pub use reply::{Chunks, End, Reply};
pub use server::{Received, StubVendor};
pub use wire::Wire;
