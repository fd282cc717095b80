//! Native capabilities that ship with the runtime; one file or folder each. They work with what
//! their call's [`ToolServices`](super::ToolServices) give them, and with nothing else.

mod current_time;
mod session_file_system;
mod session_storage;
mod support;
mod web_fetch;

pub use current_time::CurrentTimeCapability;
pub use session_file_system::SessionFileSystemCapability;
pub use session_storage::SessionStorageCapability;
pub use web_fetch::WebFetchCapability;

use super::CapabilityRegistry;

impl CapabilityRegistry {
    /// All native capabilities that ship with the runtime.
    pub fn with_builtins() -> Self {
        let mut registry = Self::new();
        registry.register(CurrentTimeCapability);
        registry.register(SessionFileSystemCapability);
        registry.register(SessionStorageCapability);
        registry.register(WebFetchCapability);
        registry
    }
}
