//! The sandbox.

pub mod engine;
pub mod gate;
