//! `everwit:host/random`: the system's randomness, in bounded pieces.

use crate::capability::StopKind;
use crate::mutation::off;
use crate::sandbox::bindings::everwit::host::random;
use crate::sandbox::state::CallState;
use crate::sandbox::trap::Stop;

/// Bytes of one request; as much as Web Crypto gives at once.
pub(in crate::sandbox) const MAX_RANDOM_BYTES: usize = 65_536;

/// Fills `bytes` from the system.
pub(in crate::sandbox) fn fill(bytes: &mut [u8]) -> wasmtime::Result<()> {
    getrandom::fill(bytes).map_err(|error| Stop::new(StopKind::Internal, format!("the system has no randomness: {error}")).into())
}

impl random::Host for CallState {
    async fn bytes(&mut self, count: u32) -> wasmtime::Result<Vec<u8>> {
        self.enter(0).await?;
        let count = count as usize;
        if count > MAX_RANDOM_BYTES && !off("guest.random_bytes") {
            return Err(
                Stop::new(StopKind::HostBytes, format!("{count} random bytes were asked for; {MAX_RANDOM_BYTES} is the most")).into()
            );
        }
        let mut bytes = vec![0; count];
        fill(&mut bytes)?;
        self.leave(count)?;
        Ok(bytes)
    }

    async fn number(&mut self) -> wasmtime::Result<u64> {
        self.enter(0).await?;
        let mut bytes = [0; 8];
        fill(&mut bytes)?;
        self.leave(bytes.len())?;
        Ok(u64::from_le_bytes(bytes))
    }
}
