//! The sandbox.

pub mod engine;
