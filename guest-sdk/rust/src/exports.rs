//! The component's exports, on top of what the macros generate.

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
    fn call(
        context: tools::Context,
        name: String,
        arguments: String,
    ) -> core::result::Result<CallOutput, common::Failure> {
        report_panics();
        match <T as Capability>::call(&context.into(), &name, &arguments) {
            Ok(output) => Ok(output.into()),
            Err(failure) => Err(failure.into()),
        }
    }
}

/// Sends the message of a panic to the host before the trap: the target itself drops it.
fn report_panics() {
    if cfg!(target_family = "wasm") {
        std::panic::set_hook(Box::new(|info| host::log::panicked(&info.to_string())));
    }
}
