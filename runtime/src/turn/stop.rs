//! Why turns end before their answer.

/// Why a turn is to end before its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// Somebody cancelled it.
    Cancelled,
    /// It waits for somebody, and a new message came.
    Superseded,
    /// It cannot be answered.
    Failed {
        /// Stable code, as in `turn.failed`.
        error_code: String,
        /// A sentence for the user.
        error: String,
    },
    /// The platform gives up on it.
    Sealed {
        /// Why.
        reason: SealReason,
        /// A sentence.
        detail: String,
    },
}

/// Why the platform gives a turn up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealReason {
    /// Its processes keep dying before it comes further.
    NoProgress,
    /// It used up its time.
    Budget,
    /// What the next model call needs is more than its budgets have left.
    BudgetExhausted,
    /// Its org has no room for more events.
    StorageExhausted,
    /// The model repeats itself.
    Loop,
    /// A defect of the host.
    InternalError,
}

impl SealReason {
    /// Its text form, as in `turn.sealed`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoProgress => "no_progress",
            Self::Budget => "budget",
            Self::BudgetExhausted => "budget_exhausted",
            Self::StorageExhausted => "storage_exhausted",
            Self::Loop => "loop",
            Self::InternalError => "internal_error",
        }
    }
}
