//! Checks that several wires share.

use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::Value;

use super::Failure;

/// A schema of request bodies. Unknown fields are wrong, as they are for the vendors.
pub(super) struct Schema(LazyLock<Validator>);

impl Schema {
    pub(super) const fn new(compile: fn() -> Validator) -> Self {
        Self(LazyLock::new(compile))
    }

    /// Parses the text of a schema.
    pub(super) fn compile(text: &str) -> Validator {
        let schema = serde_json::from_str(text).expect("the schema is JSON");
        jsonschema::validator_for(&schema).expect("the schema is one")
    }

    /// Judges a body.
    pub(super) fn check(&self, body: &Value) -> Result<(), Failure> {
        match self.0.iter_errors(body).next() {
            None => Ok(()),
            Some(error) => Err(invalid(format!("{}: {error}", error.instance_path()))),
        }
    }
}

pub(super) fn invalid(message: impl Into<String>) -> Failure {
    Failure::Invalid(message.into())
}

/// Fails with a message unless something holds.
pub(super) fn ensure(holds: bool, message: impl FnOnce() -> String) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(invalid(message())) }
}

/// The items of a member that is an array; none if it is not.
pub(super) fn items<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> {
    value[name].as_array().into_iter().flatten()
}

/// A member that is text; empty if it is not.
pub(super) fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}

/// Tool calls that wait for their results.
#[derive(Default)]
pub(super) struct OpenCalls(Vec<String>);

impl OpenCalls {
    /// A call is made.
    pub(super) fn open(&mut self, id: &str) -> Result<(), Failure> {
        ensure(!id.is_empty() && !self.0.iter().any(|open| open == id), || format!("tool call id {id:?} is empty or used twice"))?;
        self.0.push(id.to_owned());
        Ok(())
    }

    /// Its result is given.
    pub(super) fn settle(&mut self, id: &str) -> Result<(), Failure> {
        let at =
            self.0.iter().position(|open| open == id).ok_or_else(|| invalid(format!("no tool call has the id {id:?} of this result")))?;
        self.0.remove(at);
        Ok(())
    }

    /// The conversation goes on, so all must have their results.
    pub(super) fn all_settled(&self) -> Result<(), Failure> {
        ensure(self.0.is_empty(), || format!("tool calls {:?} have no result", self.0))
    }
}
