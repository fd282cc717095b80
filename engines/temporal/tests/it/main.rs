//! The engine on a real Temporal server and PostgreSQL, with servers and workers that are processes and are killed as such.

mod faults;
mod history;
mod site;

everwit_runtime::engine_conformance_tests!(conformance, crate::site::open);
