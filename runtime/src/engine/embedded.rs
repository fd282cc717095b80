//! Embedded engine.

/// Placeholder until the executor exists.
pub struct EmbeddedEngine;
