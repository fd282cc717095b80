//! Judging JSON values by JSON Schemas.

use everwit_runtime::capability::has_secrets;
use jsonschema::PatternOptions;
use serde_json::Value;

/// Violations that one judgement lists.
const MAX_VIOLATIONS: usize = 100;
/// Longest text of a violation, in characters; the value itself may be part of it, unless the schema
/// marks a secret.
const MAX_DETAIL_CHARACTERS: usize = 500;

/// Where a value breaks its schema.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Violation {
    /// JSON Pointer into the value.
    pub(crate) pointer: String,
    /// What is wrong there.
    pub(crate) detail: String,
}

/// What a schema has against a value. Nothing remote is fetched, and patterns run in linear
/// time, because the schema may be a tenant's.
pub(crate) fn violations(schema: &Value, value: &Value) -> Vec<Violation> {
    let validator = match jsonschema::options().offline().with_pattern_options(PatternOptions::regex()).build(schema) {
        Ok(validator) => validator,
        Err(error) => {
            return vec![Violation { pointer: String::new(), detail: cut(&format!("the schema itself cannot be used: {error}")) }];
        }
    };
    let violations = validator.iter_errors(value).take(MAX_VIOLATIONS);
    let quotes = !has_secrets(schema);
    let violation = |error: jsonschema::ValidationError<'_>| {
        let detail = if quotes { error.to_string() } else { error.masked().to_string() };
        Violation { pointer: error.instance_path().to_string(), detail: cut(&detail) }
    };
    let mut violations: Vec<_> = violations.map(violation).collect();
    // The validator's order is that of its own maps.
    violations.sort();
    violations
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_DETAIL_CHARACTERS).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_violation_points_into_the_value() {
        let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["m"]});
        let pointers: Vec<_> = violations(&schema, &json!({"n": "x"})).into_iter().map(|violation| violation.pointer).collect();
        assert_eq!(pointers, ["", "/n"]);
        assert_eq!(violations(&schema, &json!({"m": 1})), []);
    }

    #[test]
    fn a_secret_is_not_quoted() {
        let schema = json!({"properties": {"key": {"type": "string", "minLength": 20, "writeOnly": true}}});
        let [violation] = violations(&schema, &json!({"key": "hush"})).try_into().unwrap();
        assert!(violation.pointer == "/key" && !violation.detail.contains("hush") && violation.detail.contains("20"), "{violation:?}");
    }

    #[test]
    fn a_schema_that_cannot_be_used_is_a_violation() {
        assert_eq!(violations(&json!({"type": 7}), &json!({})).len(), 1);
        assert_eq!(violations(&json!({"$ref": "https://elsewhere.example/schema"}), &json!({})).len(), 1);
    }
}
