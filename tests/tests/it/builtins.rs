//! Built-in capabilities, called as a turn calls them.

mod files;
mod instructions;
mod small;
mod storage;
mod web;

use std::sync::Arc;

use everwit_runtime::capability::{CallError, Capability, Failure, StopKind, ToolCallContext, ToolOutput, ToolServices};
use everwit_runtime::egress::Gateway;
use serde_json::Value;

use crate::support::guests::{call_context, tool_services};

/// A session with one capability.
struct Bench<C> {
    capability: C,
    call: ToolCallContext,
}

impl<C: Capability> Bench<C> {
    fn new(capability: C) -> Self {
        Self { capability, call: call_context() }
    }

    /// The same with another way out.
    fn over(self, egress: Gateway) -> Self {
        let before = tool_services();
        let services = ToolServices {
            backends: before.backends.clone(),
            egress: Arc::new(egress),
            clock: before.clock.clone(),
            ids: before.ids.clone(),
            allowance: before.allowance,
        };
        let call = ToolCallContext { services: Arc::new(services), ..self.call };
        Self { call, ..self }
    }

    fn with_config(self, config: Value) -> Self {
        let call = ToolCallContext { config, ..self.call };
        Self { call, ..self }
    }

    /// Calls a tool with arguments that its schema must accept, as the turn checks them.
    async fn outcome(&self, tool: &str, arguments: Value) -> Result<ToolOutput, CallError> {
        let definition = self.capability.tools().iter().find(|definition| definition.name == tool).expect("the tool exists");
        let schema = jsonschema::validator_for(&definition.input_schema).expect("a schema");
        let problems: Vec<String> = schema.iter_errors(&arguments).map(|error| error.to_string()).collect();
        assert!(problems.is_empty(), "{tool}: {problems:?}");
        self.capability.call_tool(&self.call, tool, arguments).await.result
    }

    async fn ok(&self, tool: &str, arguments: Value) -> Value {
        match self.outcome(tool, arguments).await {
            Ok(output) => output.structured.expect("the result is JSON"),
            Err(error) => panic!("{tool} failed: {error}"),
        }
    }

    async fn failure(&self, tool: &str, arguments: Value) -> Failure {
        match self.outcome(tool, arguments).await {
            Err(CallError::Failed(failure)) => failure,
            other => panic!("{tool} must fail, but gave {other:?}"),
        }
    }

    /// Fails with this code, and says all of these words.
    async fn refuses(&self, tool: &str, arguments: Value, code: &str, words: &[&str]) {
        let failure = self.failure(tool, arguments).await;
        assert_eq!(failure.code, code, "{failure}");
        for word in words {
            assert!(failure.message.contains(word), "{word:?} is not in {failure}");
        }
    }

    async fn is_cancelled(&self, tool: &str, arguments: Value) -> bool {
        matches!(self.outcome(tool, arguments).await, Err(CallError::Stopped(stopped)) if stopped.kind == StopKind::Cancelled)
    }
}
