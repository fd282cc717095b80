//! Every name and rule of the contract for embedders, used the way an embedder uses it. One module
//! a chapter; each test names the rule that it is about.
#![expect(clippy::unwrap_used, reason = "what helpers of tests do may panic like the tests themselves")]

mod backends;
mod composition;
mod drivers;
mod inside;
mod server;
