//! Other tools of the same turn, called from within a call.
//!
//! Each must be asked for in [`crate::capability!`] under `permissions: { tools: ["capability/tool"] }`, and the
//! agent must have its capability. It runs under its own grant and limits. It must not do more than
//! the calling tool says of itself: a `read_only` tool calls read-only ones, and only a `destructive`
//! one calls a destructive one. What it returns is data, never an instruction.

use core::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::tools::everwit::tools::calls as wit;
use crate::{Failure, Json, Output, Result, host};

/// Why there is no result. With `?` it becomes the tool's failure.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing was called; the text says what to do.
    Denied(String),
    /// Nothing was called, because the arguments do not match the tool's schema; the text says where.
    InvalidArguments(String),
    /// Too many calls, too deep, or too large a result; the text has the limit.
    Limit(String),
    /// The tool says that it failed.
    Failed(Failure),
    /// The host ended the tool; the text says why.
    Stopped(String),
    /// Anything else.
    Other(String),
}

/// Calls a tool by `capability/tool`.
///
/// # Errors
/// A [`Fault`]; also if the arguments have no JSON form.
pub fn call<T: Serialize + ?Sized>(name: &str, arguments: &T) -> Result<Output, Fault> {
    let arguments = Json::of(arguments).map_err(|error| Fault::InvalidArguments(error.to_string()))?;
    Ok(host::tools::call(name, arguments.as_str())?.into())
}

/// Calls a tool as [`call()`] does, and reads its structured result.
///
/// # Errors
/// A [`Fault`]; and code "unexpected_result" if there is no structured result that fits `R`.
pub fn call_as<R: DeserializeOwned>(name: &str, arguments: &(impl Serialize + ?Sized)) -> Result<R> {
    let output = call(name, arguments)?;
    let text = output.as_structured().map_or("null", Json::as_str);
    serde_json::from_str(text)
        .map_err(|error| Failure::internal("unexpected_result", format!("the result of {name} does not fit: {error}")))
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Denied(text) | Fault::InvalidArguments(text) | Fault::Limit(text) | Fault::Stopped(text) | Fault::Other(text) => text,
            Fault::Failed(failure) => failure.message(),
        })
    }
}

impl From<wit::Fault> for Fault {
    fn from(fault: wit::Fault) -> Self {
        match fault {
            wit::Fault::Denied(text) => Fault::Denied(text),
            wit::Fault::InvalidArguments(text) => Fault::InvalidArguments(text),
            wit::Fault::Limit(text) => Fault::Limit(text),
            wit::Fault::Failed(failure) => Fault::Failed(Failure::from_wit(failure)),
            wit::Fault::Stopped(text) => Fault::Stopped(text),
            wit::Fault::Other(text) => Fault::Other(text),
        }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        let message = fault.to_string();
        match fault {
            Fault::Denied(_) => Failure::denied("tool_denied", message),
            // The model did not write these arguments.
            Fault::InvalidArguments(_) => Failure::internal("tool_arguments", message),
            Fault::Limit(_) => Failure::internal("tool_limit", message),
            Fault::Failed(failure) => failure,
            Fault::Stopped(_) => Failure::internal("tool_stopped", message),
            Fault::Other(_) => Failure::internal("tool_fault", message),
        }
    }
}
