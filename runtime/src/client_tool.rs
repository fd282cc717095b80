//! Client-side tools: a model calls them, the client of the session executes them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::turn::compile_schema;

/// Most client-side tools of one agent or session.
pub const MAX_CLIENT_TOOLS: usize = 64;
/// How long turns can wait for a result, in seconds: up to 366 days.
const TIMEOUT_SECONDS: std::ops::RangeInclusive<u32> = 1..=366 * 24 * 60 * 60;
/// Longest name of one, in bytes.
pub const MAX_CLIENT_TOOL_NAME_BYTES: usize = 64;

/// A tool that clients execute. When a model calls it, the turn waits for the result.
///
/// ```json
/// {"type": "client_side", "name": "read_clipboard", "description": "Reads the clipboard.",
///  "parameters": {"type": "object", "properties": {}}}
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ClientTool {
    /// Always "client_side"; "function" is read as the same.
    #[serde(rename = "type")]
    pub tool_type: ClientToolType,
    /// Name as models know it: letters, digits, `_` and `-`, at most 64 bytes.
    pub name: String,
    /// Name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// What it does and when to use it.
    pub description: String,
    /// JSON Schema of the arguments object.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub parameters: Value,
    /// Seconds that a turn waits for a result before it goes on without, 1 to 31,622,400 (366 days). Default and most: as long as
    /// the server lets turns wait, a week unless it says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 31_622_400))]
    pub timeout_seconds: Option<u32>,
}

/// The one type of tool that agents and sessions define themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ClientToolType {
    /// Executed by the client.
    #[default]
    #[serde(alias = "function")]
    ClientSide,
}

impl ClientTool {
    /// A tool without a name for people; `parameters` is a JSON Schema of type "object".
    pub fn new(name: impl Into<String>, description: impl Into<String>, parameters: Value) -> Self {
        let (name, description) = (name.into(), description.into());
        Self { tool_type: ClientToolType::ClientSide, name, display_name: None, description, parameters, timeout_seconds: None }
    }

    /// What is wrong with it, one sentence a finding, each with the field that it is about.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if !(1..=MAX_CLIENT_TOOL_NAME_BYTES).contains(&self.name.len()) || !self.name.bytes().all(is_word) {
            let rule = format!("a tool name has 1 to {MAX_CLIENT_TOOL_NAME_BYTES} letters, digits, underscores and hyphens");
            problems.push(("name", rule));
        }
        if self.parameters.get("type").and_then(Value::as_str) != Some("object") {
            problems.push(("parameters", "the schema must be of type \"object\", because arguments are objects".to_owned()));
        } else if let Err(problem) = compile_schema(&self.parameters) {
            problems.push(("parameters", format!("it is no JSON Schema: {problem}")));
        }
        if self.timeout_seconds.is_some_and(|seconds| !TIMEOUT_SECONDS.contains(&seconds)) {
            let (least, most) = TIMEOUT_SECONDS.into_inner();
            problems.push(("timeout_seconds", format!("a turn waits for a result for {least} to {most} seconds")));
        }
        problems
    }
}
