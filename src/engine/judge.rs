//! Puts samples into the world and asks the correlation what they mean; the engine, `status` and `doctor` share it.

use crate::correlate::{Correlator, Settings};
use crate::domain::estate::{Estate, Service};
use crate::domain::finding::{Change, Finding};
use crate::domain::pane::{Panes, SubjectView};
use crate::domain::sample::Sample;
use crate::domain::signal::Subject;
use crate::domain::world::World;
use jiff::Timestamp;
use std::sync::Arc;

/// Changes that a snapshot carries.
const CHANGES: usize = 50;

/// The correlation with what it needs at hand.
#[derive(Debug)]
pub struct Judge {
    correlator: Correlator,
}

impl Judge {
    /// One that has seen nothing.
    pub fn new(settings: Settings, estate: &Arc<Estate>) -> Self {
        Self { correlator: Correlator::new(settings, estate, jiff::tz::db()) }
    }

    /// Takes in a sample; one that the world does not accept (older than what is known) counts for nothing.
    pub fn take(&mut self, world: &mut World, sample: &Sample) {
        let before = world.sources.get(&sample.source).and_then(|s| s.good.as_ref()).map(|g| g.facts.clone());
        if world.take(sample.clone()) {
            self.correlator.observe(before.as_deref(), sample);
        }
    }

    /// Findings and panes at a moment.
    pub fn look(&mut self, world: &World, now: Timestamp) -> (Vec<Finding>, Panes) {
        let findings = self.correlator.evaluate(world, now).findings;
        (findings, self.correlator.panes(world, now))
    }

    /// All that is known of one subject.
    pub fn subject(&self, world: &World, subject: &Subject, now: Timestamp) -> SubjectView {
        self.correlator.look(world, subject, now)
    }

    /// The declared services.
    pub fn services(&self) -> &[Service] {
        &self.correlator.settings().services
    }

    /// What changed lately, newest first.
    pub fn changes(&self) -> Vec<Change> {
        self.correlator.changes().take(CHANGES).cloned().collect()
    }
}
