//! States of a run and of its steps: the words of records, output and screens.

use serde::{Deserialize, Serialize};

/// State of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RunState {
    /// Something is going on.
    Running,
    /// Waits for a person.
    Waiting,
    /// Stopped or interrupted; can be resumed.
    Stopped,
    /// Ended well.
    Finished,
    /// Ended with a failure.
    Failed,
    /// The outcome of a step is not known; it is being looked at, or a person must decide.
    Unknown,
    /// Ended, and what was done was taken back.
    RolledBack,
}

impl RunState {
    /// Whether nothing can follow.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Finished | Self::Failed | Self::RolledBack)
    }

    /// The word used in records.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Stopped => "stopped",
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::RolledBack => "rolled-back",
        }
    }
}

/// State of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StepState {
    /// Not reached.
    Pending,
    /// Being rendered and checked.
    Preparing,
    /// A precondition is false or not known, it can not be rendered, or policy says no.
    Blocked,
    /// Waits for the commander's confirmation.
    AwaitsConfirmation,
    /// Waits for a second person.
    AwaitsApproval,
    /// Being executed.
    Executing,
    /// Executed; its effect is being verified.
    Verifying,
    /// Waits for a decision (after a failure, or a manual step).
    AwaitsDecision,
    /// Done and verified.
    Done,
    /// Failed.
    Failed,
    /// Its outcome is not known.
    Unknown,
    /// Skipped.
    Skipped,
}

impl StepState {
    /// The word used in records.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Preparing => "preparing",
            Self::Blocked => "blocked",
            Self::AwaitsConfirmation => "awaits-confirmation",
            Self::AwaitsApproval => "awaits-approval",
            Self::Executing => "executing",
            Self::Verifying => "verifying",
            Self::AwaitsDecision => "awaits-decision",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::Skipped => "skipped",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_and_output_have_the_same_words() {
        use StepState::{
            AwaitsApproval, AwaitsConfirmation, AwaitsDecision, Blocked, Done, Executing, Failed, Pending, Preparing,
            Skipped, Unknown, Verifying,
        };
        let runs = [
            RunState::Running,
            RunState::Waiting,
            RunState::Stopped,
            RunState::Finished,
            RunState::Failed,
            RunState::Unknown,
            RunState::RolledBack,
        ];
        assert!(runs.iter().all(|s| serde_json::to_value(s).unwrap() == s.word()));
        let steps = [
            Pending,
            Preparing,
            Blocked,
            AwaitsConfirmation,
            AwaitsApproval,
            Executing,
            Verifying,
            AwaitsDecision,
            Done,
            Failed,
            Unknown,
            Skipped,
        ];
        assert!(steps.iter().all(|s| serde_json::to_value(s).unwrap() == s.word()));
    }
}
