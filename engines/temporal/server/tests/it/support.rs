//! The client that the tests of the server use.

#[expect(dead_code, reason = "it is shared with tests that need more of it")]
#[path = "../../../../../tests/tests/it/support/api.rs"]
mod api;
#[path = "../../../../../tests/tests/it/support/interrupted.rs"]
pub(crate) mod interrupted;
#[expect(dead_code, reason = "likewise")]
#[path = "../../../../../tests/tests/it/support/sse.rs"]
mod sse;

pub(crate) use api::Api;
pub(crate) use sse::EventStream;
