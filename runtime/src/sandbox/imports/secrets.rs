//! `everwit:secrets`: handles of granted secrets. A grant binds the name of a secret to a
//! connection, `connection:<provider>`; the guest gets a placeholder, see
//! [`accounts`](crate::sandbox::accounts). Reading a value needs a grant of its own, and is noted in the audit log
//! before the guest gets it.

use secrecy::ExposeSecret as _;
use wasmtime::component::Resource;

use crate::sandbox::accounts::Handle;
use crate::sandbox::bindings::everwit::secrets::{handles, reveal, store};
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

impl reveal::Host for CallState {
    async fn reveal(&mut self, secret: Resource<Secret>) -> wasmtime::Result<Result<Vec<u8>, String>> {
        self.enter(0).await?;
        let handle = self.table.get(&secret)?.0.clone();
        let Self { secrets, subject, org, .. } = self;
        let revealed = match subject.grant.allows_reveal(&handle.name) {
            Ok(()) => secrets.reveal((*org, &subject.component), &handle).await,
            Err(denial) => Err(denial.to_string()),
        };
        let revealed = revealed.map(|value| value.expose_secret().as_bytes().to_vec());
        self.leave(revealed.as_ref().map_or_else(String::len, Vec::len))?;
        Ok(revealed)
    }
}
