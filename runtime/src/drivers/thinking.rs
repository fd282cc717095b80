//! How much Anthropic's models think: a matter of the model's generation.

use serde_json::{Value, json};

use crate::driver::{ChatRequest, ToolChoice};

/// From this generation on a model decides by itself how much it thinks, and is told an effort.
const ADAPTIVE_SINCE: (u32, u32) = (4, 6);
/// Smallest budget of tokens for thinking that a model takes.
const LEAST_BUDGET: u64 = 1_024;

/// What an effort means for a model.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Thinking {
    /// The member `thinking` of the request.
    pub(super) config: Value,
    /// The effort, for models that take one.
    pub(super) effort: Option<&'static str>,
    /// Tokens for thinking, which count against the limit of the answer.
    pub(super) budget: u64,
}

impl Thinking {
    /// Of what a request wishes; none if it wishes nothing that means something here.
    pub(super) fn of_request(request: &ChatRequest) -> Option<Self> {
        let thinking = Self::of(&request.model, request.reasoning_effort.as_deref()?)?;
        // A model that must call a tool must not think first.
        let is_forced = matches!(request.tool_choice, ToolChoice::Required | ToolChoice::Tool(_)) && !request.tools.is_empty();
        Some(if is_forced { Self { config: json!({ "type": "disabled" }), budget: 0, ..thinking } } else { thinking })
    }

    /// Whether the model thinks.
    pub(super) fn thinks(&self) -> bool {
        self.config["type"] != "disabled"
    }

    fn of(model: &str, effort: &str) -> Option<Self> {
        if effort == "none" {
            return Some(Self { config: json!({ "type": "disabled" }), effort: None, budget: 0 });
        }
        let (effort, budget) = match effort {
            "minimal" => ("low", LEAST_BUDGET),
            "low" => ("low", 4 * LEAST_BUDGET),
            "medium" => ("medium", 8 * LEAST_BUDGET),
            "high" => ("high", 16 * LEAST_BUDGET),
            "xhigh" => ("xhigh", 24 * LEAST_BUDGET),
            "max" => ("max", 31 * LEAST_BUDGET),
            _ => return None,
        };
        if generation(model).is_none_or(|generation| generation >= ADAPTIVE_SINCE) {
            // Newer models show nothing of what they think unless they are asked to.
            let config = json!({ "type": "adaptive", "display": "summarized" });
            return Some(Self { config, effort: Some(effort), budget: 0 });
        }
        Some(Self { config: json!({ "type": "enabled", "budget_tokens": budget }), effort: None, budget })
    }
}

/// Major and minor number in a model's name: `claude-3-7-sonnet-20250219`, `claude-opus-4-5`,
/// `us.anthropic.claude-sonnet-4-20250514-v1:0`. None if the name has none, as an alias has.
fn generation(model: &str) -> Option<(u32, u32)> {
    let name = &model[model.find("claude-")?..];
    // Dates are longer than the numbers of generations.
    let mut numbers = name.split(['-', '@', ':']).skip_while(|word| !is_number(word)).take_while(|word| is_number(word));
    let major = numbers.next()?.parse().ok()?;
    let minor = numbers.next().and_then(|word| word.parse().ok()).unwrap_or(0);
    Some((major, minor))
}

fn is_number(word: &str) -> bool {
    (1..=2).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_generation() {
        for (model, expect) in [
            ("claude-3-7-sonnet-20250219", Some((3, 7))),
            ("claude-sonnet-4-20250514", Some((4, 0))),
            ("claude-opus-4-5-20251101", Some((4, 5))),
            ("claude-opus-4-6", Some((4, 6))),
            ("claude-sonnet-5", Some((5, 0))),
            ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", Some((4, 5))),
            ("anthropic/claude-3-opus", Some((3, 0))),
            ("my-alias", None),
            ("claude-next", None),
        ] {
            assert_eq!(generation(model), expect, "{model}");
        }
    }

    #[test]
    fn a_model_that_must_call_a_tool_does_not_think() {
        let tool = crate::driver::OfferedTool { name: "look".to_owned(), description: String::new(), input_schema: json!({}) };
        let request = ChatRequest {
            model: "claude-opus-5".to_owned(),
            tools: vec![tool],
            reasoning_effort: Some("high".to_owned()),
            ..ChatRequest::default()
        };
        assert!(Thinking::of_request(&request).is_some_and(|thinking| thinking.thinks()));
        let forced = ChatRequest { tool_choice: ToolChoice::Required, ..request };
        assert!(Thinking::of_request(&forced).is_some_and(|thinking| !thinking.thinks() && thinking.effort == Some("high")));
    }

    #[test]
    fn an_effort_becomes_what_the_generation_takes() {
        let check = |model, effort, expect: Value| assert_eq!(Thinking::of(model, effort).map(|thinking| thinking.config), Some(expect));
        check("claude-sonnet-4-5", "low", json!({ "type": "enabled", "budget_tokens": 4096 }));
        check("claude-opus-5", "low", json!({ "type": "adaptive", "display": "summarized" }));
        check("my-alias", "max", json!({ "type": "adaptive", "display": "summarized" }));
        check("claude-sonnet-4-5", "none", json!({ "type": "disabled" }));
        assert_eq!(Thinking::of("claude-opus-5", "minimal").and_then(|thinking| thinking.effort), Some("low"));
        assert_eq!(Thinking::of("claude-opus-5", "enormous"), None);
    }
}
