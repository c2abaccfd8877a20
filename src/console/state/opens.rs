//! What the key that opens does to the step on the screen: the hint says it, and pressing it does it.

use super::{State, can_confirm};
use crate::engine::api::{RunState, StepState};

/// What it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opens {
    /// Asks for a confirmation.
    Confirm,
    /// Takes what the step asks for.
    Give,
    /// Takes that stakeholders were told.
    Told,
    /// Asks for a decision.
    Decide,
    /// Lets a stopped run go on.
    Resume,
    /// Shows everything.
    Details,
}

impl Opens {
    /// In a word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Confirm => "confirm",
            Self::Give => "answer",
            Self::Told => "they were told",
            Self::Decide => "decide",
            Self::Resume => "resume",
            Self::Details => "details",
        }
    }
}

impl State {
    /// What it does to the step under the cursor.
    pub fn opens(&self) -> Opens {
        // What another engine leads is only looked at here.
        let Some((run, step)) = self.shown_step().filter(|(run, _)| run.led_by.is_none()) else {
            return Opens::Details;
        };
        let in_hand = run.steps.get(run.current).is_some_and(|s| s.id == step.id);
        if in_hand && can_confirm(step) {
            return Opens::Confirm;
        }
        if in_hand && !step.asks.is_empty() {
            return Opens::Give;
        }
        let due = step.comms.as_ref().is_some_and(|c| self.snapshot.as_ref().is_some_and(|s| c.due <= s.at));
        if due && (!in_hand || step.state == StepState::Blocked) {
            return Opens::Told;
        }
        let open = matches!(step.state, StepState::AwaitsDecision | StepState::Unknown);
        if in_hand && !step.choices.is_empty() && open {
            return Opens::Decide;
        }
        if in_hand && (run.stands || run.state == RunState::Stopped) { Opens::Resume } else { Opens::Details }
    }
}
