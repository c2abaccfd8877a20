//! Rows of a run: its steps.

use super::{Cell, Column, Context, PaneRow, Sort, as_given, risk_letter};
use crate::console::format::clock;
use crate::console::strip::Strip;
use crate::console::theme::{Glyphs, Role};
use crate::domain::health::Health;
use crate::domain::risk::Confirmation;
use crate::engine::api::{StepState, StepView};

/// Sign and role of a step's state.
pub const fn step_sign(state: StepState, glyphs: &Glyphs) -> (&'static str, Role) {
    let [_, _, unknown, _] = glyphs.health;
    match state {
        StepState::Pending => (" ", Role::Dim),
        StepState::Preparing => (glyphs.waits, Role::Dim),
        StepState::Blocked => (glyphs.failed, Role::Warn),
        StepState::AwaitsConfirmation | StepState::AwaitsDecision | StepState::Executing | StepState::Verifying => {
            (glyphs.current, Role::Accent)
        }
        StepState::AwaitsApproval => (glyphs.waits, Role::Warn),
        StepState::Done => (glyphs.done, Role::Ok),
        StepState::Failed => (glyphs.failed, Role::Critical),
        StepState::Unknown => (unknown, Role::Unknown),
        StepState::Skipped => (glyphs.dot, Role::Dim),
    }
}

/// What is going on with a step, in words.
pub const fn step_words(state: StepState) -> &'static str {
    match state {
        StepState::Pending => "not reached",
        StepState::Preparing => "being rendered and checked",
        StepState::Blocked => "blocked",
        StepState::AwaitsConfirmation => "waits for your confirmation",
        StepState::AwaitsApproval => "waits for a second person",
        StepState::Executing => "being executed",
        StepState::Verifying => "done, being verified",
        StepState::AwaitsDecision => "waits for your decision",
        StepState::Done => "done and verified",
        StepState::Failed => "failed",
        StepState::Unknown => "outcome unknown",
        StepState::Skipped => "skipped",
    }
}

/// What came out of a step, or what it takes, or what is going on.
pub fn step_summary(step: &StepView) -> String {
    if let Some(at) = step.by_itself_at.filter(|_| step.state == StepState::AwaitsConfirmation) {
        return format!("runs by itself at {}; any key keeps it from that", clock(at));
    }
    if let Some(outcome) = &step.outcome {
        return outcome.clone();
    }
    let mut text = step_words(step.state).to_owned();
    if step.state == StepState::Pending {
        text.clear();
    }
    if let Some(assessment) = &step.assessment {
        if let Some(denial) = assessment.denials.first() {
            return denial.clone();
        }
        let mut needs = Vec::new();
        if assessment.approvals > 0 {
            needs.push(format!("{} to approve", assessment.approvals));
        }
        if let Some(Confirmation::Typed { .. }) = assessment.confirmation {
            needs.push("typed".into());
        }
        if !needs.is_empty() {
            text.push_str(if text.is_empty() { "" } else { " · " });
            text.push_str(&needs.join(" · "));
        }
    }
    text
}

impl PaneRow for StepView {
    const COLUMNS: &'static [Column] = &[
        Column::left("step", 18, 44, 0),
        Column::left("risk", 4, 4, 0),
        Column::left("at", 8, 8, 1),
        Column::left("outcome", 16, 110, 0),
    ];
    const SORTS: &'static [Sort<Self>] = &[Sort { label: "in order", compare: as_given }];

    fn key(&self) -> String {
        self.id.to_string()
    }

    fn health(&self) -> Option<Health> {
        None
    }

    fn label(&self, _: &Context<'_>) -> String {
        self.name.clone()
    }

    fn note(&self, _: &Context<'_>) -> Strip {
        Strip::text(step_summary(self))
    }

    fn cells(&self, _: &Context<'_>) -> Vec<Cell> {
        let role = match self.state {
            StepState::Pending | StepState::Skipped => Role::Dim,
            StepState::Failed => Role::Critical,
            StepState::Unknown => Role::Unknown,
            StepState::Blocked | StepState::AwaitsApproval => Role::Warn,
            StepState::AwaitsConfirmation | StepState::AwaitsDecision => Role::Accent,
            _ => Role::Text,
        };
        let muted = if matches!(self.state, StepState::Pending | StepState::Skipped) { Role::Dim } else { Role::Text };
        vec![
            Cell::new(muted, &self.name),
            Cell::new(if muted == Role::Dim { Role::Dim } else { self.risk.into() }, risk_letter(self.risk)),
            Cell::dim(self.ended_at.or(self.started_at).map(clock).unwrap_or_default()),
            Cell::new(role, step_summary(self)),
        ]
    }
}
