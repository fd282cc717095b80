//! What kind of event a payload is.

use super::EventData;

impl EventData {
    /// Type name, for example "tool.completed".
    pub fn name(&self) -> &'static str {
        match self {
            Self::SessionStarted { .. } => "session.started",
            Self::InputMessage { .. } => "input.message",
            Self::TurnStarted { .. } => "turn.started",
            Self::SessionActivated { .. } => "session.activated",
            Self::ReasonStarted { .. } => "reason.started",
            Self::ReasonRecovered { .. } => "reason.recovered",
            Self::OutputMessageStarted { .. } => "output.message.started",
            Self::OutputMessageDelta { .. } => "output.message.delta",
            Self::ReasonThinkingStarted { .. } => "reason.thinking.started",
            Self::ReasonThinkingDelta { .. } => "reason.thinking.delta",
            Self::ReasonThinkingCompleted { .. } => "reason.thinking.completed",
            Self::LlmGeneration { .. } => "llm.generation",
            Self::OutputMessageCompleted { .. } => "output.message.completed",
            Self::ReasonCompleted { .. } => "reason.completed",
            Self::ActStarted { .. } => "act.started",
            Self::ToolStarted { .. } => "tool.started",
            Self::ToolProgress { .. } => "tool.progress",
            Self::ToolOutputDelta { .. } => "tool.output.delta",
            Self::ToolCompleted(_) => "tool.completed",
            Self::ActCompleted { .. } => "act.completed",
            Self::ToolCallRequested { .. } => "tool.call_requested",
            Self::ToolApprovalDecided { .. } => "tool.approval_decided",
            Self::ToolConnectionMade { .. } => "tool.connection_made",
            Self::LoopDetected { .. } => "loop.detected",
            Self::ContextCompacting { .. } => "context.compacting",
            Self::ContextCompacted { .. } => "context.compacted",
            Self::BudgetWarning(_) => "budget.warning",
            Self::BudgetPaused(_) => "budget.paused",
            Self::BudgetResumed(_) => "budget.resumed",
            Self::BudgetExhausted(_) => "budget.exhausted",
            Self::TurnCompleted { .. } => "turn.completed",
            Self::TurnFailed { .. } => "turn.failed",
            Self::TurnSealed { .. } => "turn.sealed",
            Self::TurnMerged { .. } => "turn.merged",
            Self::TurnCancelled { .. } => "turn.cancelled",
            Self::SessionIdled { .. } => "session.idled",
        }
    }

    /// Whether it is delivered to listeners only and never stored.
    pub fn is_live_only(&self) -> bool {
        matches!(
            self,
            Self::OutputMessageStarted { .. }
                | Self::OutputMessageDelta { .. }
                | Self::ReasonThinkingStarted { .. }
                | Self::ReasonThinkingDelta { .. }
                | Self::ReasonThinkingCompleted { .. }
                | Self::ToolProgress { .. }
                | Self::ToolOutputDelta { .. }
                | Self::ContextCompacting { .. }
        )
    }
}
