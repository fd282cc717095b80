//! The engine for many machines: Temporal decides when and where turns go on, PostgreSQL has all that is true.
//!
//! One workflow per session ([`pump`]) is told ids of turns and has them worked on, one activity ([`steps`]) after the
//! other. Workflows run in the servers ([`TemporalEngine::pump`]), activities in the workers
//! ([`everwit_runtime::engine::Engine::work`]); both only dial out. What a session says never comes near Temporal: all payloads are ids and
//! numbers, and none is as large as [`MAX_PAYLOAD_BYTES`].
//!
//! Each attempt of an activity has a fence of its own, newer than that of all before, and claims its turn with it. So
//! a worker that was frozen and comes back, or two that Temporal takes for one, write nothing: the store refuses them.
//! A workflow may be lost, with all of Temporal's data: [`everwit_runtime::engine::reconcile`] submits what is open.

mod client;
mod payload;
#[expect(missing_docs, reason = "the SDK's macros make constants of the workflow's methods and of the activity's, without their docs")]
pub mod pump;
#[expect(missing_docs, reason = "likewise")]
pub mod steps;
mod worker;

pub use client::{TemporalEngine, TemporalOptions};
pub use payload::MAX_PAYLOAD_BYTES;
