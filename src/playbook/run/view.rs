//! A run as it can be shown. The engine turns these into the views of its contract; the words are the same.

use super::input::Rendering;
use crate::domain::id::StepId;
pub use crate::domain::run::{RunState, StepState};
use jiff::Timestamp;

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
    /// Its targets, where it is over several.
    pub targets: Vec<TargetLine>,
    /// What the server said that it would do.
    pub dry_run: Option<String>,
    /// When it runs by itself unless somebody keeps it from that, or goes on by itself.
    pub by_itself_at: Option<Timestamp>,
    /// Whether it waits for values from a person.
    pub asks: bool,
    /// When stakeholders are to be told what it says, where they are.
    pub tell_at: Option<Timestamp>,
    /// When it was started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// One of several targets as it can be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetLine {
    /// Its name.
    pub label: String,
    /// How far it is.
    pub state: StepState,
    /// What came out.
    pub line: String,
}

/// A run as it can be shown.
#[derive(Clone, Debug, PartialEq)]
pub struct View<'a> {
    /// State.
    pub state: RunState,
    /// Whether it stands still until a person resumes it; also where an outcome is unknown that nobody has looked at yet.
    pub stands: bool,
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
