//! Capabilities: named units of tools and prompt contributions. Native ones implement
//! [`Capability`] themselves; a component becomes one through the sandbox's adapter.

#[cfg(feature = "builtins")]
mod builtin;
mod config;
mod outcome;
mod registry;
mod rules;
mod services;

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

#[cfg(feature = "builtins")]
pub use builtin::{
    AgentInstructionsCapability, AskUserCapability, CompactionCapability, CurrentTimeCapability, LoopDetectionCapability, NoopCapability,
    SessionCapability, SessionFileSystemCapability, SessionStorageCapability, StatelessTodoListCapability, TestMathCapability,
    TestWeatherCapability, ToolApprovalCapability, WebFetchCapability,
};
pub use config::{REDACTED, has_secrets, redact_config, restore_config};
pub use outcome::{CallError, Failure, LogLine, StopKind, Stopped, ToolOutcome, ToolOutput};
pub use registry::CapabilityRegistry;
pub use rules::{CompactionRule, RepetitionRule, TurnRules};
pub use services::ToolServices;

use crate::component::Effects;
use crate::connection::ConnectionCredential;
use crate::error::Error;
use crate::event::PinnedCapability;
use crate::harness::VersionChoice;
use crate::id::{OrgId, SessionId, TurnId};
use crate::message::ContentPart;
use crate::store::RuntimeBackends;

/// A tool as a capability defines it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ToolDefinition {
    /// Name within the capability: `[a-z][a-z0-9_]*`, at most 64 bytes.
    pub name: String,
    /// Short name for people.
    pub title: String,
    /// What it does and when to use it.
    pub description: String,
    /// JSON Schema of the arguments object.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub input_schema: Value,
    /// What it may do to the world.
    pub effects: Effects,
}

impl ToolDefinition {
    /// A tool whose calls must not be repeated, with its name as its title.
    pub fn new(name: impl Into<String>, description: impl Into<String>, input_schema: Value) -> Self {
        let name = name.into();
        Self { title: name.clone(), name, description: description.into(), input_schema, effects: Effects::default() }
    }

    /// The same with a name for people.
    #[must_use]
    pub fn with_title(self, title: impl Into<String>) -> Self {
        Self { title: title.into(), ..self }
    }

    /// The same with other effects.
    #[must_use]
    pub fn with_effects(self, effects: Effects) -> Self {
        Self { effects, ..self }
    }

    /// The same, changing nothing: its calls may be repeated after a crash.
    #[must_use]
    pub fn read_only(self) -> Self {
        self.with_effects(Effects { read_only: true, ..Effects::default() })
    }
}

/// How much harm a capability can do when a model misuses it. Only admins of an org assign what is
/// high, and an org may set a level beyond which its turns use nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum RiskLevel {
    /// Reads, or changes nothing but the session's own data.
    Low,
    /// Reaches outside the session within narrow bounds.
    Medium,
    /// Reaches outside, or changes what others rely on.
    High,
}

impl RiskLevel {
    /// Its text form.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// Who settles the calls of a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettledBy {
    /// The capability that has it.
    Capability,
    /// The client of the session, which executes it.
    Client,
    /// A person, who answers it.
    Person,
}

/// A tool as an agent has it, for rules about the tools of other capabilities.
#[derive(Debug, Clone, Copy)]
pub struct OfferedToolInfo<'a> {
    /// Name as models know it.
    pub name: &'a str,
    /// Id of the capability that has it.
    pub capability_id: &'a str,
    /// What it may do to the world.
    pub effects: Effects,
}

/// A named unit that an agent can be given. Implementations hold no state of a conversation:
/// one value serves all sessions at once.
#[async_trait]
pub trait Capability: Send + Sync {
    /// Id: `[a-z0-9]+(-[a-z0-9]+)*`, or with underscores for built-ins; lower case.
    fn id(&self) -> &str;

    /// Name for people.
    fn name(&self) -> &str;

    /// What it is for.
    fn description(&self) -> &str;

    /// Addition to the system prompt of agents that have it.
    fn system_prompt_addition(&self) -> Option<&str> {
        None
    }

    /// The same if it depends on the session; asked for when the context of a turn is assembled. What
    /// is longer than [`crate::limits::MAX_PROMPT_CONTRIBUTION_BYTES`] is cut, with a note.
    ///
    /// # Errors
    /// Those that pass are tried again; any other fails the turn.
    async fn prompt_contribution(&self, _context: &PromptContext<'_>) -> Result<Option<String>, Error> {
        Ok(self.system_prompt_addition().map(str::to_owned))
    }

    /// What it has to say about the course of turns. Where several capabilities have a rule of one
    /// kind, the last one holds: dependents come behind what they depend on.
    fn turn_rules(&self, _config: &Value) -> TurnRules {
        TurnRules::default()
    }

    /// Its tools.
    fn tools(&self) -> &[ToolDefinition] {
        &[]
    }

    /// Ids of capabilities that come with it.
    fn dependencies(&self) -> &[String] {
        &[]
    }

    /// JSON Schema of its configuration; none accepts anything. What it marks with
    /// `"writeOnly": true` is kept out of reports and of the answers of an API, see [`redact_config`].
    fn config_schema(&self) -> Option<&Value> {
        None
    }

    /// Checks a configuration that the schema accepts for what a schema cannot say. Called when a
    /// configuration is written and when a turn begins; must not block.
    ///
    /// # Errors
    /// What is wrong with it, as sentences for the person who wrote it. They must not quote what the
    /// schema marks as a secret.
    fn validate_config(&self, _config: &Value) -> Result<(), Vec<String>> {
        Ok(())
    }

    /// What clients show or switch on when an agent has it, for example `file_system`.
    fn features(&self) -> &[String] {
        &[]
    }

    /// How much harm it can do when a model misuses it.
    fn risk_level(&self) -> RiskLevel {
        RiskLevel::Low
    }

    /// The name under which models know one of its tools. Built-in tools keep their own names;
    /// components put their id in front, so that a stranger's tool never takes another's name.
    fn offered_name(&self, tool: &str) -> String {
        tool.to_owned()
    }

    /// Who settles calls of a tool. Calls of tools that are not the capability's own to settle
    /// never reach [`Self::call_tool`]: the turn waits for their results instead.
    fn settled_by(&self, _tool: &str) -> SettledBy {
        SettledBy::Capability
    }

    /// Holds a person's answer to a call of a tool that is [`SettledBy::Person`] against what the call
    /// asks, before it is stored.
    ///
    /// # Errors
    /// Everything that does not fit.
    fn check_answer(&self, _tool: &str, _arguments: &Value, _answer: &Value) -> Result<(), Vec<AnswerProblem>> {
        Ok(())
    }

    /// Checks what a schema cannot say about the arguments of a call, before anybody is asked about it
    /// or executes it. The error is a sentence for the model.
    fn check_arguments(&self, _tool: &str, _arguments: &Value) -> Result<(), String> {
        Ok(())
    }

    /// Whether calls of a tool, its own or another capability's, wait for a person's approval.
    /// `config` is the agent's configuration of this capability.
    fn requires_approval(&self, _config: &Value, _tool: &OfferedToolInfo<'_>) -> bool {
        false
    }

    /// What a turn records about it, so that it can find the same again after a crash.
    fn pin(&self) -> PinnedCapability {
        PinnedCapability { id: self.id().to_owned(), version: None, digest: None }
    }

    /// Calls a tool. `arguments` is valid against the tool's schema. Must return promptly once
    /// `call.cancel` fires; being dropped ends the call too.
    async fn call_tool(&self, call: &ToolCallContext, tool: &str, arguments: Value) -> ToolOutcome;
}

/// Where a turn finds capabilities: the platform's own, then the org's active components.
#[async_trait]
pub trait CapabilitySource: Send + Sync {
    /// Finds a capability by id; none if the org has no such capability. Built-in ids win.
    ///
    /// # Errors
    /// Those of the store and the sandbox.
    async fn find(&self, org: OrgId, id: &str) -> Result<Option<Arc<dyn Capability>>, Error>;

    /// Finds the version of a component that somebody asks for, whatever is active; or says as a sentence
    /// why it cannot be used.
    ///
    /// # Errors
    /// Those of the store and the sandbox.
    async fn find_chosen(&self, org: OrgId, id: &str, choice: &VersionChoice) -> Result<Result<Arc<dyn Capability>, String>, Error> {
        Ok(Err(match self.find(org, id).await? {
            Some(_) => format!("capability {id:?} has no versions, so there is no {choice} of it; name it without"),
            None => format!("there is no capability {id:?}"),
        }))
    }

    /// Finds exactly what a turn pinned at its start, whatever is active by now.
    ///
    /// # Errors
    /// Those of the store and the sandbox.
    async fn find_pinned(&self, org: OrgId, pin: &PinnedCapability) -> Result<Option<Arc<dyn Capability>>, Error>;
}

/// Where an answer does not fit what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerProblem {
    /// JSON Pointer into the answer; empty for the whole of it.
    pub place: String,
    /// What is wrong there, as a sentence for who answers.
    pub problem: String,
}

/// Circumstances of an addition to a prompt.
#[derive(Clone, Copy)]
pub struct PromptContext<'a> {
    /// Tenant.
    pub org_id: OrgId,
    /// Session; nil for the preview of a draft, which has none.
    pub session_id: SessionId,
    /// The agent's configuration of the capability.
    pub config: &'a Value,
    /// Language of the user.
    pub locale: Option<&'a str>,
    /// Stores; for native capabilities.
    pub backends: &'a RuntimeBackends,
}

/// Circumstances of one tool call.
#[derive(Clone)]
pub struct ToolCallContext {
    /// Tenant.
    pub org_id: OrgId,
    /// Session.
    pub session_id: SessionId,
    /// Whether there is such a session. A call outside of any has an id of its own, and nothing is kept under it.
    pub has_session: bool,
    /// Turn.
    pub turn_id: TurnId,
    /// Same for every execution of the same tool call, also after a crash.
    pub idempotency_key: String,
    /// The agent's configuration of the capability.
    pub config: Value,
    /// Language of the user.
    pub locale: Option<String>,
    /// Fires when the turn is cancelled.
    pub cancel: CancellationToken,
    /// Where progress and partial output go.
    pub sink: Arc<dyn ToolSink>,
    /// What native tools work with; components have their imports instead.
    pub services: Arc<ToolServices>,
}

impl ToolCallContext {
    /// The credential with which the tool acts on behalf of the session's user at a third party: a
    /// secret of the session, or else the user's connection.
    ///
    /// # Errors
    /// `ConnectionRequired`, to be returned as it is, if there is none yet: the turn waits until the
    /// user has connected, and the call is executed again. `Failed` if it cannot be had otherwise.
    pub async fn connection(&self, provider: &str) -> Result<ConnectionCredential, CallError> {
        let failed =
            |code: &str, message: String, retryable| CallError::Failed(Failure { retryable, ..Failure::new("upstream", code, message) });
        let Some(resolver) = &self.services.backends.connection_resolver else {
            return Err(failed("no_connections", "this host connects no accounts".to_owned(), false));
        };
        match resolver.connection(self.org_id, self.session_id, provider).await {
            Ok(Some(credential)) => Ok(credential),
            Ok(None) => Err(CallError::ConnectionRequired { provider: provider.to_lowercase() }),
            Err(error) => Err(failed("connection_unavailable", error.to_string(), error.is_retryable())),
        }
    }
}

/// Receives what a running tool says. Must not block: implementations drop what a slow reader
/// cannot take, because `tool.completed` repeats all output.
pub trait ToolSink: Send + Sync {
    /// `done` of `total` units, with a note.
    fn progress(&self, done: u64, total: Option<u64>, note: &str);

    /// Partial output.
    fn emit(&self, parts: &[ContentPart]);
}

/// A sink for callers that do not listen.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSink;

impl ToolSink for NoSink {
    fn progress(&self, _done: u64, _total: Option<u64>, _note: &str) {}

    fn emit(&self, _parts: &[ContentPart]) {}
}

/// Name of a tool as models see it: `<capability id with _ for ->__<tool>`.
pub fn tool_name(capability_id: &str, tool: &str) -> String {
    format!("{}__{tool}", capability_id.replace('-', "_"))
}
