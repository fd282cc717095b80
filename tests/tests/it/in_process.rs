//! The runtime inside another program: what it refuses to be built from, who may run a turn when,
//! what listeners see, and components.
#![expect(clippy::unwrap_used, reason = "what helpers of tests do may panic like the tests themselves")]

mod build;
mod components;
mod crates;
mod turns;
mod waiting;
