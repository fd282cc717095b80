//! What capabilities have to say about the course of turns: data instead of code, so that turns are
//! planned without asking anybody.

/// Rules for the turns of an agent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TurnRules {
    /// What is done about steps that repeat each other.
    pub repetition: Option<RepetitionRule>,
    /// What is done when the conversation becomes too long for the model.
    pub compaction: Option<CompactionRule>,
}

impl TurnRules {
    /// These rules, and where they have none the `other` ones.
    pub(crate) fn or(self, other: Self) -> Self {
        Self { repetition: self.repetition.or(other.repetition), compaction: self.compaction.or(other.compaction) }
    }
}

/// What is done when a model makes the same calls again and again, and they have the same results.
/// Calls count as the same by name and arguments, results by what the model sees of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RepetitionRule {
    /// After so many equal steps, the first one included, the model is told. At least 2.
    pub note_after: u32,
    /// After so many the turn is sealed with reason "loop". At least `note_after`.
    pub stop_after: u32,
}

/// What is done when the conversation comes near the model's limit: its older part is replaced by a
/// summary in what the model sees. The log keeps all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompactionRule {
    /// Whether it is done before the limit is reached; else only after the model has refused a
    /// conversation as too long.
    pub proactive: bool,
    /// Of the model's context, how much may be in use before it is done, in percent.
    pub budget_percent: u8,
    /// Of the model's context, how much of the latest conversation is kept, in percent.
    pub keep_percent: u8,
    /// The model's context in tokens; none if it is to be looked up.
    pub window_tokens: Option<u64>,
    /// Whether the model writes a summary; else there is only a note that something is missing.
    pub summarizes: bool,
    /// What the summary must not leave out, in the words of whoever configures it.
    pub instructions: Option<String>,
}
