//! The imports: one file per interface, each granting exactly one power. All of them work on
//! [`CallState`](super::state::CallState) and reach the outside only through
//! [`Services`](super::state::Services).

pub(super) mod call;
pub(super) mod clock;
pub(super) mod files;
pub(super) mod http;
pub(super) mod kv;
pub(super) mod log;
pub(super) mod random;
pub(super) mod secrets;
pub(super) mod tools;
pub(super) mod wasi;

use super::bindings::everwit::{driver, types};
use super::state::CallState;

// Interfaces of types only have nothing to implement.
impl types::common::Host for CallState {}
impl types::content::Host for CallState {}
impl types::tools::Host for CallState {}
impl types::permissions::Host for CallState {}
impl types::chat::Host for CallState {}
impl driver::config::Host for CallState {}
