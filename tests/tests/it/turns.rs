//! Turns from submission to end: recovery, tools, model calls, context, and the engine that
//! runs them.

mod context;
mod engine;
mod faults;
mod model;
mod recovery;
mod rig;
mod tools;
