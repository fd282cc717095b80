//! In memory.

/// All stores in memory.
#[derive(Default)]
pub struct MemoryStore;
