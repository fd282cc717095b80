//! Profiles: what is known of models. The platform's own are in `profiles.json`; what an org or a
//! vendor's list says of a model goes before them, field by field.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{DriverId, ModelInfo};

/// What is known of a model. What is not known is absent.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ModelProfile {
    /// Name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Models of a kind have the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family: Option<String>,
    /// Until when it has read, `YYYY-MM-DD`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub knowledge: Option<String>,
    /// How much goes in and comes out.
    pub limits: ModelLimits,
    /// What it costs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<ModelCost>,
    /// What it takes and gives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modalities: Option<Modalities>,
    /// Whether it thinks before it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<bool>,
    /// Words for how much it thinks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasoning_effort: Vec<String>,
    /// Whether it calls tools.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_call: Option<bool>,
    /// Whether its answers can be bound to a schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub structured_output: Option<bool>,
}

/// Limits of a model, in tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ModelLimits {
    /// Input and output together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<u64>,
    /// Input alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<u64>,
    /// Output of one answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<u64>,
}

impl ModelLimits {
    /// The most that a conversation can have: the context, or else what goes in.
    pub fn conversation(&self) -> Option<u64> {
        self.context.or(self.input)
    }
}

/// Prices in US dollars per million tokens.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ModelCost {
    /// Input.
    pub input: f64,
    /// Output.
    pub output: f64,
    /// Input that the vendor had cached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<f64>,
    /// Input that the vendor caches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<f64>,
    /// Other prices of long inputs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<CostTier>,
}

/// Prices of inputs beyond a length.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CostTier {
    /// The length, in tokens.
    pub above_input_tokens: u64,
    /// Input.
    pub input: f64,
    /// Output.
    pub output: f64,
}

/// Kinds of content: "text", "image", "audio", "video", "pdf".
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Modalities {
    /// What it takes.
    pub input: Vec<String>,
    /// What it gives.
    pub output: Vec<String>,
}

/// An entry of the file.
#[derive(Debug, Deserialize)]
struct Entry {
    drivers: Vec<String>,
    model: String,
    #[serde(flatten)]
    facts: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
struct File {
    profiles: Vec<Entry>,
}

static FILE: LazyLock<File> = LazyLock::new(|| serde_json::from_str(include_str!("profiles.json")).expect("the file is checked by a test"));

/// Facts about the entry itself, not about the model.
const PROVENANCE: [&str; 2] = ["read_on", "sources"];

/// What the platform knows of a model: of exactly this one, or of the one that this is a dated
/// build of.
pub fn known_facts(driver: &DriverId, model: &str) -> Option<Map<String, Value>> {
    let is_it = |entry: &&Entry| entry.drivers.iter().any(|id| id == driver.as_str()) && is_build_of(model, &entry.model);
    let found = FILE.profiles.iter().find(is_it)?;
    let mut facts = found.facts.clone();
    facts.retain(|name, _| !PROVENANCE.contains(&name.as_str()));
    Some(facts)
}

/// `claude-opus-4-5-20251101` and `gpt-5.2-2025-12-11` are builds; `gpt-5.2-pro` is another model.
fn is_build_of(model: &str, known: &str) -> bool {
    let Some(rest) = model.strip_prefix(known) else { return false };
    let date = |text: &str| text.len() >= 8 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    rest.is_empty() || rest.strip_prefix('-').is_some_and(date)
}

/// What is known of a model: `own` before what the platform knows.
pub fn facts_of(driver: &DriverId, model: &str, own: &Map<String, Value>) -> Map<String, Value> {
    let mut facts = known_facts(driver, model).unwrap_or_default();
    overlay(&mut facts, own);
    facts
}

impl ModelProfile {
    /// The profile of a model. Facts that do not have the form of a profile are passed over, because
    /// orgs may write what they like there.
    pub fn of(driver: &DriverId, model: &str, own: &Map<String, Value>) -> Self {
        let facts = facts_of(driver, model, own);
        let mut fitting = Map::new();
        for (name, value) in facts {
            let one = Map::from_iter([(name.clone(), value.clone())]);
            if serde_json::from_value::<Self>(Value::Object(one)).is_ok() {
                fitting.insert(name, value);
            }
        }
        serde_json::from_value(Value::Object(fitting)).unwrap_or_default()
    }
}

/// What a vendor's list says, in the form of a profile.
pub fn facts_of_list(info: &ModelInfo) -> Map<String, Value> {
    let has = |feature: &str| info.features.iter().any(|known| known == feature).then_some(true);
    let profile = ModelProfile {
        limits: ModelLimits { context: info.context_tokens, input: None, output: info.output_tokens },
        reasoning: has("reasoning"),
        tool_call: has("tools"),
        structured_output: has("structured-output"),
        ..ModelProfile::default()
    };
    let mut facts = match serde_json::to_value(profile) {
        Ok(Value::Object(facts)) => facts,
        _ => Map::new(),
    };
    facts.retain(|_, value| value.as_object().is_none_or(|object| !object.is_empty()));
    facts
}

/// Puts `over` onto `under`: objects field by field, everything else whole.
fn overlay(under: &mut Map<String, Value>, over: &Map<String, Value>) {
    for (name, value) in over {
        match (under.get_mut(name), value) {
            (Some(Value::Object(under)), Value::Object(over)) => overlay(under, over),
            _ => {
                under.insert(name.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The schema of the file: every entry is complete about itself, and names nothing unknown.
    #[test]
    fn every_entry_says_where_it_is_from_and_has_sensible_figures() {
        let schema = json!({
            "type": "object", "required": ["drivers", "model", "name", "sources", "read_on", "limits", "modalities"],
            "additionalProperties": false,
            "properties": {
                "drivers": { "type": "array", "minItems": 1, "items": { "type": "string", "pattern": "^[a-z_]+$" } },
                "model": { "type": "string", "minLength": 1 },
                "name": { "type": "string", "minLength": 1 },
                "family": { "type": "string", "minLength": 1 },
                "sources": { "type": "array", "minItems": 1, "items": { "type": "string", "pattern": "^https://" } },
                "read_on": { "type": "string", "pattern": "^20\\d\\d-\\d\\d-\\d\\d$" },
                "knowledge": { "type": "string", "pattern": "^20\\d\\d-\\d\\d-\\d\\d$" },
                "limits": {
                    "type": "object", "additionalProperties": false, "minProperties": 1,
                    "properties": { "context": { "$ref": "#/$defs/tokens" }, "input": { "$ref": "#/$defs/tokens" }, "output": { "$ref": "#/$defs/tokens" } },
                },
                "cost": {
                    "type": "object", "additionalProperties": false, "required": ["input", "output"],
                    "properties": {
                        "input": { "$ref": "#/$defs/price" }, "output": { "$ref": "#/$defs/price" },
                        "cache_read": { "$ref": "#/$defs/price" }, "cache_write": { "$ref": "#/$defs/price" },
                        "tiers": { "type": "array" },
                    },
                },
                "modalities": {
                    "type": "object", "required": ["input", "output"], "additionalProperties": false,
                    "properties": { "input": { "$ref": "#/$defs/kinds" }, "output": { "$ref": "#/$defs/kinds" } },
                },
                "reasoning": { "type": "boolean" }, "tool_call": { "type": "boolean" }, "structured_output": { "type": "boolean" },
                "reasoning_effort": { "type": "array", "minItems": 1, "items": { "type": "string" } },
            },
            "$defs": {
                "tokens": { "type": "integer", "minimum": 1_000, "maximum": 10_000_000 },
                "price": { "type": "number", "exclusiveMinimum": 0, "maximum": 1_000 },
                "kinds": { "type": "array", "minItems": 1, "items": { "enum": ["text", "image", "audio", "video", "pdf"] } },
            },
        });
        let file: Value = serde_json::from_str(include_str!("profiles.json")).expect("JSON");
        let validator = jsonschema::draft202012::new(&schema).expect("a schema");
        for entry in file["profiles"].as_array().expect("a list") {
            let problems: Vec<String> = validator.iter_errors(entry).map(|error| error.to_string()).collect();
            assert!(problems.is_empty(), "{}: {problems:?}", entry["model"]);
            for driver in entry["drivers"].as_array().expect("a list") {
                let id: DriverId = driver.as_str().expect("a text").parse().expect("an id");
                assert!(!matches!(id, DriverId::External(_)), "{id}");
                let profile = ModelProfile::of(&id, entry["model"].as_str().expect("a text"), &Map::new());
                assert!(profile.limits.conversation() > profile.limits.output, "{profile:?}");
                assert_eq!(serde_json::to_value(&profile).expect("JSON")["limits"], entry["limits"], "nothing is lost");
            }
        }
    }

    #[test]
    fn builds_have_the_profile_of_their_model_and_others_none() {
        let output = |driver: DriverId, model: &str| ModelProfile::of(&driver, model, &Map::new()).limits.output;
        assert_eq!(output(DriverId::Anthropic, "claude-opus-4-5"), Some(64_000));
        assert_eq!(output(DriverId::Anthropic, "claude-opus-4-5-20251101"), Some(64_000));
        assert_eq!(output(DriverId::OpenAi, "gpt-5.2-2025-12-11"), Some(128_000));
        for (driver, model) in [
            (DriverId::OpenAi, "gpt-5.2-pro"),
            (DriverId::OpenAi, "claude-opus-4-5"),
            (DriverId::Anthropic, "claude-opus-4"),
            (DriverId::LlmSim, "x"),
        ] {
            assert_eq!(output(driver, model), None, "{model}");
        }
    }

    #[test]
    fn what_an_org_says_goes_before_field_by_field() {
        let own = |value: Value| value.as_object().expect("an object").clone();
        let profile = |value| ModelProfile::of(&DriverId::Anthropic, "claude-opus-4-5", &own(value));
        let mine = profile(json!({ "limits": { "output": 1_000 }, "mine": [1] }));
        assert_eq!((mine.limits.output, mine.limits.context, mine.tool_call), (Some(1_000), Some(200_000), Some(true)));
        let odd = profile(json!({ "limits": 7, "reasoning": "yes" }));
        assert_eq!((odd.limits, odd.reasoning, odd.tool_call), (ModelLimits::default(), None, Some(true)), "{odd:?}");
    }
}
