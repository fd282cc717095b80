//! Turns from submission to end: recovery, tools, model calls, context, and the engine that
//! runs them.
#![expect(clippy::unwrap_used, reason = "what helpers of tests do may panic like the tests themselves")]

mod budgets;
mod clocks;
mod context;
mod engine;
mod faults;
mod follow_ups;
mod history;
mod model;
mod outside;
mod properties;
mod recovery;
mod report;
pub(crate) mod rig;
mod risk;
mod rules;
pub(crate) mod secrets;
mod spending;
mod tools;
mod waits;
