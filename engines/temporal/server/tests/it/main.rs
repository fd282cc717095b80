//! Installations as operators have them: a control plane and workers as processes, PostgreSQL and a real Temporal server;
//! and what happens when any of them dies, freezes or is cut off.

mod boundaries;
mod buckets;
mod command;
mod deltas;
mod faults;
mod keys;
mod site;
mod soak;
mod support;
mod workers;
