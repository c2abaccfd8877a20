//! A running exercise: the estate, and the injects that fall due as its time passes.

use super::condition::{Condition, Seen};
use super::model::Simulation;
use super::scenario::{Channel, Inject, Scenario};
use crate::domain::id::TenantId;
use jiff::Timestamp;
use std::collections::BTreeSet;

/// Seconds between two looks at the conditions of injects.
const LOOK_S: i64 = 5;
/// Messages kept.
const MESSAGES: usize = 100;

/// An inject that has not come yet.
struct Pending {
    inject: Inject,
    when: Option<Condition>,
}

/// The estate with its scenario.
pub(super) struct Exercise {
    /// The estate.
    pub sim: Simulation,
    pending: Vec<Pending>,
    end: Option<Condition>,
    cast: BTreeSet<TenantId>,
    /// What the crew is told, oldest first.
    pub messages: Vec<String>,
    /// Whether its end condition has held.
    pub ended: bool,
}

impl Exercise {
    /// Sets the estate up as the scenario's baseline says.
    pub fn new(scenario: &Scenario, sim: Simulation) -> Self {
        let compile = |text: &String| Condition::compile(text).ok();
        let pending = scenario
            .injects
            .iter()
            .map(|inject| Pending { inject: inject.clone(), when: inject.when.as_ref().and_then(compile) });
        let mut exercise = Self {
            sim,
            pending: pending.collect(),
            end: scenario.end_when.as_ref().and_then(compile),
            cast: scenario.cast(),
            messages: Vec::new(),
            ended: false,
        };
        for fault in &scenario.baseline.effects {
            exercise.sim.apply(fault);
        }
        exercise.fire();
        exercise
    }

    /// Goes on to a moment, tick by tick, so that injects come at their second however rarely this is called.
    pub fn advance_to(&mut self, now: Timestamp) {
        for told in std::mem::take(&mut self.sim.told) {
            self.say(&told);
        }
        let target = self.sim.tick_of(now);
        while self.sim.elapsed_s() < target {
            self.sim.step(1);
            self.fire();
        }
    }

    fn fire(&mut self) {
        let elapsed = self.sim.elapsed_s();
        let look = elapsed % LOOK_S == 0 && (self.end.is_some() || self.pending.iter().any(|p| p.when.is_some()));
        let seen = look.then(|| Seen::new(&self.sim, &self.cast));
        let holds = |condition: &Condition| seen.as_ref().is_some_and(|seen| condition.holds(seen));
        let due = |p: &Pending| match p.inject.at {
            Some(at) => at.0 <= elapsed,
            None => p.when.as_ref().is_some_and(holds),
        };
        let (now, later): (Vec<Pending>, Vec<Pending>) = std::mem::take(&mut self.pending).into_iter().partition(due);
        self.pending = later;
        let ends = self.end.as_ref().is_some_and(holds);
        for Pending { inject, .. } in now {
            for fault in &inject.effects {
                self.sim.apply(fault);
            }
            if let Some(text) = &inject.text {
                self.tell(&inject, text);
            }
        }
        // The end is looked for once every fault is in; calls about what is over do not come any more.
        if ends && self.pending.iter().all(|p| p.inject.effects.is_empty()) {
            self.ended = true;
            self.end = None;
            self.pending.clear();
            self.say("exercise: what was to be reached is reached");
        }
    }

    fn tell(&mut self, inject: &Inject, text: &str) {
        let how = match inject.channel {
            Channel::Telemetry => "note",
            Channel::Alert => "alert",
            Channel::Call => "call",
        };
        let from = inject.from.as_ref().map_or_else(String::new, |from| format!(" from {from}"));
        self.say(&format!("{how}{from}: {text}"));
    }

    fn say(&mut self, message: &str) {
        let at = self.sim.now().strftime("%H:%M:%S");
        self.messages.push(format!("{at} {message}"));
        let excess = self.messages.len().saturating_sub(MESSAGES);
        self.messages.drain(..excess);
    }
}
