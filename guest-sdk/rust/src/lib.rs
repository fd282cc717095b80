//! Write Everwit capabilities in Rust: a documented function becomes a tool, a crate becomes
//! a sandboxed component.
//!
//! ```
//! use everwit_guest::prelude::*;
//!
//! /// Adds two numbers.
//! #[tool(read_only)]
//! fn add(
//!     /// First addend
//!     a: f64,
//!     /// Second addend
//!     b: f64,
//! ) -> Result<f64> {
//!     Ok(a + b)
//! }
//!
//! capability! { id: "calc", title: "Calculator", summary: "Adds numbers.", tools: [add] }
//! # fn main() {}
//! ```
//!
//! Build it as a `cdylib` for `wasm32-unknown-unknown`. What the component can reach is what
//! it imports, and it imports only the modules it uses: [`log`], [`clock`] and [`random`] are
//! there for every capability; [`call`], [`kv`], [`files`], [`http`], [`secrets`] and [`tools`] are grants.
//!
//! One instance serves one call. Statics are fresh in each, so whatever has to last goes to
//! [`kv`]. A panic ends the call and its message becomes the failure's message; what can be
//! expected to go wrong is returned as a [`Failure`].
//!
//! Not here: reading the environment, a machine's files or sockets (the target has none), and threads.

#[cfg(all(feature = "allocator", target_arch = "wasm32", not(target_feature = "atomics")))]
mod arena;
#[doc(hidden)]
pub mod bindings;
mod context;
mod description;
mod exports;
mod failure;
mod host;
mod output;
mod schema;
mod tool;

pub mod call;
pub mod clock;
pub mod connection;
pub mod driver;
pub mod files;
pub mod http;
pub mod kv;
pub mod log;
pub mod random;
pub mod secrets;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
pub mod tools;

pub use everwit_guest_macros::{capability, tool};
pub use {schemars, serde, serde_json};

pub use crate::context::Context;
pub use crate::description::{Description, HttpPermission, Permissions, SecretPermission, ToolDescription};
pub use crate::exports::Capability;
pub use crate::failure::{Failure, Result};
pub use crate::output::{IntoOutput, Json, Output, Part};
pub use crate::tool::{Effects, Tool, ToolEntry};

/// What almost every capability uses.
pub mod prelude {
    pub use crate::{Context, Failure, Output, Part, Result, capability, tool};
}

/// What the macros expand to. No part of the public interface.
#[doc(hidden)]
pub mod __private {
    pub use schemars;
    pub use serde;

    pub use crate::bindings;
    pub use crate::bindings::export_capability;
    pub use crate::schema::{of as schema_of, output as output_schema};
    pub use crate::tool::{ToolResult, finish};
}
