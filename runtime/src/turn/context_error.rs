//! Why a turn has no context. Each message is a sentence for the user of the session.

use super::risk::RiskTooHigh;
use crate::error::Error;
use crate::id::{AgentId, SessionId};

/// Why a turn cannot be given a context.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContextError {
    /// There is nothing to answer.
    #[error("the session has no messages")]
    NoMessages,
    /// The session does not exist.
    #[error("session {0} does not exist")]
    SessionMissing(SessionId),
    /// The session's agent does not exist.
    #[error("agent {0} of this session does not exist any more")]
    AgentMissing(AgentId),
    /// The session's agent is archived.
    #[error("agent {name:?} of this session is archived")]
    AgentArchived {
        /// Its name.
        name: String,
    },
    /// A harness of the chain does not exist.
    #[error("a harness of this session does not exist any more (chain: {chain})")]
    HarnessMissing {
        /// From the session's harness to the missing one.
        chain: String,
    },
    /// A harness of the chain is archived.
    #[error("a harness of this session is archived (chain: {chain})")]
    HarnessArchived {
        /// From the session's harness to the archived one.
        chain: String,
    },
    /// A harness is its own ancestor.
    #[error("the harnesses of this session extend each other in a circle (chain: {chain})")]
    HarnessCycle {
        /// From the session's harness to the one that comes again.
        chain: String,
    },
    /// The chain is too long.
    #[error("the harness chain of this session is longer than {limit} (chain: {chain})")]
    HarnessTooDeep {
        /// [`crate::limits::MAX_HARNESS_DEPTH`].
        limit: usize,
        /// From the session's harness on.
        chain: String,
    },
    /// A capability does not exist, is not active, or is not this org's.
    #[error("capability {id:?} is not available (chain: {chain})")]
    CapabilityUnknown {
        /// Its id.
        id: String,
        /// From who lists a capability to the one that is missing.
        chain: String,
    },
    /// The version of a component that somebody asks for cannot be used.
    #[error("{problem}")]
    VersionUnavailable {
        /// Which version of what, and why not.
        problem: String,
    },
    /// A capability that the turn started with is gone.
    #[error("capability {id:?}{} with which this turn started is not available any more", version.map(|v| format!(" version {v}")).unwrap_or_default())]
    PinGone {
        /// Its id.
        id: String,
        /// Its version.
        version: Option<u32>,
    },
    /// Capabilities depend on each other in a circle.
    #[error("capabilities depend on each other in a circle (chain: {chain})")]
    CapabilityCycle {
        /// From a capability to where it comes again.
        chain: String,
    },
    /// More capabilities than allowed, dependencies included.
    #[error("more than {limit} capabilities, dependencies included")]
    TooManyCapabilities {
        /// [`crate::limits::MAX_CAPABILITIES`].
        limit: usize,
    },
    /// A capability has more risk than the org allows.
    #[error(transparent)]
    Risk(#[from] RiskTooHigh),
    /// The configuration of a capability does not match its schema.
    #[error("the configuration of capability {id:?} is not valid: {problems}")]
    ConfigInvalid {
        /// Its id.
        id: String,
        /// What is wrong where.
        problems: String,
    },
    /// A capability cannot say what it adds to the prompt.
    #[error("capability {id:?} cannot say what it adds to the prompt: {problem}")]
    ContributionFailed {
        /// Its id.
        id: String,
        /// Why not.
        problem: String,
    },
    /// A schema of a capability is no JSON Schema, or refers to something remote.
    #[error("the {what} of capability {id:?} is not a usable JSON Schema: {problem}")]
    SchemaInvalid {
        /// Id of the capability.
        id: String,
        /// Which schema.
        what: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Two tools have the same name.
    #[error("capabilities {first:?} and {second:?} both have a tool that is called {tool:?}")]
    ToolClash {
        /// Name as the model would know it.
        tool: String,
        /// One capability.
        first: String,
        /// The other; the same if it lists a tool twice.
        second: String,
    },
    /// The provider of the chosen model was removed at this moment.
    #[error("the provider of model {model:?} does not exist any more; choose another model")]
    ProviderMissing {
        /// Name of the model.
        model: String,
    },
    /// The chosen model is disabled.
    #[error("model {model:?} of provider {provider:?} is disabled; enable it, or choose another model")]
    ModelDisabled {
        /// Name of the model.
        model: String,
        /// Name of its provider.
        provider: String,
    },
    /// The provider of the chosen model is disabled.
    #[error("provider {provider:?} of model {model:?} is disabled; activate it, or choose another model")]
    ProviderDisabled {
        /// Name of the model.
        model: String,
        /// Name of its provider.
        provider: String,
    },
    /// This platform has no driver for the provider of the chosen model.
    #[error(
        "model {model:?} of provider {provider:?} needs driver {driver:?}, which is not registered; register it, or choose another model"
    )]
    DriverMissing {
        /// Name of the model.
        model: String,
        /// Name of its provider.
        provider: String,
        /// Id of the driver.
        driver: String,
    },
    /// The credentials of the provider cannot be opened.
    #[error("the credentials of provider {provider:?} for model {model:?} cannot be used: {problem}")]
    CredentialsUnreadable {
        /// Name of the model.
        model: String,
        /// Name of its provider.
        provider: String,
        /// Why not.
        problem: String,
    },
    /// A store or the sandbox failed; says nothing about the context.
    #[error(transparent)]
    Runtime(#[from] Error),
}

impl ContextError {
    /// Stable code, as in `turn.failed`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoMessages => "no_messages",
            Self::SessionMissing(_) => "session_missing",
            Self::AgentMissing(_) => "agent_missing",
            Self::AgentArchived { .. } => "agent_archived",
            Self::HarnessMissing { .. } => "harness_missing",
            Self::HarnessArchived { .. } => "harness_archived",
            Self::HarnessCycle { .. } => "harness_cycle",
            Self::HarnessTooDeep { .. } => "harness_too_deep",
            Self::CapabilityUnknown { .. } => "capability_unknown",
            Self::VersionUnavailable { .. } => "version_unavailable",
            Self::PinGone { .. } => "capability_gone",
            Self::CapabilityCycle { .. } => "capability_cycle",
            Self::TooManyCapabilities { .. } => "too_many_capabilities",
            Self::Risk(_) => "risk_too_high",
            Self::ConfigInvalid { .. } => "capability_config_invalid",
            Self::ContributionFailed { .. } => "prompt_contribution_failed",
            Self::SchemaInvalid { .. } => "capability_schema_invalid",
            Self::ToolClash { .. } => "tool_name_clash",
            Self::ProviderMissing { .. } => "provider_missing",
            Self::ModelDisabled { .. } => "model_disabled",
            Self::ProviderDisabled { .. } => "provider_disabled",
            Self::DriverMissing { .. } => "driver_not_registered",
            Self::CredentialsUnreadable { .. } => "credentials_unreadable",
            Self::Runtime(_) => "runtime",
        }
    }
}

impl From<crate::store::StoreError> for ContextError {
    fn from(error: crate::store::StoreError) -> Self {
        Self::Runtime(Error::Store(error))
    }
}

impl From<ContextError> for Error {
    fn from(error: ContextError) -> Self {
        match error {
            ContextError::Runtime(error) => error,
            ContextError::SessionMissing(id) => Self::NotFound { what: "session", id: id.to_string() },
            other => Self::Conflict(other.to_string()),
        }
    }
}
