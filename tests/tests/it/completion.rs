//! The path of a completion, with a codec and a vendor of the tests' own: what goes over the wire,
//! what comes back, and what is refused. Everything runs over pipes inside this process, and time
//! is paused.

mod path;
mod retry;
mod reuse;
mod safety;
mod tokens;
mod vendor;
