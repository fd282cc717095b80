//! The tools of one turn, ready to be offered, checked and called.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

use super::context_error::ContextError;
use super::resolve::ResolvedCapability;
use crate::capability::{Capability, ToolDefinition};
use crate::driver::OfferedTool;

/// Findings that one refusal lists; the first ones are enough to correct a call.
const MAX_FINDINGS: usize = 5;
/// Longest finding, in bytes; the wrong value itself is part of it.
const MAX_FINDING_BYTES: usize = 500;

/// A tool with all that a call needs.
pub struct BoundTool {
    /// The capability that has it.
    pub capability: Arc<dyn Capability>,
    /// The agent's configuration of that capability.
    pub config: Value,
    /// As the capability defines it.
    pub definition: ToolDefinition,
    arguments: Validator,
}

impl BoundTool {
    /// Checks the arguments of a call.
    ///
    /// # Errors
    /// What is wrong where, by which rule of the schema.
    pub fn check(&self, arguments: &Value) -> Result<(), String> {
        if !arguments.is_object() {
            return Err("the arguments are not a JSON object (rule \"type\")".to_owned());
        }
        check(&self.arguments, arguments)
    }
}

impl fmt::Debug for BoundTool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundTool").field("capability", &self.capability.id()).field("tool", &self.definition.name).finish_non_exhaustive()
    }
}

/// Tools by the name under which the model knows them.
#[derive(Debug, Default)]
pub struct Toolset {
    tools: BTreeMap<String, BoundTool>,
}

impl Toolset {
    /// Collects the tools of capabilities and compiles their schemas.
    pub(super) fn bind(capabilities: &[ResolvedCapability]) -> Result<Self, ContextError> {
        let mut tools: BTreeMap<String, BoundTool> = BTreeMap::new();
        for resolved in capabilities {
            for definition in resolved.capability.tools() {
                let name = resolved.capability.offered_name(&definition.name);
                if let Some(first) = tools.get(&name) {
                    let first = first.capability.id().to_owned();
                    return Err(ContextError::ToolClash { tool: name, first, second: resolved.id.clone() });
                }
                let what = || format!("input schema of tool {:?}", definition.name);
                let arguments = compile(&definition.input_schema, &resolved.id, what)?;
                let (capability, config) = (resolved.capability.clone(), resolved.config.clone());
                tools.insert(name, BoundTool { capability, config, definition: definition.clone(), arguments });
            }
        }
        Ok(Self { tools })
    }

    /// Looks a tool up.
    pub fn get(&self, name: &str) -> Option<&BoundTool> {
        self.tools.get(name)
    }

    /// All names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tools.keys().map(String::as_str)
    }

    /// The tools as a model is offered them, by name.
    pub fn offered(&self) -> Vec<OfferedTool> {
        let offer = |(name, tool): (&String, &BoundTool)| OfferedTool {
            name: name.clone(),
            description: tool.definition.description.clone(),
            input_schema: tool.definition.input_schema.clone(),
        };
        self.tools.iter().map(offer).collect()
    }
}

/// As [`compile_schema`], for a schema of a capability.
pub(super) fn compile(schema: &Value, id: &str, what: impl FnOnce() -> String) -> Result<Validator, ContextError> {
    compile_schema(schema).map_err(|problem| ContextError::SchemaInvalid { id: id.to_owned(), what: what(), problem })
}

/// Compiles a schema. Nothing remote is fetched, and patterns run in linear time because the
/// schema may be a stranger's.
pub(crate) fn compile_schema(schema: &Value) -> Result<Validator, String> {
    let compiled = jsonschema::options().offline().with_pattern_options(PatternOptions::regex()).build(schema);
    compiled.map_err(|error| cut(&error.to_string(), MAX_FINDING_BYTES).to_owned())
}

/// Checks a value; the error lists what is wrong where, by which rule.
pub(crate) fn check(validator: &Validator, value: &Value) -> Result<(), String> {
    let findings: Vec<String> = validator
        .iter_errors(value)
        .take(MAX_FINDINGS)
        .map(|error| {
            let path = error.instance_path().as_str();
            let place = if path.is_empty() { "/" } else { path };
            let text = error.to_string();
            format!("at {place}: {} (rule {:?})", cut(&text, MAX_FINDING_BYTES), error.kind().keyword())
        })
        .collect();
    if findings.is_empty() { Ok(()) } else { Err(findings.join("; ")) }
}

/// The longest start of a text that has at most so many bytes.
pub(super) fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}
