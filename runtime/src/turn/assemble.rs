//! The context of a run: assembled at its first use, and held against what its turn began with.

use std::sync::Arc;

use super::backoff::store_waits;
use super::compaction::{Budget, window};
use super::context::{TurnContext, assemble_turn_context};
use super::context_error::ContextError;
use super::executor::Run;
use super::journal::Halt;
use super::stop::Stop;
use crate::driver::FoundDriver;
use crate::tokens::{estimate_tokens, tool_bytes};

impl Run<'_> {
    /// The turn's context, assembled at the first use. None if that is not possible; the turn is
    /// stopped with the reason then.
    pub(super) async fn context(&mut self) -> Result<Option<Arc<TurnContext>>, Halt> {
        if self.context.is_none() {
            match Box::pin(self.assemble()).await {
                Ok(context) => {
                    let state = self.journal.state_mut();
                    state.set_max_iterations(context.runtime_agent.max_iterations);
                    state.set_outside(context.tools.outside().clone());
                    state.set_repetition_rule(context.rules.repetition);
                    state.set_budget(budget(&context));
                    self.context = Some(Arc::new(context));
                }
                Err(ContextError::Runtime(error)) => return Err(Halt::Failed(error)),
                Err(error) => {
                    let stop = Stop::Failed { error_code: error.code().to_owned(), error: error.to_string() };
                    self.journal.state_mut().stop(stop);
                }
            }
        }
        Ok(self.context.clone())
    }

    async fn assemble(&self) -> Result<TurnContext, ContextError> {
        let sources = self.platform.sources();
        let mut waits = store_waits();
        loop {
            let state = self.journal.state();
            match assemble_turn_context(sources, self.key.org, self.key.session, state.messages(), state.pins()).await {
                Err(ContextError::Runtime(error)) if error.is_retryable() => {
                    let Some(pause) = waits.next() else { return Err(error.into()) };
                    tracing::warn!(%error, ?pause, "the context of a turn could not be assembled; trying again");
                    tokio::time::sleep(pause).await;
                }
                done => return self.with_pinned_driver(done?).await,
            }
        }
    }

    /// The context with the driver version that the turn began with, unless it uses another driver
    /// by now.
    async fn with_pinned_driver(&self, mut context: TurnContext) -> Result<TurnContext, ContextError> {
        if let Some(pin) = self.journal.state().driver_pin()
            && pin.id == context.model_with_provider.provider_type.as_str()
            && context.driver.as_ref().and_then(FoundDriver::pin) != Some(pin)
        {
            let driver = self.platform.drivers.pinned_driver(self.key.org, pin).await?;
            context.driver = Some(driver.ok_or_else(|| ContextError::PinGone { id: pin.id.clone(), version: pin.version })?);
        }
        Ok(context)
    }
}

/// When the conversation is compacted, with the figures of the turn's model.
fn budget(context: &TurnContext) -> Option<Budget> {
    let rule = context.rules.compaction.clone()?;
    let agent = &context.runtime_agent;
    let overhead = estimate_tokens(agent.system_prompt.len() + agent.tools.iter().map(tool_bytes).sum::<usize>());
    Some(Budget { window: window(&rule, &context.model_profile), overhead, rule })
}
