//! Configurations of capabilities, as they may be shown.

use serde_json::Value;

/// What stands where a credential was.
pub const REDACTED: &str = "[redacted]";
/// Keywords behind which another schema decides; which one, only a validator knows.
const INDIRECT: [&str; 8] = ["$ref", "$dynamicRef", "allOf", "anyOf", "oneOf", "if", "patternProperties", "dependentSchemas"];

/// A configuration without the values that its schema marks with `"writeOnly": true` or
/// `"format": "password"`. Marks are followed through `properties`, `additionalProperties`,
/// `items` and `prefixItems`; of a schema that has marks, what is described by references or
/// combinators is redacted as a whole. Without a schema nothing is marked.
pub fn redact_config(schema: Option<&Value>, config: &Value) -> Value {
    match schema {
        Some(schema) if has_secrets(schema) => redact(schema, config),
        _ => config.clone(),
    }
}

/// A configuration that was shown by [`redact_config`], changed and sent back: what still is
/// [`REDACTED`] has the stored value of the same place again, items of lists by their positions.
///
/// # Errors
/// The places, as JSON Pointers, that are redacted although nothing is stored there.
pub fn restore_config(schema: Option<&Value>, sent: &Value, stored: Option<&Value>) -> Result<Value, Vec<String>> {
    let mut missing = Vec::new();
    let restored = match schema {
        Some(schema) if has_secrets(schema) => restore(schema, sent, stored, &mut String::new(), &mut missing),
        _ => sent.clone(),
    };
    if missing.is_empty() { Ok(restored) } else { Err(missing) }
}

fn redact(schema: &Value, value: &Value) -> Value {
    if is_hidden(schema) {
        return REDACTED.into();
    }
    let below = |schema: Option<&Value>, value: &Value| schema.map_or_else(|| value.clone(), |schema| redact(schema, value));
    match value {
        Value::Object(members) => {
            let shown = members.iter().map(|(name, member)| (name.clone(), below(of_member(schema, name), member)));
            Value::Object(shown.collect())
        }
        Value::Array(items) => items.iter().enumerate().map(|(at, item)| below(of_item(schema, at), item)).collect(),
        plain => plain.clone(),
    }
}

/// `place` is where `sent` is; it is as it was when this returns.
fn restore(schema: &Value, sent: &Value, stored: Option<&Value>, place: &mut String, missing: &mut Vec<String>) -> Value {
    if is_hidden(schema) {
        return match stored {
            _ if *sent != REDACTED => sent.clone(),
            Some(stored) => stored.clone(),
            None => {
                missing.push(place.clone());
                sent.clone()
            }
        };
    }
    let end = place.len();
    let mut below = |schema: Option<&Value>, name: &str, sent: &Value, stored: Option<&Value>| {
        let Some(schema) = schema else { return sent.clone() };
        place.push('/');
        place.push_str(&name.replace('~', "~0").replace('/', "~1"));
        let restored = restore(schema, sent, stored, place, missing);
        place.truncate(end);
        restored
    };
    match sent {
        Value::Object(members) => {
            let stored = |name: &str| stored.and_then(|stored| stored.get(name));
            let restored = members.iter().map(|(name, sent)| (name.clone(), below(of_member(schema, name), name, sent, stored(name))));
            Value::Object(restored.collect())
        }
        Value::Array(items) => {
            let stored = |at: usize| stored.and_then(|stored| stored.get(at));
            items.iter().enumerate().map(|(at, sent)| below(of_item(schema, at), &at.to_string(), sent, stored(at))).collect()
        }
        plain => plain.clone(),
    }
}

/// Whether nothing of a value is shown.
fn is_hidden(schema: &Value) -> bool {
    is_mark(schema) || INDIRECT.iter().any(|keyword| schema.get(keyword).is_some())
}

fn of_member<'a>(schema: &'a Value, name: &str) -> Option<&'a Value> {
    let own = schema.get("properties").and_then(|properties| properties.get(name));
    own.or_else(|| schema.get("additionalProperties"))
}

fn of_item(schema: &Value, at: usize) -> Option<&Value> {
    let own = schema.get("prefixItems").and_then(|first| first.get(at));
    own.or_else(|| schema.get("items"))
}

/// Whether a schema says of its own value that it is a secret.
fn is_mark(schema: &Value) -> bool {
    schema.get("writeOnly") == Some(&Value::Bool(true)) || schema.get("format").is_some_and(|format| format == "password")
}

/// Whether a schema marks anything as a secret, so that no text about a value may quote it.
pub fn has_secrets(schema: &Value) -> bool {
    is_mark(schema)
        || match schema {
            Value::Object(members) => members.values().any(has_secrets),
            Value::Array(items) => items.iter().any(has_secrets),
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

        // What is shown and sent back is what is stored.
        assert_eq!(restore_config(Some(&schema), &shown, Some(&config)), Ok(config.clone()));
        let mut changed = shown.clone();
        (changed["key"], changed["free"], changed["deep"]["keys"][1]) = (json!("new"), json!("z"), json!("new"));
        let mut expected = config.clone();
        (expected["key"], expected["free"], expected["deep"]["keys"][1]) = (json!("new"), json!("z"), json!("new"));
        assert_eq!(restore_config(Some(&schema), &changed, Some(&config)), Ok(expected));
        changed["deep"]["keys"] = json!(["x", "y", hidden]);
        let places = ["/deep/keys/2"].map(str::to_owned).to_vec();
        assert_eq!(restore_config(Some(&schema), &changed, Some(&config)), Err(places), "there was no third one");
        let missing = restore_config(Some(&schema), &shown, None).unwrap_err();
        assert_eq!(missing, ["/deep/keys/0", "/deep/keys/1", "/either", "/key", "/pair/1", "/pin"]);
        assert_eq!(restore_config(None, &shown, None), Ok(shown), "without a schema nothing was redacted");
    }
}
