//! `noop`: a capability without tools, for tests of configurations.

use async_trait::async_trait;
use serde_json::Value;

use super::support::unknown_tool;
use crate::capability::{Capability, ToolCallContext, ToolOutcome};

/// Adds nothing to an agent.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoopCapability;

#[async_trait]
impl Capability for NoopCapability {
    fn id(&self) -> &str {
        "noop"
    }

    fn name(&self) -> &str {
        "No operation"
    }

    fn description(&self) -> &str {
        "Adds nothing; for tests of configurations."
    }

    async fn call_tool(&self, _call: &ToolCallContext, tool: &str, _arguments: Value) -> ToolOutcome {
        ToolOutcome::native(Err(unknown_tool(tool)))
    }
}
