//! A run as it can be shown. The engine turns these into the views of its contract; the words are the same.

use super::input::Rendering;
use crate::domain::id::StepId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// State of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
}

impl RunState {
    /// Whether nothing can follow.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Finished | Self::Failed)
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
        }
    }
}

/// State of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// Waits for a decision.
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

/// A choice that is offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offered {
    /// Key by which it is chosen.
    pub key: String,
    /// What it means.
    pub label: String,
    /// Whether a reason must be given.
    pub needs_reason: bool,
}

/// A check as it can be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckLine {
    /// Sentence or expression.
    pub text: String,
    /// True, false, or not known.
    pub holds: Option<bool>,
    /// Values, ages, `held 12 s of 30 s`.
    pub detail: String,
}

/// A step as it can be shown.
#[derive(Clone, Debug, PartialEq)]
pub struct StepLine<'a> {
    /// Id.
    pub id: &'a StepId,
    /// Name.
    pub name: &'a str,
    /// Why the playbook has it.
    pub why: &'a str,
    /// State.
    pub state: StepState,
    /// Risk: assessed when rendered, else declared.
    pub risk: crate::domain::risk::Risk,
    /// Rendering, where there is one.
    pub rendering: Option<&'a Rendering>,
    /// Preconditions, as last evaluated.
    pub checks: Vec<CheckLine>,
    /// How it is known to have worked.
    pub verify: Vec<CheckLine>,
    /// What came out, or why it waits, one line.
    pub outcome: Option<String>,
    /// Lines that a look returned.
    pub output: Vec<String>,
    /// Choices that are offered.
    pub choices: Vec<Offered>,
    /// When it was started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// A run as it can be shown.
#[derive(Clone, Debug, PartialEq)]
pub struct View<'a> {
    /// State.
    pub state: RunState,
    /// Counts up with each change of the plan.
    pub generation: u64,
    /// Index of the step in hand.
    pub current: usize,
    /// Steps.
    pub steps: Vec<StepLine<'a>>,
    /// One line: what happens now, or what is waited for.
    pub now: String,
    /// When it was started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}
