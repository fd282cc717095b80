//! JSON Schemas of Rust types, as the contract wants them.
//!
//! Computed in `describe` only: a schema costs far more than a typical call.

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};

/// The JSON Schema (2020-12) of `T`, as JSON text.
///
/// Definitions are inlined, because model vendors support references unevenly; only a type
/// that contains itself keeps them. What tells a model nothing is left out: the `$schema`
/// line, the Rust type's name as title, and machine formats such as "uint32".
pub fn of<T: JsonSchema>() -> String {
    generate::<T>().as_value().to_string()
}

/// The schema of a tool's arguments: as [`of`], and with `properties` even if there are none,
/// because some model vendors refuse an object without.
pub(crate) fn arguments<T: JsonSchema>() -> String {
    let mut schema = generate::<T>();
    if schema.get("properties").is_none() {
        schema.insert("properties".into(), serde_json::Map::new().into());
    }
    schema.as_value().to_string()
}

fn generate<T: JsonSchema>() -> Schema {
    let settings = SchemaSettings::draft2020_12()
        .with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
        })
        .with_transform(RecursiveTransform(remove_number_format));
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    schema.remove("title");
    schema
}

/// The schema of what a tool with this return type promises as its structured result.
pub fn output<R: crate::tool::ToolResult>() -> String
where
    R::Value: JsonSchema,
{
    of::<R::Value>()
}

/// The empty configuration schema: anything goes.
pub(crate) const ANYTHING: &str = "{}";

fn remove_number_format(schema: &mut Schema) {
    const MACHINE_FORMATS: [&str; 14] =
        ["double", "float", "int", "int8", "int16", "int32", "int64", "int128", "uint", "uint8", "uint16", "uint32", "uint64", "uint128"];
    let format = schema.get("format").and_then(|format| format.as_str());
    if format.is_some_and(|format| MACHINE_FORMATS.contains(&format)) {
        schema.remove("format");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(schemars::JsonSchema)]
    #[expect(dead_code, reason = "only its schema is used")]
    struct Tree {
        /// How tall, in metres.
        height: u32,
        children: Vec<Tree>,
        name: Option<String>,
    }

    #[derive(schemars::JsonSchema)]
    struct Nothing {}

    #[test]
    fn no_arguments_are_an_object_without_properties() {
        let schema: serde_json::Value = serde_json::from_str(&arguments::<Nothing>()).expect("json");
        assert_eq!(schema, serde_json::json!({"type": "object", "properties": {}}));
    }

    #[test]
    fn recursive_types_keep_a_definition() {
        let schema: serde_json::Value = serde_json::from_str(&of::<Tree>()).expect("json");
        assert_eq!(schema["properties"]["height"]["type"], "integer");
        assert_eq!(schema["properties"]["height"]["description"], "How tall, in metres.");
        assert!(schema["properties"]["height"].get("format").is_none());
        assert_eq!(schema["required"], serde_json::json!(["height", "children"]));
        assert!(schema.get("$schema").is_none());
        assert!(schema.get("title").is_none());
        assert!(schema.to_string().contains("$ref"));
    }
}
