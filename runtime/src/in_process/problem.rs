//! Why a runtime is not built.

use std::fmt;

use crate::driver::DriverId;
use crate::error::Error;
use crate::platform::DefinitionProblem;

/// One thing that is wrong with what a runtime is to be built from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildProblem {
    /// The platform definition is wrong.
    #[error(transparent)]
    Definition(#[from] DefinitionProblem),
    /// There is no model.
    #[error("there is no default model; set one with default_model, or use llm_sim")]
    NoDefaultModel,
    /// The model's driver is not registered.
    #[error("the default model {model:?} needs the driver {driver}, which is not registered; registered are: {registered}")]
    UnknownDriver {
        /// Model name.
        model: String,
        /// Its driver.
        driver: DriverId,
        /// Ids of the drivers that there are, or "none".
        registered: String,
    },
    /// A name that nothing can be addressed by.
    #[error(
        "the {what} has the name {name:?}; a name is lower-case letters and digits, in words joined by single hyphens, at most 64 bytes"
    )]
    InvalidName {
        /// "harness" or "agent".
        what: &'static str,
        /// The name.
        name: String,
    },
    /// Two of a kind have the same name or id.
    #[error("two {what} are {name:?}; give each its own name and id")]
    Duplicate {
        /// "harnesses", "agents" or "sessions".
        what: &'static str,
        /// The name or id.
        name: String,
    },
    /// The store has another one with this name.
    #[error("the store has a {what} {name:?} already, with the id {stored}; give this one the same id with with_id, or another name")]
    NameTaken {
        /// "harness" or "agent".
        what: &'static str,
        /// The name.
        name: String,
        /// Id of the stored one.
        stored: String,
    },
    /// Something refers to what is neither given nor stored.
    #[error("{from} refers to the {what} {id}, which is neither given nor stored; add it to the builder")]
    Dangling {
        /// Who refers to it, for example `agent "helper"`.
        from: String,
        /// "harness", "agent" or "session".
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// A file cannot be seeded.
    #[error("the file {path:?} cannot be seeded: {reason}")]
    SeededFile {
        /// Its path as given.
        path: String,
        /// Why, and how to fix it.
        reason: String,
    },
    /// A capability is given a configuration that it does not accept.
    #[error("{from} configures the capability {capability:?} in a way that it does not accept: {problems}")]
    InvalidConfig {
        /// Who configures it, for example `agent "helper"`.
        from: String,
        /// Id of the capability.
        capability: String,
        /// What is wrong where.
        problems: String,
    },
    /// A capability is listed that does not exist.
    #[error("{from} lists the capability {capability:?}, which is not registered; register it or take it off the list")]
    UnknownCapability {
        /// Who lists it, for example `agent "helper"`.
        from: String,
        /// Id of the capability, or the chain of dependencies to it.
        capability: String,
    },
}

/// Why a runtime is not built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// What it is to be built from is wrong; every problem at once.
    #[error("the runtime cannot be built: {}", Listed(.0))]
    Invalid(Vec<BuildProblem>),
    /// A store, the gateway or the sandbox failed.
    #[error(transparent)]
    Runtime(#[from] Error),
}

impl From<crate::store::StoreError> for BuildError {
    fn from(error: crate::store::StoreError) -> Self {
        Self::Runtime(error.into())
    }
}

struct Listed<'a>(&'a [BuildProblem]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}
