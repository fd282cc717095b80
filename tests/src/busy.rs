//! A simulated model that has too much to do at first, for the programs that die: a turn rests until it asks again.

use std::fs::File;
use std::path::PathBuf;

use async_trait::async_trait;
use everwit_runtime::PlatformDefinition;
use everwit_runtime::driver::llmsim::{LlmSim, LlmSimConfig};
use everwit_runtime::driver::{ChatDriver, ChatRequest, ChatStream, DriverContext, DriverError, DriverErrorKind, DriverId};

/// How long it wants to be left alone, in milliseconds: longer than it takes to die of what was stored before.
const REST_MS: u64 = 300;

#[derive(Clone)]
struct Busy {
    sim: LlmSim,
    /// Folder with a file for each conversation that was put off.
    marks: PathBuf,
}

/// Has the simulated model follow a script, once it has put each conversation off.
pub(crate) fn register(platform: &mut PlatformDefinition, script: LlmSimConfig, marks: PathBuf) {
    let busy = Busy { sim: LlmSim::new(script), marks };
    platform.driver_registry_mut().register_or_replace(DriverId::LlmSim, move |_| Box::new(busy.clone()));
}

#[async_trait]
impl ChatDriver for Busy {
    async fn complete(&self, request: ChatRequest, context: DriverContext) -> Result<ChatStream, DriverError> {
        let message = request.messages.first().expect("a conversation begins with a message");
        // Whoever creates the file puts the conversation off: once, whoever dies meanwhile.
        if File::create_new(self.marks.join(format!("busy-{}", message.id))).is_ok() {
            let error = DriverError::new(DriverErrorKind::RateLimited, "simulated: too much to do");
            return Err(DriverError { retry_after_ms: Some(REST_MS), ..error });
        }
        self.sim.complete(request, context).await
    }
}
