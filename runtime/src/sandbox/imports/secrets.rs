//! `everwit:secrets`: handles of granted secrets. No org can store a secret yet, so every name
//! is unavailable, and a component that asks learns what would have to be bound.

use wasmtime::component::Resource;

use crate::sandbox::bindings::everwit::secrets::{handles, store};
use crate::sandbox::state::CallState;

/// A handle. Cannot be made as long as there is nothing to hold.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub enum Secret {}

impl handles::Host for CallState {}

impl handles::HostSecret for CallState {
    async fn token(&mut self, secret: Resource<Secret>) -> wasmtime::Result<String> {
        match *self.table.get(&secret)? {}
    }

    async fn audience(&mut self, secret: Resource<Secret>) -> wasmtime::Result<String> {
        match *self.table.get(&secret)? {}
    }

    async fn drop(&mut self, secret: Resource<Secret>) -> wasmtime::Result<()> {
        match self.table.delete(secret)? {}
    }
}

impl store::Host for CallState {
    async fn open(&mut self, name: String) -> wasmtime::Result<Result<Resource<Secret>, store::Absent>> {
        self.enter(name.len()).await?;
        self.leave(0)?;
        Ok(Err(store::Absent::Unavailable(format!("no secret is bound to {name:?}; bind one when activating the version"))))
    }
}
