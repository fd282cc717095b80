//! Native capabilities that ship with the runtime; one file each. They work with what their
//! call's [`ToolServices`](super::ToolServices) give them, and with nothing else.

mod current_time;

pub use current_time::CurrentTimeCapability;

use super::CapabilityRegistry;

impl CapabilityRegistry {
    /// All native capabilities that ship with the runtime.
    pub fn with_builtins() -> Self {
        let mut registry = Self::new();
        registry.register(CurrentTimeCapability);
        registry
    }
}
