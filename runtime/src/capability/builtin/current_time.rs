//! `current_time`: tells models what time it is.

use std::sync::LazyLock;

use async_trait::async_trait;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::capability::{CallError, Capability, Failure, ToolCallContext, ToolDefinition, ToolOutcome, ToolOutput};
use crate::component::Effects;

/// Longest name of a time zone that is looked up, in bytes.
const MAX_ZONE_BYTES: usize = 64;

static TOOLS: LazyLock<[ToolDefinition; 1]> = LazyLock::new(|| {
    [ToolDefinition {
        name: "get_current_time".to_owned(),
        title: "Current time".to_owned(),
        description: "Tells the current date and time, in UTC or in a time zone.".to_owned(),
        input_schema: json!({
            "type": "object",
            "properties": {
                "timezone": {
                    "type": "string",
                    "maxLength": MAX_ZONE_BYTES,
                    "description": "IANA time zone, for example Europe/Lisbon; UTC if absent.",
                },
            },
            "additionalProperties": false,
        }),
        effects: Effects { read_only: true, destructive: false, idempotent: true, open_world: false },
    }]
});

/// Tells models what time it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct CurrentTimeCapability;

#[async_trait]
impl Capability for CurrentTimeCapability {
    fn id(&self) -> &str {
        "current_time"
    }

    fn name(&self) -> &str {
        "Current time"
    }

    fn description(&self) -> &str {
        "Tells the current date and time."
    }

    fn tools(&self) -> &[ToolDefinition] {
        &*TOOLS
    }

    async fn call_tool(&self, call: &ToolCallContext, _tool: &str, arguments: Value) -> ToolOutcome {
        ToolOutcome::native(now(call, &arguments))
    }
}

fn now(call: &ToolCallContext, arguments: &Value) -> Result<ToolOutput, CallError> {
    let name = arguments.get("timezone").and_then(Value::as_str).unwrap_or("UTC");
    let zone = TimeZone::get(name).map_err(|_| {
        let message = format!("there is no time zone {name:?}; use an IANA name, for example Europe/Lisbon, or leave it out for UTC");
        CallError::Failed(Failure::new("invalid-arguments", "unknown_timezone", message))
    })?;
    let now = call.services.clock.now();
    let local = now.to_zoned(zone);
    Ok(ToolOutput::json(json!({
        "datetime": local.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
        "timezone": name,
        "weekday": local.strftime("%A").to_string(),
        "unix_seconds": now.as_second(),
    })))
}
