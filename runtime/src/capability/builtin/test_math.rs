//! `test_math`: arithmetic whose results everybody knows, to try tools with.

use std::sync::LazyLock;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

use super::support::{arguments, failed, json_output, unknown_tool};
use crate::capability::{CallError, Capability, ToolCallContext, ToolDefinition, ToolOutcome, ToolOutput};
use crate::component::Effects;

static TOOLS: LazyLock<[ToolDefinition; 4]> = LazyLock::new(|| {
    [
        tool("add", "Add", "Adds b to a."),
        tool("subtract", "Subtract", "Subtracts b from a."),
        tool("multiply", "Multiply", "Multiplies a by b."),
        tool("divide", "Divide", "Divides a by b, which must not be zero."),
    ]
});

fn tool(name: &str, title: &str, description: &str) -> ToolDefinition {
    ToolDefinition {
        name: name.to_owned(),
        title: title.to_owned(),
        description: description.to_owned(),
        input_schema: json!({
            "type": "object",
            "properties": {
                "a": {"type": "number", "description": "The first number."},
                "b": {"type": "number", "description": "The second number."},
            },
            "required": ["a", "b"],
            "additionalProperties": false,
        }),
        effects: Effects { read_only: true, destructive: false, idempotent: true, open_world: false },
    }
}

/// Calculates with two numbers, in double precision.
#[derive(Debug, Clone, Copy, Default)]
pub struct TestMathCapability;

#[async_trait]
impl Capability for TestMathCapability {
    fn id(&self) -> &str {
        "test_math"
    }

    fn name(&self) -> &str {
        "Test math"
    }

    fn description(&self) -> &str {
        "Adds, subtracts, multiplies and divides; to try tools with."
    }

    fn tools(&self) -> &[ToolDefinition] {
        &*TOOLS
    }

    async fn call_tool(&self, _call: &ToolCallContext, tool: &str, arguments: Value) -> ToolOutcome {
        ToolOutcome::native(calculate(tool, arguments))
    }
}

#[derive(Deserialize)]
struct Operands {
    a: f64,
    b: f64,
}

fn calculate(tool: &str, given: Value) -> Result<ToolOutput, CallError> {
    let Operands { a, b } = arguments(given)?;
    let result = match tool {
        "add" => a + b,
        "subtract" => a - b,
        "multiply" => a * b,
        "divide" if b == 0.0 => {
            return Err(failed("invalid-arguments", "division_by_zero", format!("{a} cannot be divided by zero; give another b")));
        }
        "divide" => a / b,
        _ => return Err(unknown_tool(tool)),
    };
    if !result.is_finite() {
        let message = format!("the result of {tool} is beyond {:e}, the largest number; give smaller numbers", f64::MAX);
        return Err(failed("limit", "overflow", message));
    }
    json_output(&json!({ "result": result }))
}
