//! `everwit:host/clock`: time at 1 ms, too coarse to measure caches with.

use crate::sandbox::bindings::everwit::host::clock;
use crate::sandbox::state::CallState;

impl clock::Host for CallState {
    async fn now_ms(&mut self) -> wasmtime::Result<u64> {
        self.enter(0).await?;
        let now = u64::try_from(self.services.clock.now().as_millisecond())?;
        self.leave(8)?;
        Ok(now)
    }

    async fn monotonic_ms(&mut self) -> wasmtime::Result<u64> {
        self.enter(0).await?;
        let elapsed = u64::try_from(self.call.started.elapsed().as_millis())?;
        self.leave(8)?;
        Ok(elapsed)
    }
}
