//! `loop_detection`: tells a model that it goes in circles, and ends the turn if it goes on.

use std::sync::LazyLock;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

use super::support::unknown_tool;
use crate::capability::{Capability, RepetitionRule, ToolCallContext, ToolOutcome, TurnRules};

/// Equal steps before the model is told, if the configuration does not say. Twice is a retry.
const DEFAULT_THRESHOLD: u32 = 3;
/// Equal steps before the turn ends, if the configuration does not say.
const DEFAULT_STOP_THRESHOLD: u32 = 6;
/// Most steps that can be configured; more than a turn has.
const MAX_THRESHOLD: u32 = 1_000;

static CONFIG: LazyLock<Value> = LazyLock::new(|| {
    let steps = |default: u32, description: &str| json!({"type": "integer", "minimum": 2, "maximum": MAX_THRESHOLD, "default": default, "description": description});
    json!({
        "type": "object",
        "properties": {
            "threshold": steps(DEFAULT_THRESHOLD, "Equal steps in a row, the first one included, after which the model is told."),
            "stop_threshold": steps(DEFAULT_STOP_THRESHOLD, "Equal steps in a row after which the turn ends; at least threshold."),
        },
        "additionalProperties": false,
    })
});

/// Watches for steps with the same calls, arguments and results.
#[derive(Debug, Clone, Copy, Default)]
pub struct LoopDetectionCapability;

#[async_trait]
impl Capability for LoopDetectionCapability {
    fn id(&self) -> &str {
        "loop_detection"
    }

    fn name(&self) -> &str {
        "Loop detection"
    }

    fn description(&self) -> &str {
        "Tells the model when it makes the same calls with the same results again and again, and ends the turn if it goes on."
    }

    fn config_schema(&self) -> Option<&Value> {
        Some(&CONFIG)
    }

    fn turn_rules(&self, config: &Value) -> TurnRules {
        let thresholds = Thresholds::deserialize(config).unwrap_or_default();
        let repetition =
            RepetitionRule { note_after: thresholds.threshold, stop_after: thresholds.stop_threshold.max(thresholds.threshold) };
        TurnRules { repetition: Some(repetition), ..TurnRules::default() }
    }

    async fn call_tool(&self, _call: &ToolCallContext, tool: &str, _arguments: Value) -> ToolOutcome {
        ToolOutcome::native(Err(unknown_tool(tool)))
    }
}

#[derive(Deserialize)]
#[serde(default)]
struct Thresholds {
    threshold: u32,
    stop_threshold: u32,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { threshold: DEFAULT_THRESHOLD, stop_threshold: DEFAULT_STOP_THRESHOLD }
    }
}
