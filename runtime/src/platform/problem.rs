//! What can be wrong with a definition.

use std::collections::BTreeSet;
use std::fmt;

use super::{BuiltInHarnessRole, PlatformDefinition};

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
    /// Two harnesses have the same key.
    #[error("two harnesses have the key {0:?}; give each its own")]
    DuplicateHarnessKey(String),
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

pub(super) fn check(platform: &PlatformDefinition) -> Result<(), DefinitionErrors> {
    let mut problems = Vec::new();
    let harnesses = platform.built_in_harnesses();
    let mut keys = BTreeSet::new();
    for harness in harnesses {
        if !keys.insert(harness.key.as_str()) {
            problems.push(DefinitionProblem::DuplicateHarnessKey(harness.key.clone()));
        }
        for capability in harness.capabilities.iter().filter(|capability| !platform.capability_registry().has(&capability.id)) {
            problems.push(DefinitionProblem::UnknownCapability { harness: harness.key.clone(), capability: capability.id.clone() });
        }
    }
    for harness in harnesses {
        if let Some(parent) = harness.parent_key.as_deref().filter(|parent| !keys.contains(parent)) {
            problems.push(DefinitionProblem::DanglingParent { harness: harness.key.clone(), parent: parent.to_owned() });
        }
    }
    for role in [BuiltInHarnessRole::Base, BuiltInHarnessRole::Default, BuiltInHarnessRole::Chat] {
        let mut holders = harnesses.iter().filter(|harness| harness.has_role(role));
        if let (Some(first), Some(second)) = (holders.next(), holders.next()) {
            problems.push(DefinitionProblem::DuplicateRole { role, first: first.key.clone(), second: second.key.clone() });
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(DefinitionErrors(problems)) }
}
