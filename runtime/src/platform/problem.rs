//! What can be wrong with a definition.

use std::fmt;

use super::BuiltInHarnessRole;

/// One thing that is wrong with a definition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DefinitionProblem {
    /// A harness lists a capability that is not registered.
    #[error("harness {harness:?} lists the capability {capability:?}, which is not registered; register it or take it off the harness")]
    UnknownCapability {
        /// Key of the harness.
        harness: String,
        /// Id of the capability.
        capability: String,
    },
    /// A harness gives a capability a configuration that it does not accept.
    #[error("harness {harness:?} configures the capability {capability:?} in a way that it does not accept: {problems}")]
    BadConfig {
        /// Key of the harness.
        harness: String,
        /// Id of the capability.
        capability: String,
        /// What is wrong where.
        problems: String,
    },
    /// An agent template gives a capability a configuration that it does not accept.
    #[error("agent {agent:?} configures the capability {capability:?} in a way that it does not accept: {problems}")]
    BadAgentConfig {
        /// Key of the agent.
        agent: String,
        /// Id of the capability.
        capability: String,
        /// What is wrong where.
        problems: String,
    },
    /// A capability states a configuration schema that is none.
    #[error("the configuration schema of the capability {capability:?} cannot be used: {problem}")]
    BadSchema {
        /// Id of the capability.
        capability: String,
        /// Why.
        problem: String,
    },
    /// A capability depends on one that is not registered.
    #[error("the capability {capability:?} depends on {dependency:?}, which is not registered; register it or unregister what needs it")]
    UnknownDependency {
        /// Id of the capability.
        capability: String,
        /// Id of what it depends on.
        dependency: String,
    },
    /// Capabilities depend on each other in a circle.
    #[error("capabilities depend on each other in a circle: {}; remove one of these dependencies", .0.join(" → "))]
    DependencyCycle(Vec<String>),
    /// Two capabilities have the same id, one of them a component.
    #[error("the component {source_of_second} has the id {capability:?}, which another capability has already; unregister one of them")]
    DuplicateCapability {
        /// The id.
        capability: String,
        /// Where the second comes from.
        source_of_second: String,
    },
    /// A component cannot be read, is rejected by the sandbox, or is granted what it cannot have.
    #[error("the component {component} cannot be used: {}", .problems.join("; "))]
    BadComponent {
        /// Where it comes from.
        component: String,
        /// Everything that is wrong with it.
        problems: Vec<String>,
    },
    /// A template has a key that cannot be a name.
    #[error(
        "the {what} key {key:?} cannot be a name; use lower-case letters and digits in words joined by single hyphens, at most {} bytes",
        crate::limits::MAX_NAME_BYTES
    )]
    BadKey {
        /// Kind of template: `harness` or `agent`.
        what: &'static str,
        /// The key.
        key: String,
    },
    /// Two harnesses have the same key.
    #[error("two harnesses have the key {0:?}; give each its own")]
    DuplicateHarnessKey(String),
    /// Two agents have the same key.
    #[error("two agents have the key {0:?}; give each its own")]
    DuplicateAgentKey(String),
    /// Two harnesses have the same role.
    #[error("the harnesses {first:?} and {second:?} both have the role {}; take it off one of them", role.as_str())]
    DuplicateRole {
        /// The role.
        role: BuiltInHarnessRole,
        /// Key of the first harness.
        first: String,
        /// Key of the second.
        second: String,
    },
    /// A harness extends one that is not there.
    #[error("harness {harness:?} extends {parent:?}, which is not defined; define it or remove the parent key")]
    DanglingParent {
        /// Key of the harness.
        harness: String,
        /// Its parent key.
        parent: String,
    },
    /// Harnesses extend each other in a circle.
    #[error("harnesses extend each other in a circle: {}; remove one of these parent keys", .0.join(" → "))]
    ParentCycle(Vec<String>),
    /// A harness has too many ancestors.
    #[error("the chain of parents of harness {harness:?} has {length} harnesses; at most {} are allowed", crate::limits::MAX_HARNESS_DEPTH)]
    ChainTooLong {
        /// Key of the harness.
        harness: String,
        /// Harnesses of its chain, itself included.
        length: usize,
    },
}

/// All problems of a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefinitionErrors(pub Vec<DefinitionProblem>);

impl fmt::Display for DefinitionErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the platform definition has {} problem(s)", self.0.len())?;
        self.0.iter().try_for_each(|problem| write!(f, "; {problem}"))
    }
}

impl std::error::Error for DefinitionErrors {}
