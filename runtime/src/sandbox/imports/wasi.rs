//! WASI 0.2 for language runtimes that import it at load. The context is empty: no environment,
//! no arguments, no directory, no network. Clocks, randomness and output are ours, so that there
//! is one source of each: time is coarse, output goes to the component's log.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand_core::TryRng;
use tokio::io::AsyncWrite;
use wasmtime::{CallHook, StoreContextMut};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxBuilder};

use super::log::{LogCapture, Stream};
use super::random::{self, MAX_RANDOM_BYTES};
use crate::clock::Clock;
use crate::sandbox::state::CallState;

/// Bytes that one write to standard output may have.
const MAX_WRITE_BYTES: usize = 4_096;
/// Resolution of the clocks.
const RESOLUTION: Duration = Duration::from_millis(1);

/// A context with nothing in it but time, randomness and the log.
pub(in crate::sandbox) fn context(clock: Arc<dyn Clock>, started: Instant, log: &Arc<LogCapture>) -> WasiCtx {
    let mut builder = WasiCtxBuilder::new();
    builder
        .wall_clock(WallClock(clock))
        .monotonic_clock(MonotonicClock(started))
        .secure_random(SystemRandom)
        .insecure_random(SystemRandom)
        .insecure_random_seed(0)
        .max_random_size(MAX_RANDOM_BYTES as u64)
        .stdout(Output { log: log.clone(), stream: Stream::Output })
        .stderr(Output { log: log.clone(), stream: Stream::Error })
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false);
    builder.build()
}

struct WallClock(Arc<dyn Clock>);

impl HostWallClock for WallClock {
    fn resolution(&self) -> Duration {
        RESOLUTION
    }

    fn now(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.now().as_millisecond()).unwrap_or(0))
    }
}

struct MonotonicClock(Instant);

impl HostMonotonicClock for MonotonicClock {
    fn resolution(&self) -> u64 {
        u64::try_from(RESOLUTION.as_nanos()).unwrap_or(u64::MAX)
    }

    fn now(&self) -> u64 {
        let resolution = self.resolution();
        // One tick ahead: Go's runtime takes zero for a clock that does not work, and ends.
        (u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX / 2) / resolution + 1) * resolution
    }
}

struct SystemRandom;

impl TryRng for SystemRandom {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        random::fill(bytes).expect("the system's random source works once the process has started");
        Ok(())
    }
}

/// Standard output or error of a guest: each line is one of its log.
struct Output {
    log: Arc<LogCapture>,
    stream: Stream,
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // Only WASI 0.3 asks for this; the linker has none of it.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(Self { log: self.log.clone(), stream: self.stream })
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.log.write(self.stream, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(MAX_WRITE_BYTES)
    }
}

/// Accounts for WASI calls, whose code is not ours: charges and times every host call of a
/// component that imports WASI, and yields when due.
pub(in crate::sandbox) struct Meter;

#[wasmtime_wasi::async_trait]
impl wasmtime::CallHookHandler<CallState> for Meter {
    async fn handle_call_event(&self, mut store: StoreContextMut<'_, CallState>, event: CallHook) -> wasmtime::Result<()> {
        let state = store.data_mut();
        match event {
            CallHook::CallingHost => state.ledger.enter(),
            CallHook::ReturningFromHost => {
                state.ledger.leave();
                let written = state.log.take_written();
                state.ledger.charge_call(written)?;
                state.ledger.yield_if_due().await;
            }
            CallHook::CallingWasm | CallHook::ReturningFromWasm => {}
        }
        Ok(())
    }
}
