//! The error of the runtime's public functions, and the kinds that callers act on.

use crate::driver::DriverError;
use crate::store::StoreError;

/// What a caller can do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The thing does not exist (for this org).
    NotFound,
    /// The state of the thing does not allow it, or somebody else was faster.
    Conflict,
    /// The input is wrong and will stay wrong.
    Invalid,
    /// Not allowed.
    Denied,
    /// A limit was reached.
    Limit,
    /// Something needed is not reachable right now; the same call may succeed later.
    Unavailable,
    /// A defect or a broken invariant.
    Internal,
}

/// Why a runtime function failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Something referred to does not exist.
    #[error("{what} {id:?} does not exist")]
    NotFound {
        /// Kind of thing, for example "agent".
        what: &'static str,
        /// Its id or name as given.
        id: String,
    },
    /// The request contradicts the state of things.
    #[error("{0}")]
    Conflict(String),
    /// The input is wrong; says what, which limit or rule, and how to fix it.
    #[error("{0}")]
    Invalid(String),
    /// A limit was reached; names it.
    #[error("{0}")]
    Limit(String),
    /// Not possible right now; says why. The same call may succeed later.
    #[error("{0}")]
    Unavailable(String),
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A model driver failed.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// The sandbox failed through no fault of a guest.
    #[error("sandbox: {0}")]
    Sandbox(String),
    /// A broken invariant.
    #[error("internal error: {0}")]
    Internal(String),
}

impl Error {
    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::Conflict(_) => ErrorKind::Conflict,
            Self::Invalid(_) => ErrorKind::Invalid,
            Self::Limit(_) => ErrorKind::Limit,
            Self::Unavailable(_) => ErrorKind::Unavailable,
            Self::Store(error) => error.kind(),
            Self::Driver(error) => error.kind(),
            Self::Sandbox(_) | Self::Internal(_) => ErrorKind::Internal,
        }
    }

    /// Whether the same call may succeed later without a change.
    pub fn is_retryable(&self) -> bool {
        self.kind() == ErrorKind::Unavailable
    }
}
