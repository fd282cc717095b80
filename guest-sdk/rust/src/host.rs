//! The seam between this crate and its host: the component's imports in a guest, the stand-in
//! of [`crate::testing`] in a native test.

#[cfg(target_family = "wasm")]
pub(crate) use crate::bindings::everwit::{
    host::{call, clock, log, random},
    http::client as http,
    kv::store as kv,
    secrets::store as secrets,
};
#[cfg(target_family = "wasm")]
pub(crate) use crate::bindings::reveal::everwit::secrets::reveal;

#[cfg(target_family = "wasm")]
pub(crate) use crate::bindings::{files::everwit::files::store as files, tools::everwit::tools::calls as tools};

#[cfg(not(target_family = "wasm"))]
pub(crate) use crate::testing::imports::{call, clock, files, http, kv, log, random, reveal, secrets, tools};
