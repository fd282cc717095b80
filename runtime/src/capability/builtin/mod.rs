//! Native capabilities that ship with the runtime; one file or folder each. They work with what
//! their call's [`ToolServices`](super::ToolServices) give them, and with nothing else.

mod agent_instructions;
mod ask_user;
mod compaction;
mod current_time;
mod loop_detection;
mod noop;
mod session;
mod session_file_system;
mod session_storage;
mod stateless_todo_list;
mod support;
mod test_math;
mod test_weather;
mod tool_approval;
mod web_fetch;

pub use agent_instructions::AgentInstructionsCapability;
pub use ask_user::AskUserCapability;
pub use compaction::CompactionCapability;
pub use current_time::CurrentTimeCapability;
pub use loop_detection::LoopDetectionCapability;
pub use noop::NoopCapability;
pub use session::SessionCapability;
pub use session_file_system::SessionFileSystemCapability;
pub use session_storage::SessionStorageCapability;
pub use stateless_todo_list::StatelessTodoListCapability;
pub use test_math::TestMathCapability;
pub use test_weather::TestWeatherCapability;
pub use tool_approval::ToolApprovalCapability;
pub use web_fetch::WebFetchCapability;

use super::CapabilityRegistry;

impl CapabilityRegistry {
    /// All native capabilities that ship with the runtime.
    pub fn with_builtins() -> Self {
        let mut registry = Self::new();
        registry.register(AgentInstructionsCapability);
        registry.register(AskUserCapability);
        registry.register(CompactionCapability);
        registry.register(CurrentTimeCapability);
        registry.register(LoopDetectionCapability);
        registry.register(NoopCapability);
        registry.register(SessionCapability);
        registry.register(SessionFileSystemCapability);
        registry.register(SessionStorageCapability);
        registry.register(StatelessTodoListCapability);
        registry.register(TestMathCapability);
        registry.register(TestWeatherCapability);
        registry.register(ToolApprovalCapability);
        registry.register(WebFetchCapability);
        registry
    }
}
