//! `everwit:tools/calls`: calls of other tools of the turn, as far as the grant goes.

use crate::capability::{CallError, ToolOutcome};
use crate::component::NestedCall;
use crate::sandbox::bindings::everwit::tools::calls::{self, CallOutput, Fault};
use crate::sandbox::convert;
use crate::sandbox::state::CallState;
use crate::turn::NestedError;

/// The calls that one call has made of other tools.
#[derive(Default)]
pub(in crate::sandbox) struct Nested {
    /// How many were asked for, called or not: the number of each is part of its idempotency key.
    asked: u32,
    /// Those that were called, with the calls within them.
    pub(in crate::sandbox) made: Vec<NestedCall>,
}

impl CallState {
    async fn call_other(&mut self, name: &str, arguments: String) -> Result<CallOutput, Fault> {
        self.nested.asked = self.nested.asked.saturating_add(1);
        self.subject.grant.allows_tool(name).map_err(|denied| Fault::Denied(denied.to_string()))?;
        let account = self.secrets.account().cloned();
        let Some((caller, nested)) = account.as_ref().and_then(|account| Some((&account.call, account.call.nested.as_ref()?))) else {
            return Err(Fault::Denied("this call belongs to no turn, so there are no other tools".to_owned()));
        };
        // Arguments leave the call.
        let arguments = convert::json("arguments", &self.outlets.word(arguments)).map_err(Fault::InvalidArguments)?;
        let started = self.services.clock.steady();
        let called = nested.call(caller, self.effects, self.nested.asked, (name, arguments)).await;
        let outcome = called.map_err(|refused| match refused {
            NestedError::Denied(text) => Fault::Denied(text),
            NestedError::InvalidArguments(text) => Fault::InvalidArguments(text),
            NestedError::Limit(text) => Fault::Limit(text),
            NestedError::Unavailable(text) => Fault::Other(text),
        })?;
        let micros = u64::try_from(self.services.clock.steady().saturating_sub(started).as_micros()).unwrap_or(u64::MAX);
        self.note(name, &outcome, micros);
        for line in &outcome.logs {
            tracing::debug!(tool = name, level = line.level, "guest: {}", line.message);
        }
        match outcome.result {
            Ok(output) => Ok(convert::call_output(output)),
            Err(CallError::Failed(failure)) => Err(Fault::Failed(convert::wit_failure(failure))),
            Err(CallError::Stopped(stopped)) => Err(Fault::Stopped(stopped.to_string())),
            Err(CallError::ConnectionRequired { provider }) => {
                // If this call fails for it, its turn waits until the user has connected.
                let text = format!("the user has to connect with {provider:?} first");
                self.secrets.needs(provider);
                Err(Fault::Denied(text))
            }
        }
    }

    /// Keeps what a call used for the receipt.
    fn note(&mut self, name: &str, outcome: &ToolOutcome, micros: u64) {
        let receipt = outcome.receipt.as_ref();
        self.nested.made.push(NestedCall {
            tool: name.to_owned(),
            version: receipt.and_then(|receipt| receipt.version),
            success: outcome.result.is_ok(),
            error_kind: outcome.result.as_ref().err().map(|error| error.kind().to_owned()),
            fuel: receipt.map_or(0, |receipt| receipt.usage.fuel),
            micros,
        });
        self.nested.made.extend(receipt.into_iter().flat_map(|receipt| receipt.calls.iter().cloned()));
    }
}

/// Refuses a result that is larger than what one host call may copy.
fn fits(output: CallOutput, most: u64) -> Result<(CallOutput, usize), Fault> {
    let bytes = convert::output_bytes(&output);
    if bytes as u64 > most {
        return Err(Fault::Limit(format!("the result has {bytes} bytes; one host call copies at most {most}")));
    }
    Ok((output, bytes))
}

impl calls::Host for CallState {
    async fn call(&mut self, name: String, arguments: String) -> wasmtime::Result<Result<CallOutput, Fault>> {
        self.enter(name.len() + arguments.len()).await?;
        let result = self.call_other(&name, arguments).await;
        let fitting = result.and_then(|output| fits(output, self.budget.host_call_bytes));
        self.leave(fitting.as_ref().map_or(0, |(_, bytes)| *bytes))?;
        Ok(fitting.map(|(output, _)| output))
    }
}
