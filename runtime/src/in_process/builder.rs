//! What a runtime is made of.

use std::sync::Arc;
use std::time::Duration;

use super::build;
use super::lock::ConcurrentTurns;
use super::problem::BuildError;
use super::runtime::InProcessRuntime;
use super::seed::{SeededFile, Seeds};
use super::single::SingleSession;
use crate::agent::Agent;
use crate::capability::{Capability, CapabilityRegistry};
use crate::clock::Clock;
use crate::driver::llmsim::LlmSimConfig;
use crate::driver::{DriverRegistry, ResolvedModel};
use crate::egress::Gateway;
use crate::harness::Harness;
use crate::id::{IdSource, SessionId};
use crate::limits::DEFAULT_WAIT_SECONDS;
use crate::platform::PlatformDefinition;
use crate::session::Session;
use crate::store::RuntimeBackends;

/// Turns of different sessions that run at once if the embedder does not say.
const DEFAULT_CONCURRENT_TURNS: usize = 64;

/// Builds an [`InProcessRuntime`]. The order of the calls does not matter; of two calls that set
/// the same thing, the last one counts.
pub struct InProcessRuntimeBuilder {
    pub(super) definition: PlatformDefinition,
    pub(super) drivers: Option<DriverRegistry>,
    pub(super) capabilities: Vec<Arc<dyn Capability>>,
    pub(super) model: ModelChoice,
    pub(super) hosting: Hosting,
    pub(super) turns: TurnLimits,
    pub(super) seeds: Seeds,
    #[cfg(feature = "sandbox")]
    pub(super) components: super::component::Components,
}

/// Which model answers.
#[derive(Default)]
pub(super) struct ModelChoice {
    pub(super) simulator: Option<LlmSimConfig>,
    pub(super) default: Option<ResolvedModel>,
}

/// What the runtime stands on; the defaults are made at the end, because some cost time.
#[derive(Default)]
pub(super) struct Hosting {
    pub(super) backends: Option<RuntimeBackends>,
    pub(super) clock: Option<Arc<dyn Clock>>,
    pub(super) ids: Option<Arc<dyn IdSource>>,
    pub(super) egress: Option<Arc<Gateway>>,
}

/// How many turns at once, what happens beyond, and how long they wait.
pub(super) struct TurnLimits {
    pub(super) concurrent: usize,
    pub(super) wait: Duration,
    pub(super) same_session: ConcurrentTurns,
}

impl Default for InProcessRuntimeBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl InProcessRuntimeBuilder {
    /// Starts with the built-in capabilities (if the feature `builtins` is on), no drivers, stores
    /// in memory, the system's clock and random ids.
    pub fn new() -> Self {
        #[cfg(feature = "builtins")]
        let capabilities = CapabilityRegistry::with_builtins();
        #[cfg(not(feature = "builtins"))]
        let capabilities = CapabilityRegistry::new();
        Self {
            definition: PlatformDefinition::new(capabilities, DriverRegistry::new()),
            drivers: None,
            capabilities: Vec::new(),
            model: ModelChoice::default(),
            hosting: Hosting::default(),
            turns: TurnLimits {
                concurrent: DEFAULT_CONCURRENT_TURNS,
                wait: Duration::from_secs(DEFAULT_WAIT_SECONDS),
                same_session: ConcurrentTurns::default(),
            },
            seeds: Seeds::default(),
            #[cfg(feature = "sandbox")]
            components: super::component::Components::default(),
        }
    }

    /// Sets all capabilities, drivers, connection providers and harness templates; the templates
    /// become harnesses.
    #[must_use]
    pub fn platform_definition(self, definition: PlatformDefinition) -> Self {
        Self { definition, ..self }
    }

    /// Adds a capability, in place of one of the definition with the same id.
    #[must_use]
    pub fn capability(mut self, capability: impl Capability + 'static) -> Self {
        self.capabilities.push(Arc::new(capability));
        self
    }

    /// Sets all drivers, in place of the definition's.
    #[must_use]
    pub fn driver_registry(self, drivers: DriverRegistry) -> Self {
        Self { drivers: Some(drivers), ..self }
    }

    /// Adds the simulated model, in place of one that is registered. Without a default model it
    /// becomes that, as `llmsim-model`.
    #[must_use]
    pub fn llm_sim(mut self, config: LlmSimConfig) -> Self {
        self.model.simulator = Some(config);
        self
    }

    /// Sets the model of all turns.
    #[must_use]
    pub fn default_model(mut self, model: ResolvedModel) -> Self {
        self.model.default = Some(model);
        self
    }

    /// Sets stores and event bus. What they have already stays as it is: of what this builder is to
    /// add, nothing replaces a stored thing with the same id.
    #[must_use]
    pub fn backends(mut self, backends: RuntimeBackends) -> Self {
        self.hosting.backends = Some(backends);
        self
    }

    /// Adds a harness.
    #[must_use]
    pub fn harness(mut self, harness: Harness) -> Self {
        self.seeds.harnesses.push(harness);
        self
    }

    /// Adds an agent.
    #[must_use]
    pub fn agent(mut self, agent: Agent) -> Self {
        self.seeds.agents.push(agent);
        self
    }

    /// Adds a session.
    #[must_use]
    pub fn session(mut self, session: Session) -> Self {
        self.seeds.sessions.push(session);
        self
    }

    /// Adds a session with a harness of its own, and maybe an agent; it becomes
    /// [`InProcessRuntime::default_session_id`]. If the store has a harness or an agent with the
    /// given name, that one is used.
    #[must_use]
    pub fn single_session(mut self, configure: impl FnOnce(SingleSession) -> SingleSession) -> Self {
        self.seeds.single = Some(configure(SingleSession::default()));
        self
    }

    /// Adds a text file to a session, before anything is said in it. What the session has at this path
    /// already stays.
    #[must_use]
    pub fn seed_text_file(mut self, session: SessionId, path: impl Into<String>, text: impl Into<String>) -> Self {
        self.seeds.files.push(SeededFile { session, path: path.into(), text: text.into() });
        self
    }

    /// Sets what happens to a turn whose session has one already. Default:
    /// [`ConcurrentTurns::Wait`].
    #[must_use]
    pub fn concurrent_turns(mut self, concurrent: ConcurrentTurns) -> Self {
        self.turns.same_session = concurrent;
        self
    }

    /// Sets how many turns of different sessions run at once; further ones wait. Default: 64.
    #[must_use]
    pub fn max_concurrent_turns(mut self, most: usize) -> Self {
        self.turns.concurrent = most;
        self
    }

    /// Sets how long a turn waits for somebody outside before it goes on without. Default: a week.
    #[must_use]
    pub fn wait_limit(mut self, limit: Duration) -> Self {
        self.turns.wait = limit;
        self
    }

    /// Sets the one way to the network, for tools, drivers and components. Default: a gateway to
    /// public addresses.
    #[must_use]
    pub fn egress(mut self, gateway: Arc<Gateway>) -> Self {
        self.hosting.egress = Some(gateway);
        self
    }

    /// Sets the source of time.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.hosting.clock = Some(clock);
        self
    }

    /// Sets the source of ids.
    #[must_use]
    pub fn ids(mut self, ids: Arc<dyn IdSource>) -> Self {
        self.hosting.ids = Some(ids);
        self
    }

    /// Checks everything, stores what was added, and makes the runtime. Nothing is stored if
    /// anything is wrong.
    ///
    /// # Errors
    /// `Invalid` with all problems at once; `Runtime` if a store, the gateway or the sandbox fails.
    pub async fn build(self) -> Result<InProcessRuntime, BuildError> {
        Box::pin(build::build(self)).await
    }
}
