//! `everwit:secrets`: handles of granted secrets. A grant binds the name of a secret to a
//! connection, `connection:<provider>`; the guest gets a placeholder, see
//! [`accounts`](crate::sandbox::accounts).

use wasmtime::component::Resource;

use crate::sandbox::accounts::Handle;
use crate::sandbox::bindings::everwit::secrets::{handles, store};
use crate::sandbox::state::CallState;

/// A handle.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Secret(Handle);

impl handles::Host for CallState {}

impl handles::HostSecret for CallState {
    async fn token(&mut self, secret: Resource<Secret>) -> wasmtime::Result<String> {
        self.enter(0).await?;
        let token = self.table.get(&secret)?.0.token.clone();
        self.leave(token.len())?;
        Ok(token)
    }

    async fn audience(&mut self, secret: Resource<Secret>) -> wasmtime::Result<String> {
        self.enter(0).await?;
        let audience = self.table.get(&secret)?.0.audience.clone();
        self.leave(audience.len())?;
        Ok(audience)
    }

    async fn drop(&mut self, secret: Resource<Secret>) -> wasmtime::Result<()> {
        self.table.delete(secret)?;
        Ok(())
    }
}

impl store::Host for CallState {
    async fn open(&mut self, name: String) -> wasmtime::Result<Result<Resource<Secret>, store::Absent>> {
        self.enter(name.len()).await?;
        let Self { secrets, subject, org, .. } = self;
        let opened = match secrets.open(subject, *org, &name).await {
            Ok(handle) => Ok(self.table.push(Secret(handle))?),
            Err(text) => Err(store::Absent::Unavailable(text)),
        };
        self.hide_secrets();
        self.leave(0)?;
        Ok(opened)
    }
}
