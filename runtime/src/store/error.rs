//! Why a store did not do what it was asked.

use crate::error::ErrorKind;
use crate::file::FilePath;

/// What keeps a session file from being what a call needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FileProblem {
    /// A file is needed.
    #[error("it is a directory, not a file")]
    IsDirectory,
    /// A directory is needed.
    #[error("it is a file, not a directory")]
    NotADirectory,
    /// A directory is deleted without what is in it.
    #[error("the directory is not empty; delete it recursively, or what is in it first")]
    NotEmpty,
    /// It may not be changed.
    #[error("it is read-only")]
    ReadOnly,
    /// A directory is moved into itself.
    #[error("a directory cannot be moved into itself")]
    IntoItself,
}

/// Why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The row does not exist in this org.
    #[error("{what} {id:?} does not exist")]
    NotFound {
        /// Kind of thing, for example "session".
        what: &'static str,
        /// Its id or name.
        id: String,
    },
    /// A unique name or id is taken.
    #[error("{what} {id:?} exists already")]
    Duplicate {
        /// Kind of thing.
        what: &'static str,
        /// The id or name that is taken.
        id: String,
    },
    /// The name of an uploaded component is taken by one of the other kind.
    #[error("{id:?} is a {kind} already; give the component another id")]
    OtherKind {
        /// The name.
        id: String,
        /// The kind that has it.
        kind: &'static str,
    },
    /// The row was changed since it was read.
    #[error("{what} {id:?} was changed by somebody else; read it again")]
    Stale {
        /// Kind of thing.
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// Something refers to the row, so that it cannot go.
    #[error("{what} {id:?} is used by {by}; change or delete those first")]
    InUse {
        /// Kind of thing.
        what: &'static str,
        /// Its id.
        id: String,
        /// What refers to it, for example "sessions".
        by: &'static str,
    },
    /// An org that has an owner keeps one.
    #[error("{id} is the last owner of the org; make somebody else an owner first")]
    LastOwner {
        /// The member's id.
        id: String,
    },
    /// A session cannot go while a turn of it runs or waits.
    #[error("session {id:?} has an open turn; cancel it, or wait until it has ended")]
    TurnOpen {
        /// The session's id.
        id: String,
    },
    /// The log does not end at the expected sequence.
    #[error("the session's log ends at sequence {actual}, not at {expected}")]
    SequenceConflict {
        /// What the writer believed.
        expected: u64,
        /// Where it ends.
        actual: u64,
    },
    /// The writer does not own the session any more.
    #[error("another owner took over the session (fence {actual}, not {given})")]
    Fenced {
        /// The writer's fence.
        given: u64,
        /// The session's fence.
        actual: u64,
    },
    /// A session file is not what the call needs.
    #[error("{path}: {problem}")]
    File {
        /// The path that is not what it has to be.
        path: FilePath,
        /// Why not.
        problem: FileProblem,
    },
    /// The input is wrong and will stay wrong.
    #[error("{0}")]
    Invalid(String),
    /// A limit of the store.
    #[error("{0}")]
    Limit(String),
    /// A stored value cannot be read; names table, column and row.
    #[error("stored data is broken: {0}")]
    Corrupt(String),
    /// The database belongs to a newer version or to another program.
    #[error("the database cannot be used: {0}")]
    Incompatible(String),
    /// The database cannot be reached or did not answer in time.
    #[error("the store is not available: {0}")]
    Unavailable(String),
}

impl StoreError {
    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::Duplicate { .. } | Self::Stale { .. } | Self::InUse { .. } | Self::LastOwner { .. } | Self::TurnOpen { .. } => {
                ErrorKind::Conflict
            }
            Self::SequenceConflict { .. } | Self::Fenced { .. } | Self::File { .. } | Self::OtherKind { .. } => ErrorKind::Conflict,
            Self::Invalid(_) => ErrorKind::Invalid,
            Self::Limit(_) => ErrorKind::Limit,
            Self::Corrupt(_) | Self::Incompatible(_) => ErrorKind::Internal,
            Self::Unavailable(_) => ErrorKind::Unavailable,
        }
    }
}

/// Result of a store method.
pub type StoreResult<T> = Result<T, StoreError>;
