//! `tool_approval`: which tool calls wait for a person's approval.

use std::sync::LazyLock;

use async_trait::async_trait;
use globset::{Glob, GlobBuilder};
use serde::Deserialize;
use serde_json::{Value, json};

use super::support::unknown_tool;
use crate::capability::{Capability, OfferedToolInfo, ToolCallContext, ToolOutcome};

/// Most patterns of one list.
const MAX_PATTERNS: usize = 100;
/// Longest pattern, in characters.
const MAX_PATTERN_CHARACTERS: usize = 200;

static CONFIG: LazyLock<Value> = LazyLock::new(|| {
    let patterns = |description: &str| {
        json!({
            "type": "array",
            "maxItems": MAX_PATTERNS,
            "items": {"type": "string", "pattern": "^[a-zA-Z0-9_*?-]+$", "maxLength": MAX_PATTERN_CHARACTERS},
            "description": description,
        })
    };
    json!({
        "type": "object",
        "properties": {
            "mode": {
                "type": "string",
                "enum": ["off", "normal", "protective"],
                "default": "normal",
                "description": "Which tools are asked about by what they may do. off: none. normal: those that are destructive or reach \
                                outside. protective: all that are not read-only.",
            },
            "ask": patterns("Names of tools, with * and ?, that are asked about in any mode; stronger than allow."),
            "allow": patterns("Names of tools, with * and ?, that are not asked about."),
        },
        "additionalProperties": false,
    })
});

/// Has risky tool calls wait for a person. Approving one executes exactly that call; the policy of
/// one agent is its configuration of this capability.
#[derive(Debug, Clone, Copy, Default)]
pub struct ToolApprovalCapability;

#[async_trait]
impl Capability for ToolApprovalCapability {
    fn id(&self) -> &str {
        "tool_approval"
    }

    fn name(&self) -> &str {
        "Tool approval"
    }

    fn description(&self) -> &str {
        "Has risky tool calls wait until a person allows or refuses them."
    }

    fn config_schema(&self) -> Option<&Value> {
        Some(&CONFIG)
    }

    fn requires_approval(&self, config: &Value, tool: &OfferedToolInfo<'_>) -> bool {
        // What cannot be read asks about everything: a gate must not open by mistake.
        let Ok(policy) = serde_json::from_value::<Policy>(config.clone()) else { return true };
        policy.asks_about(tool)
    }

    async fn call_tool(&self, _call: &ToolCallContext, tool: &str, _arguments: Value) -> ToolOutcome {
        ToolOutcome::native(Err(unknown_tool(tool)))
    }
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Policy {
    mode: Mode,
    ask: Vec<String>,
    allow: Vec<String>,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum Mode {
    Off,
    #[default]
    Normal,
    Protective,
}

impl Policy {
    fn asks_about(&self, tool: &OfferedToolInfo<'_>) -> bool {
        if names(&self.ask, tool.name).unwrap_or(true) {
            return true;
        }
        if names(&self.allow, tool.name).unwrap_or(false) {
            return false;
        }
        let effects = tool.effects;
        let risky = effects.destructive || effects.open_world;
        match self.mode {
            Mode::Off => false,
            Mode::Normal => risky,
            Mode::Protective => risky || !effects.read_only,
        }
    }
}

/// Whether one of the patterns names a tool; none if a pattern is none.
fn names(patterns: &[String], tool: &str) -> Option<bool> {
    let compiled: Result<Vec<Glob>, _> = patterns.iter().map(|pattern| GlobBuilder::new(pattern).build()).collect();
    Some(compiled.ok()?.iter().any(|glob| glob.compile_matcher().is_match(tool)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::component::Effects;

    fn asks(config: Value, name: &str, effects: Effects) -> bool {
        ToolApprovalCapability.requires_approval(&config, &OfferedToolInfo { name, capability_id: "x", effects })
    }

    #[test]
    fn modes_go_by_what_tools_may_do() {
        let none = Effects::default();
        let (read_only, destructive) = (Effects { read_only: true, ..none }, Effects { destructive: true, ..none });
        let (open, reading_outside) = (Effects { open_world: true, ..none }, Effects { open_world: true, ..read_only });
        for (mode, expected) in [
            (json!({}), [false, false, true, true, true]),
            (json!({"mode": "off"}), [false; 5]),
            (json!({"mode": "normal"}), [false, false, true, true, true]),
            (json!({"mode": "protective"}), [true, false, true, true, true]),
        ] {
            let asked = [none, read_only, destructive, open, reading_outside].map(|effects| asks(mode.clone(), "t", effects));
            assert_eq!(asked, expected, "{mode}");
        }
    }

    #[test]
    fn patterns_win_over_modes_and_asking_over_allowing() {
        let (calm, open) = (Effects { read_only: true, ..Effects::default() }, Effects { open_world: true, ..Effects::default() });
        let config = json!({"mode": "normal", "ask": ["shop__*", "r?n"], "allow": ["web_*", "shop__look"]});
        let asked = ["shop__buy", "shop__look", "ran", "run_all", "look"].map(|name| asks(config.clone(), name, calm));
        assert_eq!(asked, [true, true, true, false, false]);
        assert_eq!(["web_fetch", "fetch"].map(|name| asks(config.clone(), name, open)), [false, true]);
    }

    #[test]
    fn what_cannot_be_read_asks_about_everything() {
        for config in [json!({"mode": "of"}), json!({"ask": ["[a"]}), json!(3), json!({"mod": "off"})] {
            assert!(asks(config.clone(), "t", Effects { read_only: true, ..Effects::default() }), "{config}");
        }
    }
}
