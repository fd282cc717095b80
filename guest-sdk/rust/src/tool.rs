//! Tools, as the attribute `tool` makes them, and their dispatch.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::{Context, Failure, IntoOutput, Output, Result, schema};

/// What a tool may do to the world. The default, nothing set, is the careful one: effects
/// that must not be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "four independent flags of the contract")]
pub struct Effects {
    /// Changes nothing outside the call.
    pub read_only: bool,
    /// May remove or overwrite what cannot be brought back.
    pub destructive: bool,
    /// A repetition with the same idempotency key has no further effect.
    pub idempotent: bool,
    /// Reaches beyond the agent's own data, for example over the network.
    pub open_world: bool,
}

/// A tool. The attribute [`macro@crate::tool`] implements it, on a type with the function's name.
pub trait Tool {
    /// Name within the capability: `[a-z][a-z0-9_]*`, at most 64 bytes.
    const NAME: &'static str;
    /// Short human-readable name, at most 128 bytes.
    const TITLE: &'static str;
    /// What it does and when to use it, for the model. At most 4 KiB.
    const DESCRIPTION: &'static str;
    /// Declared effects.
    const EFFECTS: Effects;

    /// The arguments object.
    type Arguments: DeserializeOwned + JsonSchema;

    /// JSON Schema of the structured result, if the tool promises one.
    fn output_schema() -> Option<String> {
        None
    }

    /// Runs the tool.
    ///
    /// # Errors
    /// Whatever failure the tool's function returns, and a result without a JSON form.
    fn call(context: &Context, arguments: Self::Arguments) -> Result<Output>;
}

/// A tool in a capability's table.
#[derive(Debug, Clone, Copy)]
pub struct ToolEntry {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) description: &'static str,
    pub(crate) effects: Effects,
    pub(crate) input_schema: fn() -> String,
    pub(crate) output_schema: fn() -> Option<String>,
    pub(crate) call: fn(&Context, &str) -> Result<Output>,
}

impl ToolEntry {
    /// The entry of a tool.
    pub const fn of<T: Tool>() -> Self {
        ToolEntry {
            name: T::NAME,
            title: T::TITLE,
            description: T::DESCRIPTION,
            effects: T::EFFECTS,
            input_schema: schema::arguments::<T::Arguments>,
            output_schema: T::output_schema,
            call: call::<T>,
        }
    }

    /// Refuses, at compile time, two tools of the same name.
    ///
    /// # Panics
    /// If there are two.
    pub const fn assert_distinct(tools: &[ToolEntry]) {
        let mut first = 0;
        while first < tools.len() {
            let mut second = first + 1;
            while second < tools.len() {
                assert!(!same(tools[first].name.as_bytes(), tools[second].name.as_bytes()), "two tools have the same name");
                second += 1;
            }
            first += 1;
        }
    }
}

/// Whether two texts are equal; the operator is not available at compile time.
const fn same(left: &[u8], right: &[u8]) -> bool {
    if left.len() != right.len() {
        return false;
    }
    let mut index = 0;
    while index < left.len() {
        if left[index] != right[index] {
            return false;
        }
        index += 1;
    }
    true
}

/// Finds and runs a tool.
pub(crate) fn dispatch(tools: &[ToolEntry], context: &Context, name: &str, arguments: &str) -> Result<Output> {
    match tools.iter().find(|tool| tool.name == name) {
        Some(tool) => (tool.call)(context, arguments),
        None => {
            let names: Vec<_> = tools.iter().map(|tool| tool.name).collect();
            Err(Failure::not_found("unknown_tool", format!("no tool `{name}`; there are: {}", names.join(", "))))
        }
    }
}

/// The `Result` that a tool's function returns.
pub trait ToolResult {
    /// What it returns when it succeeds.
    type Value;
    /// The result with this crate's own failure type.
    fn into_result(self) -> Result<Self::Value>;
}

impl<T, E: Into<Failure>> ToolResult for core::result::Result<T, E> {
    type Value = T;

    fn into_result(self) -> Result<T> {
        self.map_err(Into::into)
    }
}

/// Turns what a tool's function returned into the call's result.
pub fn finish<R: ToolResult<Value: IntoOutput>>(result: R) -> Result<Output> {
    result.into_result()?.into_output()
}

fn call<T: Tool>(context: &Context, arguments: &str) -> Result<Output> {
    T::call(context, parse(arguments)?)
}

fn parse<T: DeserializeOwned>(arguments: &str) -> Result<T> {
    let mut deserializer = serde_json::Deserializer::from_str(arguments);
    let value =
        serde_path_to_error::deserialize(&mut deserializer).map_err(|error| invalid_argument(&error.path().to_string(), error.inner()))?;
    deserializer.end().map_err(|error| invalid_argument(".", &error))?;
    Ok(value)
}

fn invalid_argument(path: &str, error: &serde_json::Error) -> Failure {
    let text = error.to_string();
    // Line and column help nobody: whoever called passed an object, not a text.
    let text = match text.rfind(" at line ") {
        Some(end) => &text[..end],
        None => &text,
    };
    let message = match path {
        "." => format!("arguments: {text}"),
        path => format!("argument `{path}`: {text}"),
    };
    Failure::invalid("invalid_argument", message)
}
