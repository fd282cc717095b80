//! What one call carries through the engine: the data of its store.

use std::sync::Arc;
use std::time::Instant;

use tokio_util::sync::CancellationToken;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::accounts::SecretAccess;
use super::imports::{files::FileUse, http::HttpAccess, log::LogCapture, tools::Nested};
use super::ledger::Ledger;
use super::limiter::Limiter;
use super::outlet::Outlets;
use super::trap::Stop;
use crate::capability::{StopKind, ToolSink};
use crate::clock::Clock;
use crate::component::{Effects, Grant, SecretPermission};
use crate::id::OrgId;
use crate::limits::Budget;
use crate::message::ContentPart;
use crate::mutation::off;

/// Data of one call's store. Made for the call and dropped with it.
pub(super) struct CallState {
    pub(super) budget: Budget,
    pub(super) ledger: Ledger,
    pub(super) limiter: Limiter,
    pub(super) log: Arc<LogCapture>,
    /// What the guest said when it panicked.
    pub(super) panic: Option<String>,
    pub(super) call: RunningCall,
    /// Shared with all calls, so that a call costs one count and not one for each service.
    pub(super) services: Arc<Services>,
    /// Who is called.
    pub(super) subject: Arc<Subject>,
    /// For whom.
    pub(super) org: OrgId,
    /// What the tool that is called says it does.
    pub(super) effects: Effects,
    pub(super) http: HttpAccess,
    pub(super) files: FileUse,
    pub(super) nested: Nested,
    pub(super) secrets: SecretAccess,
    pub(super) outlets: Outlets,
    pub(super) table: ResourceTable,
    /// Only for components that import WASI.
    pub(super) wasi: Option<Box<WasiCtx>>,
}

/// The call as the guest can ask about it.
pub(super) struct RunningCall {
    pub(super) started: Instant,
    pub(super) deadline: Instant,
    pub(super) cancel: CancellationToken,
    pub(super) sink: Arc<dyn ToolSink>,
    pub(super) emitted: Vec<ContentPart>,
    pub(super) output_left: u64,
}

impl CallState {
    /// Begins an import that was given `bytes`: charges it, yields if due, starts its clock.
    pub(super) async fn enter(&mut self, bytes: usize) -> wasmtime::Result<()> {
        self.check_copied(bytes)?;
        self.ledger.charge_call(bytes as u64)?;
        self.ledger.yield_if_due().await;
        self.ledger.enter();
        Ok(())
    }

    /// Ends an import that returns `bytes`.
    pub(super) fn leave(&mut self, bytes: usize) -> wasmtime::Result<()> {
        self.ledger.leave();
        self.check_copied(bytes)?;
        Ok(self.ledger.charge_return(bytes as u64)?)
    }

    /// Refuses what is more than one host call may copy. The engine's own limit is coarser: it
    /// holds for results too, which may be larger, and not for what the host returns.
    fn check_copied(&self, bytes: usize) -> Result<(), Stop> {
        let limit = self.budget.host_call_bytes;
        if bytes as u64 <= limit {
            return Ok(());
        }
        Err(Stop::new(StopKind::HostBytes, format!("one host call was to copy {bytes} bytes; {limit} are the most")))
    }

    /// Has everything that leaves the call look for the secrets that it has opened by now.
    pub(super) fn hide_secrets(&mut self) {
        if let Some(scrubber) = self.secrets.scrubber().filter(|_| !off("scrub.leaving")) {
            self.outlets.hide(scrubber);
            self.log.hide(scrubber);
        }
    }

    /// Takes `bytes` from the output limit.
    pub(super) fn take_output(&mut self, bytes: usize) -> Result<(), Stop> {
        match self.call.output_left.checked_sub(bytes as u64) {
            Some(left) => {
                self.call.output_left = left;
                Ok(())
            }
            None => {
                let limit = self.budget.output_bytes;
                Err(Stop::new(StopKind::Output, format!("the result and partial output together are larger than {limit} bytes")))
            }
        }
    }
}

impl WasiView for CallState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let ctx = self.wasi.as_deref_mut().expect("WASI is linked only to components that import it, and those get a context");
        WasiCtxView { ctx, table: &mut self.table }
    }
}

/// A component as its imports see it: whose data it reaches, and what it may.
pub(super) struct Subject {
    /// Its capability id.
    pub(super) component: String,
    pub(super) grant: Grant,
    /// The secrets that it asks for, with host and place.
    pub(super) secrets: Vec<SecretPermission>,
}

/// Everything outside a call that its imports can reach. One place, so that a recording can
/// stand in for all of it.
pub(super) struct Services {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) gateway: Arc<crate::egress::Gateway>,
    pub(super) kv: Arc<dyn crate::store::KvStore>,
}
