//! `compaction`: keeps conversations within what the model can take.

use std::sync::LazyLock;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

use super::support::unknown_tool;
use crate::capability::{Capability, CompactionRule, ToolCallContext, ToolOutcome, TurnRules};

/// Share of the model's context that may be in use, in percent, if the configuration does not say.
const DEFAULT_BUDGET_PERCENT: u8 = 85;
/// Share of it that is kept of the latest conversation, in percent.
const DEFAULT_KEEP_PERCENT: u8 = 20;
/// Smallest and largest context that can be configured, in tokens.
const WINDOW_TOKENS: [u64; 2] = [1_000, 100_000_000];
/// Longest instructions, in characters.
const MAX_INSTRUCTIONS_CHARACTERS: usize = 4_000;

static CONFIG: LazyLock<Value> = LazyLock::new(|| {
    let percent = |least: u8, most: u8, default: u8, description: &str| json!({"type": "integer", "minimum": least, "maximum": most, "default": default, "description": description});
    json!({
        "type": "object",
        "properties": {
            "strategy": {
                "type": "string",
                "enum": ["auto", "trim"],
                "default": "auto",
                "description": "auto: the model summarises what is left out, and if that fails it is left out with a note. trim: always a note.",
            },
            "proactive": {
                "type": "boolean",
                "default": true,
                "description": "Whether to compact before the limit is reached; false: only when the model refuses a conversation as too long.",
            },
            "budget_percent": percent(10, 95, DEFAULT_BUDGET_PERCENT, "Share of the model's context that may be in use before, in percent."),
            "keep_percent": percent(1, 50, DEFAULT_KEEP_PERCENT, "Share of it that is kept of the latest conversation, in percent."),
            "context_window_tokens": {
                "type": "integer",
                "minimum": WINDOW_TOKENS[0],
                "maximum": WINDOW_TOKENS[1],
                "description": "The model's context in tokens, if the platform does not know it or is to use less.",
            },
            "summarization": {
                "type": "object",
                "properties": {
                    "instructions": {
                        "type": "string",
                        "maxLength": MAX_INSTRUCTIONS_CHARACTERS,
                        "description": "What summaries must not leave out.",
                    },
                },
                "additionalProperties": false,
            },
        },
        "additionalProperties": false,
    })
});

/// Has the older part of a long conversation replaced by a summary in what the model sees.
#[derive(Debug, Clone, Copy, Default)]
pub struct CompactionCapability;

#[async_trait]
impl Capability for CompactionCapability {
    fn id(&self) -> &str {
        "compaction"
    }

    fn name(&self) -> &str {
        "Compaction"
    }

    fn description(&self) -> &str {
        "Summarises the older part of a conversation before it becomes too long for the model; the record keeps all of it."
    }

    fn config_schema(&self) -> Option<&Value> {
        Some(&CONFIG)
    }

    fn turn_rules(&self, config: &Value) -> TurnRules {
        let config = Config::deserialize(config).unwrap_or_default();
        let compaction = CompactionRule {
            proactive: config.proactive,
            budget_percent: config.budget_percent,
            keep_percent: config.keep_percent,
            window_tokens: config.context_window_tokens,
            summarizes: matches!(config.strategy, Strategy::Auto),
            instructions: config.summarization.instructions,
        };
        TurnRules { compaction: Some(compaction), ..TurnRules::default() }
    }

    async fn call_tool(&self, _call: &ToolCallContext, tool: &str, _arguments: Value) -> ToolOutcome {
        ToolOutcome::native(Err(unknown_tool(tool)))
    }
}

#[derive(Deserialize)]
#[serde(default)]
struct Config {
    strategy: Strategy,
    proactive: bool,
    budget_percent: u8,
    keep_percent: u8,
    context_window_tokens: Option<u64>,
    summarization: Summarization,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            strategy: Strategy::Auto,
            proactive: true,
            budget_percent: DEFAULT_BUDGET_PERCENT,
            keep_percent: DEFAULT_KEEP_PERCENT,
            context_window_tokens: None,
            summarization: Summarization::default(),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Strategy {
    Auto,
    Trim,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Summarization {
    instructions: Option<String>,
}
