//! Configurations of capabilities, as they may be shown.

use serde_json::Value;

/// What stands where a credential was.
const REDACTED: &str = "[redacted]";
/// Keywords behind which another schema decides; which one, only a validator knows.
const INDIRECT: [&str; 8] = ["$ref", "$dynamicRef", "allOf", "anyOf", "oneOf", "if", "patternProperties", "dependentSchemas"];

/// A configuration without the values that its schema marks with `"writeOnly": true` or
/// `"format": "password"`. Marks are followed through `properties`, `additionalProperties`,
/// `items` and `prefixItems`; of a schema that has marks, what is described by references or
/// combinators is redacted as a whole. Without a schema nothing is marked.
pub fn redact_config(schema: Option<&Value>, config: &Value) -> Value {
    match schema {
        Some(schema) if has_marks(schema) => redact(schema, config),
        _ => config.clone(),
    }
}

fn redact(schema: &Value, value: &Value) -> Value {
    if is_mark(schema) || INDIRECT.iter().any(|keyword| schema.get(keyword).is_some()) {
        return REDACTED.into();
    }
    let below = |own: Option<&Value>, rest: &str, value: &Value| match own.or_else(|| schema.get(rest)) {
        Some(schema) => redact(schema, value),
        None => value.clone(),
    };
    match value {
        Value::Object(members) => {
            let of = |name: &String| schema.get("properties").and_then(|properties| properties.get(name));
            let shown = members.iter().map(|(name, member)| (name.clone(), below(of(name), "additionalProperties", member)));
            Value::Object(shown.collect())
        }
        Value::Array(items) => {
            let of = |at: usize| schema.get("prefixItems").and_then(|first| first.get(at));
            items.iter().enumerate().map(|(at, item)| below(of(at), "items", item)).collect()
        }
        plain => plain.clone(),
    }
}

/// Whether a schema says of its own value that it is a secret.
fn is_mark(schema: &Value) -> bool {
    schema.get("writeOnly") == Some(&Value::Bool(true)) || schema.get("format").is_some_and(|format| format == "password")
}

fn has_marks(schema: &Value) -> bool {
    is_mark(schema)
        || match schema {
            Value::Object(members) => members.values().any(has_marks),
            Value::Array(items) => items.iter().any(has_marks),
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_marked_is_not_shown_and_the_rest_is() {
        let key = json!({ "type": "string", "writeOnly": true });
        let schema = json!({
            "properties": {
                "key": key,
                "pin": { "format": "password" },
                "deep": { "properties": { "keys": { "items": key } }, "additionalProperties": { "type": "number" } },
                "pair": { "prefixItems": [{}, key] },
                "either": { "anyOf": [{ "$ref": "#/$defs/key" }, { "type": "number" }] },
            },
            "$defs": { "key": key },
        });
        let config =
            json!({ "key": "a", "pin": 7, "deep": { "keys": ["b", "c"], "n": 1 }, "pair": ["x", "d"], "either": "e", "free": "y" });
        let hidden = "[redacted]";
        let shown = json!({
            "key": hidden, "pin": hidden, "deep": { "keys": [hidden, hidden], "n": 1 }, "pair": ["x", hidden], "either": hidden, "free": "y",
        });
        assert_eq!(redact_config(Some(&schema), &config), shown);
        assert_eq!(redact_config(Some(&key), &json!("whole")), hidden);
        for unmarked in [None, Some(&json!({ "properties": { "key": { "anyOf": [{}] } } }))] {
            assert_eq!(redact_config(unmarked, &config), config);
        }
    }
}
