//! The sandbox.

mod admit;
mod cache;
mod child;
mod compile;
mod engine;
mod gate;

pub use admit::{AdmitError, Compiled, Compiler, Rejection};
pub use cache::ArtifactCache;
pub use child::compile_child_main;
pub use compile::{CHILD_ARGUMENT, CompilerCommand, Lane};
pub use engine::EngineClass;
pub use gate::rule::{RULES, Rule};
pub use gate::{Finding, Inspection, Kind, Producer, inspect};
