//! Taking back what was done: the steps behind the last one, each through the same gates, the last one done first.

use super::effect::Effect;
use super::machine::Run;
use super::state::{Sent, Then};
use super::view::{RunState, StepState};
use serde_json::json;

impl Run {
    /// Whether anything that was done can be taken back.
    pub(super) fn can_roll_back(&self) -> bool {
        !self.is_rolling() && self.next_rollback().is_some()
    }

    /// Whether the step in hand takes something back.
    pub(super) const fn is_rolling(&self) -> bool {
        self.rolling
    }

    /// The last step that had its effect and is not taken back, by what takes it back.
    fn next_rollback(&self) -> Option<usize> {
        (0..self.plan.flow()).rev().find_map(|of| {
            let by = self.plan.rollback_of(of)?;
            let sent = &self.steps.get(of)?.sent;
            let open = !self.lasting.get(of)?.rolled_back && self.steps.get(by)?.state != StepState::Skipped;
            (*sent == Sent::Done && open).then_some(by)
        })
    }

    /// Goes to the next step that takes something back; the run ends when there is none.
    pub(super) fn roll_back(&mut self, out: &mut Vec<Effect>) {
        self.rolling = true;
        match self.next_rollback() {
            Some(by) => self.enter(by, out),
            None => {
                let kept = (self.plan.flow()..self.steps.len())
                    .any(|i| self.steps.get(i).is_some_and(|s| s.state == StepState::Skipped));
                self.finish(if kept { RunState::Failed } else { RunState::RolledBack }, out);
            }
        }
    }

    /// A step that takes something back is over.
    pub(super) fn taken_back(&mut self, out: &mut Vec<Effect>) {
        let of = self.plan.taken_back_by(self.current);
        let done = self.here().is_some_and(|h| h.state == StepState::Done);
        match of.and_then(|of| Some((of, self.plan.steps().get(of)?.id.clone()))) {
            Some((of, id)) if done && !self.lasting.get(of).is_some_and(|l| l.rolled_back) => {
                self.record("step.rolled_back", json!({"of": id}), Then::RolledBack, out);
            }
            _ => self.roll_back(out),
        }
    }

    /// The record of it is on disk.
    pub(super) fn note_taken_back(&mut self) {
        if let Some(lasting) = self.plan.taken_back_by(self.current).and_then(|of| self.lasting.get_mut(of)) {
            lasting.rolled_back = true;
        }
    }
}
