//! Admission of uploads: the gate, the compiler's process, and the cache.

mod admission;
mod bombs;
mod cache;
mod functions;
mod gate;
pub(crate) mod inputs;
mod shared;
