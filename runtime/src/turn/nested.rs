//! Calls of a turn's tools from within a call: a tool that calls another one. The other one is called
//! as the model would call it, under its own grant and limits; but it cannot wait for anybody
//! outside, and does no more than the calling tool says of itself, because a crash of the call is
//! settled, and the call was approved, by that.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures::FutureExt as _;
use serde_json::Value;

use super::record::panic_message;
use super::risk::{allowed_risk, require_risk};
use super::toolset::Toolset;
use crate::capability::{CallError, NoSink, StopKind, Stopped, ToolCallContext, ToolOutcome};
use crate::component::Effects;
use crate::event::RequestKind;
use crate::mutation::off;

/// How deep calls within a call of the model are.
pub const MAX_NESTED_DEPTH: usize = 3;
/// Calls within one call of the model, those within them included.
pub const MAX_NESTED_CALLS: u32 = 64;

/// What one call may call. Cloning shares what is left.
#[derive(Debug, Clone)]
pub struct NestedCalls {
    tools: Arc<Toolset>,
    /// How many calls are around this one.
    depth: usize,
    /// Of all calls within one call of the model.
    left: Arc<AtomicU32>,
}

/// Why a tool was not called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NestedError {
    /// It may not be called from here; the text says what to do.
    Denied(String),
    /// The arguments do not fit; the text says where.
    InvalidArguments(String),
    /// Too many calls, or too deep.
    Limit(String),
    /// It is not known whether it may be called.
    Unavailable(String),
}

impl NestedCalls {
    /// For one call of the model.
    pub fn new(tools: Arc<Toolset>) -> Self {
        Self { tools, depth: 0, left: Arc::new(AtomicU32::new(MAX_NESTED_CALLS)) }
    }

    /// How many calls are around the one that has this.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Calls a tool by `capability/tool`. `number` tells this call from others of the calling tool, which is
    /// in `caller` and says `effects` of itself.
    ///
    /// # Errors
    /// If nothing was called. What became of a call is in its outcome.
    pub async fn call(
        &self,
        caller: &ToolCallContext,
        effects: Effects,
        number: u32,
        (name, arguments): (&str, Value),
    ) -> Result<ToolOutcome, NestedError> {
        if self.depth >= MAX_NESTED_DEPTH && !off("nested.depth") {
            return Err(NestedError::Limit(format!("{name} is not called: calls within calls are at most {MAX_NESTED_DEPTH} levels deep")));
        }
        let found = self.tools.by_capability(name);
        let (offered, tool) = found
            .ok_or_else(|| NestedError::Denied(format!("the turn has no tool {name:?}; give the agent the capability that has it")))?;
        if let Some(kind) = self.tools.outside().get(offered).filter(|_| !off("nested.outside")) {
            return Err(NestedError::Denied(format!(
                "{name} {}, and a tool cannot wait for that; let the model call it",
                waits_for(*kind)
            )));
        }
        if !effects.cover(tool.definition.effects) && !off("nested.effects") {
            let (says, does) = (effects.words(), tool.definition.effects.words());
            let text = format!("{name} is declared {does}, and the calling tool {says}: declare the calling tool as what it calls");
            return Err(NestedError::Denied(text));
        }
        let risk = std::iter::once(tool.capability.risk_level());
        let allowed = allowed_risk(&*caller.services.backends.setup_store, caller.org_id, risk).await.map_err(|error| {
            tracing::error!(%error, "what risk an org allows could not be read, so a tool was not called");
            NestedError::Unavailable("what risk the org allows could not be read; the tool was not called".to_owned())
        })?;
        if !off("nested.risk") {
            require_risk(&*tool.capability, allowed).map_err(|beyond| NestedError::Denied(format!("{beyond}; the tool was not called")))?;
        }
        tool.check(&arguments).map_err(NestedError::InvalidArguments)?;
        self.count(name)?;
        let call = ToolCallContext {
            idempotency_key: format!("{}/{number}", caller.idempotency_key),
            config: tool.config.clone(),
            cancel: caller.cancel.child_token(),
            sink: Arc::new(NoSink),
            nested: Some(Self { depth: self.depth + 1, ..self.clone() }),
            ..caller.clone()
        };
        let called = AssertUnwindSafe(tool.capability.call_tool(&call, &tool.definition.name, arguments)).catch_unwind().await;
        Ok(called.unwrap_or_else(|panic| {
            let stopped = Stopped::new(StopKind::Internal, panic_message(panic.as_ref()));
            ToolOutcome::native(Err(CallError::Stopped(stopped)))
        }))
    }

    fn count(&self, name: &str) -> Result<(), NestedError> {
        let taken = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if taken.is_err() && !off("nested.calls") {
            let text = format!("{name} is not called: one call of the model makes at most {MAX_NESTED_CALLS} calls of other tools");
            return Err(NestedError::Limit(text));
        }
        Ok(())
    }
}

fn waits_for(kind: RequestKind) -> &'static str {
    match kind {
        RequestKind::ClientSide => "is executed by the client",
        RequestKind::Question => "asks a person",
        RequestKind::Approval => "needs a person's approval",
        RequestKind::Connection => "needs a connection of the user",
    }
}
