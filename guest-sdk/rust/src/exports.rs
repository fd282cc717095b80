//! The component's exports, on top of what the macros generate.

use core::panic::Location;

use crate::bindings::everwit::types::common;
use crate::bindings::everwit::types::tools::CallOutput;
use crate::bindings::exports::everwit::capability::{describe, tools};
use crate::{Context, Description, Output, Result, ToolEntry, host, tool};

/// A capability. [`crate::capability!`] implements it on a type named `ThisCapability`.
pub trait Capability {
    /// The tools, in the order in which a model sees them.
    const TOOLS: &'static [ToolEntry];

    /// Describes the capability, with the schemas of its tools; pure.
    fn describe() -> Description;

    /// Calls a tool with a JSON object of arguments.
    ///
    /// # Errors
    /// What the tool returns; kind "not-found" for an unknown tool, and kind
    /// "invalid-arguments" for arguments that do not fit.
    fn call(context: &Context, name: &str, arguments: &str) -> Result<Output> {
        tool::dispatch(Self::TOOLS, context, name, arguments)
    }
}

impl<T: Capability> describe::Guest for T {
    fn describe() -> describe::Description {
        report_panics();
        <T as Capability>::describe().into()
    }
}

impl<T: Capability> tools::Guest for T {
    fn call(context: tools::Context, name: String, arguments: String) -> core::result::Result<CallOutput, common::Failure> {
        report_panics();
        match <T as Capability>::call(&context.into(), &name, &arguments) {
            Ok(output) => Ok(output.into()),
            Err(failure) => Err(failure.into()),
        }
    }
}

/// Sends the message of a panic to the host before the trap: the target itself drops it.
pub(crate) fn report_panics() {
    if cfg!(target_family = "wasm") {
        std::panic::set_hook(Box::new(|info| {
            let message = info.payload_as_str().unwrap_or("panicked");
            host::log::panicked(&match info.location() {
                Some(place) => format!("{message} (at {})", short(place)),
                None => message.to_owned(),
            });
        }));
    }
}

/// A place in the source with no more of its path than a folder and a file: the rest says
/// where the author's machine keeps things.
fn short(place: &Location<'_>) -> String {
    let file = place.file();
    let start = file.rmatch_indices(['/', '\\']).nth(1).map_or(0, |(at, _)| at + 1);
    format!("{}:{}:{}", &file[start..], place.line(), place.column())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_short() {
        let place = short(Location::caller());
        assert!(place.starts_with("src/exports.rs:"), "{place}");
    }
}
