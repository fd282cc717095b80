//! Tools whose effects can be counted, for the programs that die.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::LazyLock;

use async_trait::async_trait;
use everwit_runtime::Capability;
use everwit_runtime::capability::{ToolCallContext, ToolDefinition, ToolOutcome, ToolOutput};
use serde_json::{Value, json};

/// The capability.
pub(crate) struct Ledger {
    /// File that each execution of a tool adds a line to: the names of tool and session, and the call's key.
    pub(crate) effects: PathBuf,
}

static TOOLS: LazyLock<[ToolDefinition; 2]> = LazyLock::new(|| {
    let nothing = || json!({ "type": "object", "properties": {}, "additionalProperties": false });
    [
        ToolDefinition::new("charge", "Takes money: must not be repeated.", nothing()),
        ToolDefinition::new("balance", "Looks at the account.", nothing()).read_only(),
    ]
});

#[async_trait]
impl Capability for Ledger {
    fn id(&self) -> &str {
        "ledger"
    }

    fn name(&self) -> &str {
        "Ledger"
    }

    fn description(&self) -> &str {
        "Counts what it does."
    }

    fn tools(&self) -> &[ToolDefinition] {
        &*TOOLS
    }

    async fn call_tool(&self, call: &ToolCallContext, tool: &str, _arguments: Value) -> ToolOutcome {
        let mut file = OpenOptions::new().create(true).append(true).open(&self.effects).expect("the file of effects");
        writeln!(file, "{tool} {} {}", call.session_id, call.idempotency_key).expect("an effect");
        ToolOutput::text("done").into()
    }
}
